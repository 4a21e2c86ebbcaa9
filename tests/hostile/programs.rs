//! Some of the bad inputs through the real program: exit 2, the place in words, nothing
//! left, under a limit of memory.

use crate::contracts;
use crate::inputs::{Chance, Parser};
use crate::support::{Bench, RSM_CHECK};

/// Bad inputs for each parser.
const EACH: usize = 25;
/// Address space of the program, KiB.
const MEMORY_KIB: u64 = 512 << 10;

/// Inputs that the parser refuses, by their seeds.
fn refused(parser: Parser) -> impl Iterator<Item = (u64, Vec<u8>, String)> {
    let inputs = (1_000_000u64..).map(move |seed| (seed, parser.input(&mut Chance::new(seed))));
    inputs.filter_map(move |(seed, input)| {
        let told = contracts::kept(parser, &input)?;
        Some((seed, input, told))
    })
}

fn exits_with_2(parser: Parser, words: &str, file: &str) {
    for (seed, input, told) in refused(parser).take(EACH) {
        let bench = Bench::new();
        let path = bench.path(file);
        std::fs::write(&path, &input).unwrap();
        let line = format!("ulimit -v {MEMORY_KIB}; exec '{RSM_CHECK}' {words} '{}' --quiet", path.display());
        let said = bench.shell(&line);
        assert_eq!(said.exit, Some(2), "{parser:?}, seed {seed}, {told}\n{said:?}");
        assert!(said.out.is_empty(), "{parser:?}, seed {seed}: {said:?}");
        assert!(said.err.contains(file), "{parser:?}, seed {seed}: {said:?}");
        let place = told.lines().next().unwrap_or_default().split(':').next().unwrap_or_default();
        let named = said.err.contains(place) || parser == Parser::Workload;
        assert!(named, "{parser:?}, seed {seed}: `{place}` is not named: {said:?}");
        assert!(!said.err.contains('\u{1b}'), "{parser:?}, seed {seed}: steers the terminal: {said:?}");
        let left = std::fs::read_dir(bench.dir.path()).unwrap().count();
        assert_eq!(left, 1, "{parser:?}, seed {seed}: something was written");
    }
}

#[test]
fn bad_workloads_exit_with_2() {
    exits_with_2(Parser::Workload, "run", "w.json");
}

#[test]
fn bad_histories_exit_with_2() {
    for (parser, file) in [(Parser::Jsonl, "h.jsonl"), (Parser::Edn, "h.edn"), (Parser::Log, "h.log")] {
        exits_with_2(parser, "check", file);
    }
}

/// A replica that leaves rubbish is wrong, and nothing is wrong with what was typed.
#[test]
fn a_bad_data_file_is_a_violation_that_names_its_line() {
    for (seed, input, told) in refused(Parser::DataFile).take(EACH) {
        let bench = Bench::new();
        let (good, bad, history) = (bench.path("good"), bench.path("bad"), bench.path("h.jsonl"));
        std::fs::write(&good, "# t\na 100\n").unwrap();
        std::fs::write(&bad, &input).unwrap();
        std::fs::write(&history, "").unwrap();
        let said = bench.shell(&format!(
            "ulimit -v {MEMORY_KIB}; exec '{RSM_CHECK}' check '{}' --replicas '{}' '{}'",
            history.display(),
            good.display(),
            bad.display()
        ));
        assert_eq!(said.exit, Some(1), "seed {seed}, {told}\n{said:?}");
        assert!(said.out.starts_with("violation: replicas identical"), "seed {seed}: {said:?}");
    }
}

/// Whatever stands in the place of a file is neither waited for nor read without end.
#[test]
fn what_is_no_file_exits_with_2_within_bounds() {
    let bench = Bench::new();
    let run = bench.path("run");
    std::fs::create_dir(&run).unwrap();
    std::os::unix::fs::symlink("/dev/zero", run.join("run.json")).unwrap();
    std::fs::write(run.join("history.jsonl"), "").unwrap();
    std::fs::write(bench.path("w"), [0xff; 100]).unwrap();
    let places = [
        ("run /dev/zero", "larger than"),
        ("plan /dev/zero", "larger than"),
        ("check /dev/zero", "longest line"),
        ("run /", "directory"),
        ("check run", "no regular file"),
        ("report run", "no regular file"),
        ("run w", "not UTF-8"),
    ];
    for (words, why) in places {
        let said = bench.shell(&format!("ulimit -v {MEMORY_KIB}; exec '{RSM_CHECK}' {words}")).exits(2);
        assert!(
            said.err.contains(words.split(' ').nth(1).unwrap()) && said.err.contains(why),
            "{words}: {said:?}"
        );
    }
}
