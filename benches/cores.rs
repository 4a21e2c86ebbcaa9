//! How long a core of a violation takes to find, and to confirm.
//!
//! For the bank and every model, with few and with many indeterminate operations that
//! took effect (lost replies) or did not (lost requests). Prints processor times, the
//! size of the core, and what the separate verifier says of it; the figures of one
//! machine stand in docs/benchmarks-checker.md. `cargo bench --bench cores [-- FILTER]`.

#[allow(dead_code)]
#[path = "../tests/linearizability/big.rs"]
mod big;
#[path = "models/history.rs"]
mod history;
#[allow(dead_code)]
#[path = "../tests/linearizability/small.rs"]
mod small;

use std::time::{Duration, Instant};

use big::{Shape, simulate, spoil};
use rsm_check::checker::bank::BankModel;
use rsm_check::checker::core;
use rsm_check::checker::linearizability::{Budget, Outcome, check};
use rsm_check::checker::models::by_text;
use rsm_check::history::untyped::read_untyped;
use rsm_check::proof::{About, Claim, Core, Demand, Proof};
use rsm_check::verifier::{Bank, Effort, Finding, Model, Others, Rules, Subject, verify};

/// What a core may take, as in a run.
const FOR_A_CORE: Budget = Budget { time: Duration::from_secs(5), memory: 2 << 30 };
/// What its verification may take.
const TO_VERIFY: Duration = Duration::from_secs(20);

fn main() {
    let filter: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |name: &str| filter.is_empty() || filter.iter().any(|part| name.contains(part.as_str()));
    println!(
        "{:<44} {:>6} {:>9} {:>9}  {:<34} {:>9}",
        "history, one result wrong", "indet.", "search", "core", "the core", "verified"
    );
    for (name, shape) in banks() {
        if wanted(&name) {
            bank(&name, &shape);
        }
    }
    for model in ["register", "cas-register", "kv", "fifo-queue", "set", "counter"] {
        for lost in [0u32, 1, 5, 20] {
            let name = format!("{model}, 10000, lost {:.1} %", f64::from(lost) / 10.0);
            if wanted(&name) {
                other(&name, model, lost.into());
            }
        }
    }
}

fn banks() -> Vec<(String, Shape)> {
    let mut all = Vec::new();
    let mut add = |name: String, shape: Shape| all.push((format!("bank, {name}"), shape));
    for (operations, clients) in [(10_000, 10), (100_000, 10), (10_000, 50)] {
        add(format!("{operations}, {clients} clients"), Shape { operations, clients, ..Shape::default() });
    }
    for lost in [100, 200, 400, 800] {
        add(format!("10000, lost replies {lost}/100k"), Shape { lost, ..Shape::default() });
    }
    for unfired in [100, 200, 400, 800] {
        add(format!("10000, lost requests {unfired}/100k"), Shape { unfired, ..Shape::default() });
    }
    all
}

fn bank(name: &str, shape: &Shape) {
    let mut big = simulate(shape);
    spoil(&mut big.history);
    let model = BankModel::default();
    let start = cpu();
    let Outcome::Violation(violation) = check(&big.history, &model, &big.finals, &FOR_A_CORE) else {
        println!("{name:<44} {:>6} no violation was found", big.indeterminate);
        return;
    };
    let (search, start) = (cpu() - start, cpu());
    let found = core::find(&big.history, &model, &big.finals, &violation, &FOR_A_CORE);
    let took = cpu() - start;
    let rules = Rules { initial: 100, least_left: Some(1), negative: true };
    let files = big.finals.iter().map(|last| (last.node.as_str(), &last.file));
    let subject = Bank::new(rules, &big.history, files);
    tell(name, big.indeterminate, (search, took), found.map(|found| (found.core, found.minimal)), &subject);
}

fn other(name: &str, model: &'static str, lost: u64) {
    let shape = history::Shape { model, clients: 10, operations: 10_000, lost, wrong: true };
    let text = history::history(&shape);
    let read = read_untyped(text.as_bytes()).expect("the generator writes histories");
    let open = read.operations.iter().filter(|one| one.outcome() == rsm_check::op::Outcome::Info).count();
    let mut judge = by_text(model).expect("a model");
    let start = cpu();
    judge.judge(&read, &FOR_A_CORE).expect("the model knows its operations");
    let (search, start) = (cpu() - start, cpu());
    let (result, claim) = judge.judge_and_claim(&read, &FOR_A_CORE).expect("the same");
    // The second search, the core and the diagnosis.
    let took = (cpu() - start).saturating_sub(search);
    if result.verdict != Some(rsm_check::verdict::Verdict::Violation) {
        println!("{name:<44} {open:>6} no violation was found");
        return;
    }
    let core = if let Some(Claim::Core(core)) = claim { Some((core, true)) } else { None };
    let Ok(Model::Other(kind, initial)) = Model::parse(model) else { unreachable!("named above") };
    let subject = Others::new(kind, &initial, &read).expect("the verifier knows them too");
    tell(name, open, (search, took), core, &subject);
}

fn tell<S: Subject>(
    name: &str,
    open: usize,
    (search, took): (Duration, Duration),
    core: Option<(Core, bool)>,
    subject: &S,
) {
    let Some((core, minimal)) = core else {
        println!("{name:<44} {open:>6} {search:>9.2?} {took:>9.2?}  none");
        return;
    };
    let strong = core.constraints.iter().filter(|one| one.demand != Demand::MayHaveHappened).count();
    let said = format!(
        "{} starts, {strong} of {} demands{}",
        core.start.len(),
        core.constraints.len(),
        if minimal { "" } else { ", not minimal" }
    );
    let about = About { operations: 0, finals: 0, fingerprint: String::new() };
    let proof = Proof::new("", about, Claim::Core(core));
    let (wall, start) = (Instant::now(), cpu());
    let late = || wall.elapsed() > TO_VERIFY;
    let finding = verify(subject, &proof, &mut Effort::new(&late, 1 << 30));
    let checked = cpu() - start;
    let finding = match finding {
        Finding::Confirmed(_) => "confirmed".to_owned(),
        Finding::Refuted(why) => format!("REFUTED: {why}"),
        Finding::Undecided(why) => format!("undecided: {why}"),
    };
    println!("{name:<44} {open:>6} {search:>9.2?} {took:>9.2?}  {said:<34} {checked:>9.2?} {finding}");
}

/// Time that this thread has had a processor for.
fn cpu() -> Duration {
    use nix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}
