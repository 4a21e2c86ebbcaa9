//! The workload file as written: what a user asks for, and nothing else.
//!
//! Typed with serde, described by the JSON Schema that `rsm-check schema` prints.
//! [`load()`] reads it and refuses what is wrong with the place in the file
//! ([`error`]); what the fields mean together is judged in [`validate`]. Must not
//! know what the plan draws from it, nor how anything is carried out.

mod clock;
mod disk;
pub mod error;
mod load;
mod mix;
mod nemesis;
mod network;
mod process;
mod scalar;
mod target;
mod validate;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use clock::Offset;
pub use disk::Disks;
pub use load::{load, parse, refuse};
pub use mix::QUIET;
pub use nemesis::{Event, Everything, Intensity, Mix as FaultMix, MixOptions, Nemesis, Spread};
pub use network::{How, Party, Way, cut_links};
pub use scalar::{Name, Span};
pub use target::Target;
pub(crate) use validate::check_command;

use crate::fault::disk::{Leaves, Request, Victim};
use crate::fault::network::Distribution;
use crate::fault::{Family, FaultKind};

/// A workload: what to start, what to ask of it, what to break, what to check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// Where an editor finds the schema; not used.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Name of runs and of their directories.
    pub name: Name,
    /// What the workload is for, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Seed of everything that is drawn; `--seed` overrides it. Without either
    /// one is drawn and printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// How long clients run. With `operations` too, whichever ends first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Span>,
    /// How many operations the clients invoke together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<u64>,
    /// Explicit operations instead of drawn ones; each client works off its own
    /// in the order of the list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub script: Vec<ScriptedOperation>,
    /// The processes under test.
    #[serde(default)]
    pub cluster: Cluster,
    /// The disks of the replicas; given or not, they are there if a fault needs them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Disks>,
    /// Who asks what.
    #[serde(default)]
    pub clients: Clients,
    /// What is broken, where and when.
    #[serde(default, skip_serializing_if = "Nemesis::is_empty")]
    pub nemesis: Nemesis,
    /// What becomes of faults that this machine cannot carry out (`rsm-check doctor`).
    #[serde(default)]
    pub unsupported: Unsupported,
    /// Whether faults that damage synced data may exceed what a replicated system can
    /// survive; then the expected verdict is a violation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub beyond_budget: bool,
    /// Whether at the end, after the heal, one replica is killed, an operation is
    /// acknowledged without it, and it is started again a second later, when nobody asks
    /// any more. By default with `"nemesis": "all"`, where there are 3 replicas or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latecomer: Option<bool>,
    /// The model that outcomes are judged by.
    #[serde(default = "default_model")]
    pub model: String,
    /// Whether clients stop and faults are healed at the first operation that no order
    /// explains; the run then goes through its other phases as ever.
    #[serde(default = "default_stop")]
    pub stop_on_violation: bool,
    /// What is checked.
    #[serde(default)]
    pub checks: Checks,
    /// Ceilings for waiting and for checking.
    #[serde(default)]
    pub budgets: Budgets,
}

/// The model of the exercise: every account starts at 100, strict guard.
pub const DEFAULT_MODEL: &str = "bank:initial=100,guard=strict";

fn default_model() -> String {
    DEFAULT_MODEL.into()
}

fn default_stop() -> bool {
    true
}

/// What becomes of faults that the machine cannot carry out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unsupported {
    /// The run stops before anything starts (exit 4).
    #[default]
    Stop,
    /// They are left out, and the verdict line says so.
    Skip,
}

/// One operation of a script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScriptedOperation {
    /// Which client invokes it, from 0.
    pub client: u32,
    /// Debited account.
    pub from: String,
    /// Credited account.
    pub to: String,
    /// Money units; 0 reads.
    pub amount: i64,
}

/// The processes under test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cluster {
    /// Number of replicas, 1 to 9.
    pub replicas: u16,
    /// Which edition of the reference system the default commands start.
    pub edition: Edition,
    /// How replicas are started.
    pub srv: NodeLaunch,
    /// How the coordinator is started.
    pub coord: NodeLaunch,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            replicas: 3,
            edition: Edition::Durable,
            srv: NodeLaunch::default(),
            coord: NodeLaunch::default(),
        }
    }
}

/// Editions of the reference system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Edition {
    /// The exercise, fault for fault.
    Classic,
    /// The same service, right.
    Durable,
}

/// How a node is started and stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NodeLaunch {
    /// Command with POSIX quoting, no shell; placeholders {data} {dir} {name}
    /// for a replica, {ports} {dir} {name} for the coordinator. Default: the
    /// reference system beside `rsm-check`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Environment variables, added to the caller's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Regular expression; its first group is the port.
    pub ready: String,
    /// Signal of the graceful stop.
    pub stop_signal: StopSignal,
    /// How long a start may take until the port is printed.
    pub start_ceiling: Span,
}

impl Default for NodeLaunch {
    fn default() -> Self {
        Self {
            command: None,
            env: BTreeMap::new(),
            ready: r"Listening on port (\d+)".into(),
            stop_signal: StopSignal::Term,
            start_ceiling: Span::seconds(10),
        }
    }
}

/// Signals that ask a node to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum StopSignal {
    /// SIGTERM.
    Term,
    /// SIGINT.
    Int,
    /// SIGQUIT.
    Quit,
    /// SIGHUP.
    Hup,
}

/// Who asks what, how fast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Clients {
    /// Concurrent clients, 1 to 1000.
    pub count: u32,
    /// Operations per second of each client; absent: as fast as possible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// After this an operation without a reply is indeterminate.
    pub deadline: Span,
    /// Shares of the kinds of operations.
    pub mix: Mix,
    /// Number of accounts (named a, b, c, ...) or their names.
    pub accounts: Accounts,
    /// Range of drawn amounts, both ends included. The default has the guard
    /// refuse 20-50 % of transfers: otherwise transfers commute and a lost order
    /// leaves no trace.
    pub amounts: Amounts,
    /// Zipf exponent of the choice of accounts; 0 is uniform.
    pub skew: f64,
    /// With a `rate`: times at which clients are as fast as replies come, all at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<Burst>,
    /// Share of the requests, 0 to 1, that are written in two pieces, 5 ms apart.
    #[serde(skip_serializing_if = "is_zero")]
    pub split: f64,
    /// One client more, which sends so many bad requests a second: amounts beyond 64 bits,
    /// fields too few or too many, bytes that are no text. They are lines by `bad` in the
    /// history, and no model applies them: who carries one out is caught by its effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bad: Option<f64>,
}

fn is_zero(share: &f64) -> bool {
    *share == 0.0
}

/// Times without a pace.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Burst {
    /// From one beginning to the next.
    pub every: Span,
    /// How long each lasts.
    #[serde(rename = "for")]
    pub lasts: Span,
}

impl Default for Clients {
    fn default() -> Self {
        Self {
            count: 8,
            rate: None,
            deadline: Span::seconds(2),
            mix: Mix::default(),
            accounts: Accounts::Count(8),
            amounts: Amounts::default(),
            skew: 0.0,
            burst: None,
            split: 0.0,
            bad: None,
        }
    }
}

/// Shares of the kinds of operations, as weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mix {
    /// Transfers with an amount drawn from `amounts`.
    pub transfer: u32,
    /// Transfers of 0, which read two balances.
    pub read: u32,
}

impl Default for Mix {
    fn default() -> Self {
        Self { transfer: 90, read: 10 }
    }
}

/// Accounts by number or by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a number of accounts from 2 to 1000, or a list of at least 2 names")]
pub enum Accounts {
    /// So many, named a, b, ... z, aa, ab, ...
    Count(u32),
    /// These.
    Names(Vec<String>),
}

impl Accounts {
    /// The names.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Count(count) => (0..*count).map(account_name).collect(),
            Self::Names(names) => names.clone(),
        }
    }
}

/// a, b, ... z, aa, ab, ... as spreadsheets name their columns.
fn account_name(mut number: u32) -> String {
    let mut letters = Vec::new();
    loop {
        letters.push(b'a' + (number % 26) as u8);
        if number < 26 {
            break;
        }
        number = number / 26 - 1;
    }
    letters.iter().rev().map(|&letter| letter as char).collect()
}

/// A range of amounts, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Amounts {
    /// Least amount.
    pub min: i64,
    /// Greatest amount.
    pub max: i64,
}

impl Default for Amounts {
    fn default() -> Self {
        Self { min: 1, max: 100 }
    }
}

/// One line of the nemesis: a fault, where, when, for how long.
///
/// Exactly one of `every`, `at` and `when` says when.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// What is done.
    pub fault: FaultKind,
    /// To whom; a link fault hits the link that leads there. Only a `partition`
    /// with `groups` does without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Rhythm: the mean time between two beginnings; `spread` says how gaps vary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// `every`: how the gaps are drawn; `uniform` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<Spread>,
    /// `every`: nothing begins before so long after the clients began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Span>,
    /// `every`: every fault has ended so long after the clients began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Span>,
    /// Once, so long after the clients began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Span>,
    /// Once, at a logical event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Event>,
    /// How long the fault lasts until it is healed.
    #[serde(rename = "for", default = "default_fault_span")]
    pub lasts: Span,
    /// `crash-loop`: how long the node runs each time until it is killed again; 0s
    /// kills it as soon as it is ready. 200ms by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Span>,
    /// Network faults but `refuse` and `duplicate`: which way; `both` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Way>,
    /// Network faults but `clog`: on for the first half of each such period, off for
    /// the second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flap: Option<Span>,
    /// `delay`: how much later each chunk arrives. `slow-close`: how much later a
    /// close does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Span>,
    /// `delay`: how much the latency varies from chunk to chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Span>,
    /// `delay`: how the latency varies; `uniform` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
    /// `bandwidth`: what all connections of the link carry together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// `slice`: so many bytes at a time. `truncate`: each connection is cut after so many.
    /// `disk-full`: so many more fit; 0 by default. `truncate-file`: so many are cut off;
    /// 1 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// `slice`: the pause between two pieces; 2ms by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Span>,
    /// `duplicate`: the share of messages that arrive twice; 1 by default.
    /// `disk-errors`: the share of requests that fail; 1 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// `partition`: who is parted from whom. Links between members of different
    /// groups are cut; who stands in none keeps all links.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<Vec<Party>>>,
    /// `partition`: what is done to the links; `drop` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<How>,
    /// `clock-jump`, `clock-strobe`: how far; drawn from 11 ms to 287 s, either way, by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Offset>,
    /// `clock-rate`: so many times as fast, 0 to 1000; drawn from 0.4 to 2.5 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// `power-failure`: what of the unsynced writes is left; `nothing` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaves: Option<Leaves>,
    /// `disk-errors`: the requests that fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Vec<Request>>,
    /// `disk-slow`: how much longer each write takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<Span>,
    /// `disk-slow`: how much longer each fsync takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fsync: Option<Span>,
    /// `bit-flip`: how many bits; 1 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<u64>,
    /// `bit-flip`, `truncate-file`: which file; `any` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Victim>,
}

fn default_fault_span() -> Span {
    Span::seconds(1)
}

/// What is checked. A check that is switched off is named in the verdict line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Checks {
    /// The replica files hold the same bytes at the end.
    pub replicas_identical: bool,
    /// One order explains every outcome and the final files.
    pub linearizable: bool,
    /// Money is neither made nor lost.
    pub conserved: bool,
    /// No balance falls below what the guard allows.
    pub overdraft: bool,
    /// What a node's exit that nobody asked for is.
    pub unrequested_exit: ExitPolicy,
    /// Every reply that no fault touched could be read.
    pub protocol: bool,
    /// Service was given in every window in which it was possible. Default: on
    /// for the durable reference system, off for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available: Option<bool>,
    /// Length of such a window.
    pub available_window: Span,
    /// Fewer acknowledged operations than this prove nothing.
    pub minimum_acknowledged: u64,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            replicas_identical: true,
            linearizable: true,
            conserved: true,
            overdraft: true,
            unrequested_exit: ExitPolicy::Violation,
            protocol: true,
            available: None,
            available_window: Span::seconds(5),
            minimum_acknowledged: 10,
        }
    }
}

/// How an exit that nobody asked for is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExitPolicy {
    /// It is a violation and ends the faulty phase.
    Violation,
    /// It is noted; the node stays down.
    Note,
}

/// Ceilings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Budgets {
    /// Time for the linearizability checker.
    pub check: Span,
    /// Memory for the linearizability checker, in MiB.
    pub memory_mib: u64,
    /// How long the files may take to come to rest after the last heal.
    pub settle: Span,
    /// How long a graceful stop may take before SIGKILL.
    pub stop: Span,
}

impl Default for Budgets {
    fn default() -> Self {
        Self { check: Span::seconds(60), memory_mib: 2048, settle: Span::seconds(10), stop: Span::seconds(5) }
    }
}

impl Workload {
    /// The families of faults that it asks for, each once, in their order.
    pub fn families(&self) -> Vec<Family> {
        let asked = |family: &Family| {
            (*family == Family::Disk && self.disk.is_some())
                || self.rules().iter().any(|rule| rule.needs(*family))
        };
        Family::ALL.into_iter().filter(asked).collect()
    }

    /// Whether every node is started with the default command of an edition.
    pub fn tests_reference_system(&self) -> bool {
        self.cluster.srv.command.is_none() && self.cluster.coord.command.is_none()
    }

    /// The rules of the nemesis: those of the list, or what `all` stands for.
    pub fn rules(&self) -> std::borrow::Cow<'_, [FaultRule]> {
        match self.nemesis.intensity() {
            None => self.nemesis.list().into(),
            Some(intensity) => {
                let rules = mix::rules(intensity, self.cluster.replicas);
                rules.into_iter().filter(|rule| self.keeps(rule.fault.family())).collect()
            }
        }
    }

    /// Whether a replica comes late at the end.
    pub fn has_latecomer(&self) -> bool {
        let everything = self.nemesis.intensity().is_some() && self.keeps(Family::Process);
        self.cluster.replicas >= 3 && self.latecomer.unwrap_or(everything)
    }

    fn keeps(&self, family: Family) -> bool {
        !self.nemesis.without().contains(&family)
    }

    /// Whether service is demanded: as asked, else only of the durable edition.
    pub fn demands_availability(&self) -> bool {
        let durable = self.cluster.edition == Edition::Durable && self.tests_reference_system();
        self.checks.available.unwrap_or(durable)
    }

    /// The JSON Schema of workload files, pretty-printed.
    pub fn json_schema() -> String {
        let schema = schemars::schema_for!(Workload);
        format!("{:#}\n", schema.as_value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_named_like_columns() {
        let names = Accounts::Count(28).names();
        assert_eq!((names[0].as_str(), names[25].as_str()), ("a", "z"));
        assert_eq!((names[26].as_str(), names[27].as_str()), ("aa", "ab"));
    }

    #[test]
    fn availability_is_demanded_of_the_durable_edition_alone_unless_asked() {
        let mut workload = parse("w.json", r#"{"name":"x","duration":"1s"}"#).unwrap();
        assert!(workload.demands_availability());
        workload.cluster.edition = Edition::Classic;
        assert!(!workload.demands_availability());
        workload.checks.available = Some(true);
        assert!(workload.demands_availability());
    }
}
