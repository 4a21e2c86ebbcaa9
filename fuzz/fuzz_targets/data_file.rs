#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use rsm_check_fuzz::{Parser, kept, mutated};

fuzz_target!(|bytes: &[u8]| {
    kept(Parser::DataFile, bytes);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutated(Parser::DataFile, data, size, max_size, seed)
});
