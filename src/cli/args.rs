//! What can be typed.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::sweep::seeds::{Seeds, Shard};
use crate::verdict::{CheckName, Verdict};
use crate::workload::Span;

/// Finds out whether a replicated state machine is right: starts the real
/// processes, drives clients, breaks things on purpose, checks what was seen.
#[derive(Debug, Parser)]
#[command(name = "rsm-check", version, about, max_term_width = 100)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a workload against real processes and judge it.
    #[command(after_help = EXITS)]
    Run(RunArgs),
    /// Run a workload under many seeds, each a process of its own; goes on where it was ended.
    #[command(after_help = EXITS)]
    Sweep(SweepArgs),
    /// Join what the shards of a sweep found.
    #[command(after_help = EXITS)]
    Merge(MergeArgs),
    /// Print what a run would do; starts nothing, same bytes every time.
    Plan(PlanArgs),
    /// Judge a recorded history or run directory again.
    #[command(after_help = EXITS)]
    Check(CheckArgs),
    /// Verify a proof of linearizability, or of its violation, without trusting the search.
    #[command(after_help = VERIFY_EXITS)]
    Verify(VerifyArgs),
    /// Write a history in another format: JSON lines, EDN, Porcupine's events.
    Convert(ConvertArgs),
    /// Draw the reports of a run directory again.
    Report(ReportArgs),
    /// Show all runs in a browser: the reports folder over HTTP, on this machine alone.
    Serve(ServeArgs),
    /// Tell which families of faults work on this machine, and what to allow for the others.
    Doctor(DoctorArgs),
    /// Plant known bugs in the reference system, one at a time, and see which are caught.
    #[command(after_help = SELFTEST_EXITS)]
    Selftest(SelftestArgs),
    /// Print the JSON Schema of workload files, or of run.json.
    Schema(SchemaArgs),
}

const EXITS: &str = "Exit codes: 0 pass (or --expect was met), 1 violation, 2 bad input, 3 undecided, \
    4 the machine or an interruption, 70 a defect of rsm-check.";

const VERIFY_EXITS: &str = "Exit codes: 0 confirmed, 1 refuted, 2 bad input (also: the proof is about \
    another history), 3 undecided, 70 a defect of rsm-check.";

const SELFTEST_EXITS: &str = "Exit codes: 0 the target is met (each bug caught within 60 s in 19 of 20 seeds, \
    no false alarm, 195 of 200 correct runs pass), 1 it is missed, 2 bad input, 3 some bugs need faults \
    that this machine cannot carry out, 4 the machine or an interruption, 70 a defect of rsm-check.";

/// `rsm-check run`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Workload file (JSON; `rsm-check schema` prints its schema).
    pub workload: PathBuf,
    /// Seed of everything that is drawn; overrides the workload's.
    #[arg(long)]
    pub seed: Option<u64>,
    /// The run directory: created if absent, refused if not empty
    /// [default: ./reports/NAME-SEED-TIME].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Command of the replicas, such as 'python3 srv.py {data}'; no shell.
    #[arg(long, value_name = "CMD")]
    pub srv: Option<String>,
    /// Command of the coordinator, such as 'python3 coord.py {ports}'; no shell.
    #[arg(long, value_name = "CMD")]
    pub coord: Option<String>,
    /// Exit 0 if this is the verdict: pass, violation, violation:CHECK, undecided, infra.
    #[arg(long, value_name = "VERDICT[:CHECK]")]
    pub expect: Option<Expectation>,
    #[command(flatten)]
    pub outlets: Outlets,
    #[command(flatten)]
    pub words: Words,
}

/// `rsm-check sweep`.
#[derive(Debug, Args)]
pub(super) struct SweepArgs {
    /// Workload file.
    pub workload: PathBuf,
    /// Seeds, the first and the last included, such as 1..1000.
    #[arg(long, value_name = "A..B")]
    pub seeds: Seeds,
    /// Runs side by side.
    #[arg(long, value_name = "N", default_value = "1", value_parser = jobs)]
    pub jobs: usize,
    /// Run this part alone, such as 3/16.
    #[arg(long, value_name = "I/N", conflicts_with = "shards")]
    pub shard: Option<Shard>,
    /// Run one of N parts: the one that SLURM_ARRAY_TASK_ID or JOB_COMPLETION_INDEX names.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub shards: Option<u64>,
    /// The sweep's directory; one that holds the same sweep is gone on with
    /// [default: ./reports/sweep-NAME, of a shard ./reports/sweep-NAME-I-of-N].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Seeds that failed before, a line each: run first, and failing ones are added.
    #[arg(long, value_name = "FILE")]
    pub regressions: Option<PathBuf>,
    /// Start no more runs after the first violation.
    #[arg(long)]
    pub stop: bool,
    /// Command of the replicas, as of `run`.
    #[arg(long, value_name = "CMD")]
    pub srv: Option<String>,
    /// Command of the coordinator, as of `run`.
    #[arg(long, value_name = "CMD")]
    pub coord: Option<String>,
    /// Nothing on stderr but errors.
    #[arg(long)]
    pub quiet: bool,
}

fn jobs(text: &str) -> Result<usize, String> {
    let refuse = || format!("`{text}` is no number of runs; accepted: 1 to 256");
    text.parse().ok().filter(|jobs| (1..=256).contains(jobs)).ok_or_else(refuse)
}

/// `rsm-check merge`.
#[derive(Debug, Args)]
pub(super) struct MergeArgs {
    /// Directories of sweeps of one workload.
    #[arg(value_name = "DIR", required = true)]
    pub dirs: Vec<PathBuf>,
}

/// Where else a run is told.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Outlets {
    /// Annotations for GitHub Actions on stderr; the summary goes to $GITHUB_STEP_SUMMARY
    /// if that is set.
    #[arg(long)]
    pub github: bool,
    /// Append a summary in Markdown to this file.
    #[arg(long, value_name = "FILE")]
    pub summary: Option<PathBuf>,
    /// Write a trace for Perfetto (ui.perfetto.dev) or chrome://tracing here; an existing
    /// file is refused.
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
}

/// How much is said, and how.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Words {
    /// Nothing on stderr but errors.
    #[arg(long)]
    pub quiet: bool,
    /// One JSON object on stdout instead of the verdict line.
    #[arg(long)]
    pub json: bool,
}

/// `rsm-check plan`.
#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// Workload file.
    pub workload: PathBuf,
    /// Seed; overrides the workload's.
    #[arg(long)]
    pub seed: Option<u64>,
}

/// `rsm-check check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// A history (JSON lines, Jepsen's EDN or text log; plain, .gz or .zst), a run directory,
    /// or - for standard input.
    #[arg(value_name = "HISTORY|RUN_DIR|-")]
    pub what: PathBuf,
    /// Model that outcomes are judged by: bank, register, cas-register, kv, mutex, fifo-queue,
    /// set, counter [default: the run's, else bank:initial=100,guard=strict].
    #[arg(long, value_name = "NAME[:key=value,...]")]
    pub model: Option<String>,
    /// Time for the linearizability check [default: the run's, else 60s].
    #[arg(long, value_name = "SPAN")]
    pub budget: Option<Span>,
    /// Memory for the linearizability check, such as 2GiB or 512MiB [default: the run's, else 2GiB].
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<Memory>,
    /// Data files of the replicas at the end.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub replicas: Vec<PathBuf>,
    /// Write evidence for the verdict about linearizability here, for `rsm-check verify`;
    /// an existing file is refused.
    #[arg(long, value_name = "FILE", conflicts_with = "stream")]
    pub proof: Option<PathBuf>,
    /// Judge linearizability in one pass and hold only operations that overlap: for a history of
    /// the bank that is too long for memory.
    #[arg(long, conflicts_with = "replicas")]
    pub stream: bool,
    /// With --stream: where to write the order that explains the history, as docs/HISTORY.md says;
    /// an existing file is refused.
    #[arg(long, value_name = "FILE", requires = "stream")]
    pub witness: Option<PathBuf>,
    #[command(flatten)]
    pub words: Words,
}

/// `rsm-check verify`.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The history that the proof is about, or a run directory; - for standard input.
    #[arg(value_name = "HISTORY|RUN_DIR|-")]
    pub what: PathBuf,
    /// The proof [default: RUN_DIR/proof.json; of a history it must be named].
    #[arg(long, value_name = "FILE")]
    pub proof: Option<PathBuf>,
    /// Instead of a proof: the order that `check --stream --witness` wrote of a history of the
    /// bank; it is replayed in one pass that holds only operations that overlap.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["proof", "replicas"])]
    pub witness: Option<PathBuf>,
    /// Model that the proof must be about [default: the run's; of a history the proof's; with
    /// --witness bank:initial=100,guard=strict].
    #[arg(long, value_name = "NAME[:key=value,...]")]
    pub model: Option<String>,
    /// Data files of the replicas at the end.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub replicas: Vec<PathBuf>,
    /// Time for the plain search that confirms a core, and for a pass with --witness.
    #[arg(long, value_name = "SPAN", default_value = "60s")]
    pub budget: Span,
    /// Memory for the same, such as 2GiB or 512MiB.
    #[arg(long, value_name = "SIZE", default_value = "2GiB")]
    pub memory: Memory,
    #[command(flatten)]
    pub words: Words,
}

/// `rsm-check convert`.
#[derive(Debug, Args)]
pub(super) struct ConvertArgs {
    /// A history in any format that `check` reads, a run directory, or - for standard input.
    #[arg(value_name = "HISTORY|RUN_DIR|-")]
    pub input: PathBuf,
    /// What to write.
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    pub to: Format,
    /// Where to write it; an existing file is refused [default: standard output].
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Nothing on stderr but errors.
    #[arg(long)]
    pub quiet: bool,
}

/// The formats that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// One JSON object a line, our own.
    Jsonl,
    /// One map a line, as Jepsen's history.edn.
    Edn,
    /// One event a line with the fields of porcupine.Event.
    Porcupine,
}

/// `rsm-check doctor`.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct DoctorArgs {
    /// One JSON array on stdout instead of lines.
    #[arg(long)]
    pub json: bool,
}

/// `rsm-check selftest`.
#[derive(Debug, Clone, Args)]
pub(super) struct SelftestArgs {
    /// Shorter runs, of at most 8 seconds: one seed a bug, 3 runs of the correct system.
    #[arg(long)]
    pub quick: bool,
    /// Go on in the directory of a self-test that was ended.
    #[arg(long, value_name = "DIR")]
    pub resume: Option<PathBuf>,
    /// This bug alone (`coord --bugs` lists them), and no run of the correct system.
    #[arg(long, value_name = "NAME")]
    pub bug: Option<String>,
    /// Seeds a bug, from 1 [default: 20, quick: 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub seeds: Option<u64>,
    /// Runs of the correct system [default: 10 a seed, quick: 3, with --bug none].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    pub correct: Option<u64>,
    /// Try each bug without the faults that it needs too: it must then stay hidden.
    #[arg(long)]
    pub calm: bool,
    /// Runs side by side. Each takes about half a core; too many make each other slow.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
}

/// `rsm-check report`.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// A run directory.
    pub run_dir: PathBuf,
    #[command(flatten)]
    pub outlets: Outlets,
}

/// `rsm-check serve`.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// The folder of run directories.
    #[arg(default_value = crate::run_dir::REPORTS)]
    pub folder: PathBuf,
    /// Port on 127.0.0.1; 0 takes any free one [default: 7878, or any free one if it is taken].
    #[arg(long)]
    pub port: Option<u16>,
}

/// `rsm-check schema`.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct SchemaArgs {
    /// Of which file.
    #[arg(value_enum, default_value_t = SchemaOf::Workload)]
    pub of: SchemaOf,
}

/// The files whose schema is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SchemaOf {
    /// A workload file.
    Workload,
    /// `run.json` of a run directory.
    Run,
}

/// What `--expect` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expectation {
    pub verdict: Verdict,
    pub check: Option<CheckName>,
}

impl FromStr for Expectation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (verdict, check) = match text.split_once(':') {
            Some((verdict, check)) => (verdict, Some(check)),
            None => (text, None),
        };
        let verdict = Verdict::from_name(verdict).ok_or_else(|| {
            format!("`{verdict}` is no verdict; accepted: pass, violation, undecided, infra")
        })?;
        let names = || CheckName::ALL.map(|name| name.name().replace(' ', "-")).join(", ");
        let known = |name| {
            CheckName::from_name(name).ok_or_else(|| format!("`{name}` is no check; accepted: {}", names()))
        };
        Ok(Self { verdict, check: check.map(known).transpose()? })
    }
}

/// An amount of memory in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory(pub u64);

impl FromStr for Memory {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse =
            || format!("`{text}` is no amount of memory; accepted: such as 512MiB or 2GiB, at least 16MiB");
        let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
        let (number, shift) = units
            .iter()
            .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)))
            .ok_or_else(refuse)?;
        let bytes = number.trim().parse::<u64>().ok().and_then(|count| count.checked_mul(1 << shift));
        bytes.filter(|&bytes| bytes >= 16 << 20).map(Self).ok_or_else(refuse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn an_expectation_names_a_verdict_and_perhaps_a_check() {
        let parsed: Expectation = "violation:replicas-identical".parse().unwrap();
        assert_eq!(parsed.check, Some(CheckName::ReplicasIdentical));
        assert!("fail".parse::<Expectation>().unwrap_err().contains("accepted: pass"));
        assert!("pass:nothing".parse::<Expectation>().unwrap_err().contains("accepted: replicas-identical"));
    }

    #[test]
    fn memory_needs_a_unit() {
        assert_eq!("2GiB".parse(), Ok(Memory(2 << 30)));
        for wrong in ["2", "2GB", "GiB", "1KiB", "99999999999TiB"] {
            assert!(wrong.parse::<Memory>().is_err(), "{wrong}");
        }
    }
}
