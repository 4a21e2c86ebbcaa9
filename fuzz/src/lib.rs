//! Fuzz targets for everything that parses a file. What is promised of a parser, and the
//! inputs to begin with, are those of the tests in `tests/hostile`; here a fuzzer that sees
//! which code they reach changes them further. `docs/hardening.md` says how to run them.

#[path = "../../tests/hostile/contracts.rs"]
mod contracts;
#[path = "../../tests/hostile/inputs.rs"]
mod inputs;

pub use contracts::kept;
pub use inputs::Parser;

/// The next input: now and then one of the tests' own, else the last one changed by the
/// fuzzer or, keeping lines and values whole more often, by the tests' generator.
pub fn mutated(parser: Parser, data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut chance = inputs::Chance::new(u64::from(seed));
    let input = match seed % 8 {
        0 => parser.input(&mut chance),
        1 | 2 => chance.mutate(data[..size].to_vec()),
        _ => return libfuzzer_sys::fuzzer_mutate(data, size, max_size),
    };
    let length = input.len().min(max_size);
    data[..length].copy_from_slice(&input[..length]);
    length
}
