//! Cores against brute force: ruled out, weaker than the history, and minimal.
//!
//! The search here is plain and has a state machine of its own; it knows of a core
//! only what the proof format says.

use std::collections::HashSet;
use std::time::Duration;

use rsm_check::checker::bank::{BankModel, Guard, Negative};
use rsm_check::checker::core::{Explanation, find, find_beyond};
use rsm_check::checker::linearizability::{Budget, Final, Outcome, check};
use rsm_check::history::{Call, History, Observed};
use rsm_check::op::Outcome as End;
use rsm_check::proof::{Constraint, Core, Demand, Start};

use crate::big::{Shape, simulate, spoil};
use crate::budget;
use crate::small::{Case, case};

/// One operation as the history tells it.
#[derive(Clone)]
struct Op {
    invoke: u64,
    /// Line of the return; `u64::MAX` for never.
    returns: u64,
    transfer: Option<(usize, usize, i128)>,
    pair: Option<[i128; 2]>,
    read: Vec<(usize, i128)>,
    failed: bool,
    told: bool,
}

impl Op {
    fn has_effect(&self) -> bool {
        self.transfer.is_some_and(|(from, to, amount)| from != to && amount != 0)
    }
}

struct Brute<'a> {
    model: &'a BankModel,
    names: Vec<String>,
    ops: Vec<Op>,
}

type Bank = Vec<i128>;

impl<'a> Brute<'a> {
    fn new(history: &History, model: &'a BankModel, finals: &[Final]) -> Self {
        let mut names = history.accounts.clone();
        for (name, _) in finals.iter().flat_map(|last| &last.file.balances) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        let mut ops: Vec<Op> = history.operations.iter().map(op).collect();
        let lines = history.operations.iter().map(|operation| {
            operation.completion.as_ref().map_or(operation.invoke, |completion| completion.index)
        });
        let end = lines.max().map_or(0, |last| last + 1);
        ops.extend(finals.iter().map(|last| {
            Op {
                invoke: end,
                returns: end + 1,
                transfer: None,
                pair: None,
                read: names
                    .iter()
                    .map(|name| i128::from(last.file.balance(name).unwrap_or(model.initial)))
                    .enumerate()
                    .collect(),
                failed: false,
                told: true,
            }
        }));
        Self { model, names, ops }
    }

    fn initial(&self) -> Bank {
        vec![i128::from(self.model.initial); self.names.len()]
    }

    fn apply(&self, bank: &Bank, at: usize, explained: bool) -> Option<Bank> {
        let op = &self.ops[at];
        let mut after = bank.clone();
        if let Some((from, to, amount)) = op.transfer {
            let guard = match self.model.guard {
                Guard::Strict => bank[from] > amount,
                Guard::AtLeast => bank[from] >= amount,
                Guard::None => true,
            };
            let allowed = amount >= 0 || self.model.negative == Negative::Allowed;
            let fits = |value: i128| i64::try_from(value).is_ok();
            if from != to && guard && allowed && fits(bank[from] - amount) && fits(bank[to] + amount) {
                after[from] -= amount;
                after[to] += amount;
            }
            if explained && op.pair.is_some_and(|pair| pair != [after[from], after[to]]) {
                return None;
            }
        }
        let right = op.read.iter().all(|&(account, seen)| bank[account] == seen);
        (right || !explained).then_some(after)
    }

    /// Whether some order from some start meets all constraints.
    fn is_met(&self, starts: &[(Bank, HashSet<usize>)], constraints: &[Constraint]) -> bool {
        let mut seen = HashSet::new();
        starts.iter().any(|(bank, done)| {
            let mut taken: Vec<bool> = self.ops.iter().map(|_| false).collect();
            done.iter().for_each(|&at| taken[at] = true);
            self.meets(bank, &mut taken, constraints, &mut seen)
        })
    }

    fn meets(
        &self,
        bank: &Bank,
        taken: &mut Vec<bool>,
        constraints: &[Constraint],
        seen: &mut HashSet<(Bank, Vec<bool>)>,
    ) -> bool {
        let strong = |constraint: &&Constraint| constraint.demand != Demand::MayHaveHappened;
        let missing = constraints.iter().filter(strong).filter(|one| !taken[one.operation as usize]);
        let Some(deadline) = missing.map(|one| self.ops[one.operation as usize].returns).min() else {
            return true;
        };
        let key = constraints.iter().map(|one| taken[one.operation as usize]).collect();
        if !seen.insert((bank.clone(), key)) {
            return false;
        }
        for one in constraints {
            let at = one.operation as usize;
            if taken[at] || self.ops[at].invoke > deadline {
                continue;
            }
            let Some(after) = self.apply(bank, at, one.demand == Demand::Explained) else { continue };
            taken[at] = true;
            let met = self.meets(&after, taken, constraints, seen);
            taken[at] = false;
            if met {
                return true;
            }
        }
        false
    }

    /// Every way things can stand at a cut, by trying every order of what came before.
    fn ways(&self, cut: u64) -> HashSet<(Bank, Vec<usize>)> {
        let before: Vec<usize> = (0..self.ops.len())
            .filter(|&at| !self.ops[at].failed && self.ops[at].invoke < cut)
            .filter(|&at| self.ops[at].has_effect() || self.ops[at].told)
            .collect();
        let (mut seen, mut found) = (HashSet::new(), HashSet::new());
        let mut stack = vec![(self.initial(), Vec::<usize>::new())];
        while let Some((bank, done)) = stack.pop() {
            if !seen.insert((bank.clone(), done.clone())) {
                continue;
            }
            let open = |at: &&usize| !done.contains(at);
            if before.iter().filter(open).all(|&at| self.ops[at].returns >= cut) {
                let happened = done.iter().copied().filter(|&at| self.ops[at].returns >= cut).collect();
                found.insert((bank.clone(), happened));
            }
            let deadline =
                before.iter().filter(open).map(|&at| self.ops[at].returns).min().unwrap_or(u64::MAX);
            for &at in before.iter().filter(open).filter(|&&at| self.ops[at].invoke < deadline) {
                if let Some(after) = self.apply(&bank, at, true) {
                    let mut more = done.clone();
                    more.push(at);
                    more.sort_unstable();
                    stack.push((after, more));
                }
            }
        }
        found
    }

    /// Whether some order of just the operations between them leads from a start to a way;
    /// one that need not happen may be left out, for then as much can follow.
    fn leads(&self, (bank, done): &(Bank, HashSet<usize>), way: &(Bank, Vec<usize>)) -> bool {
        if !done.iter().all(|at| way.1.contains(at)) {
            return false;
        }
        let mut lacking = way.1.iter().filter(|at| !done.contains(at));
        if *bank == way.0 && lacking.clone().all(|&at| self.ops[at].returns == u64::MAX) {
            return true;
        }
        lacking.any(|&at| {
            let with = |after| (after, done.iter().copied().chain([at]).collect());
            self.apply(bank, at, true).is_some_and(|after| self.leads(&with(after), way))
        })
    }

    fn starts(&self, core: &Core) -> Vec<(Bank, HashSet<usize>)> {
        let start = |start: &Start| {
            let state = start.state.as_object().expect("an object of balances");
            let balance = |name: &String| {
                state
                    .get(name)
                    .map_or(i128::from(self.model.initial), |held| i128::from(held.as_i64().unwrap()))
            };
            let bank = self.names.iter().map(balance).collect();
            (bank, start.happened.iter().map(|&number| number as usize).collect())
        };
        match core.cut {
            0 => vec![(self.initial(), HashSet::new())],
            _ => core.start.iter().map(start).collect(),
        }
    }
}

fn op(operation: &rsm_check::history::Operation) -> Op {
    let ok = operation.outcome() == End::Ok;
    let completion = operation.completion.as_ref().filter(|_| ok);
    let observed = completion.map(|completion| &completion.observed);
    let transfer = match operation.call {
        Call::Transfer { from, to, amount } => Some((from.0 as usize, to.0 as usize, i128::from(amount))),
        Call::Read => None,
    };
    Op {
        invoke: operation.invoke,
        returns: completion.map_or(u64::MAX, |completion| completion.index),
        transfer,
        pair: if let Some(Observed::Pair(pair)) = observed { Some(pair.map(i128::from)) } else { None },
        read: match observed {
            Some(Observed::Balances(seen)) => {
                seen.iter().map(|&(account, value)| (account.0 as usize, i128::from(value))).collect()
            }
            _ => Vec::new(),
        },
        failed: operation.outcome() == End::Fail,
        told: observed.is_some_and(|observed| *observed != Observed::Nothing),
    }
}

/// Everything that the proof format promises of a core, or what is wrong with it.
fn confirm(brute: &Brute<'_>, core: &Core) -> Result<(), String> {
    let strong = |one: &&Constraint| one.demand != Demand::MayHaveHappened;
    let until =
        core.constraints.iter().filter(strong).map(|one| brute.ops[one.operation as usize].returns).max();
    let until = until.ok_or("nothing is demanded")?;
    if !core.constraints.is_sorted_by(|one, other| one.operation < other.operation) {
        return Err("not ascending".into());
    }
    for (at, op) in brute.ops.iter().enumerate() {
        let listed = core.constraints.iter().find(|one| one.operation as usize == at);
        let matters = op.has_effect() && !op.failed && op.invoke < until && op.returns >= core.cut;
        match listed.map(|one| one.demand) {
            None if matters => return Err(format!("operation {at} may matter and is not listed")),
            Some(_) if op.failed || op.returns < core.cut => return Err(format!("operation {at} is listed")),
            Some(Demand::Explained | Demand::HappenedInTime) if op.returns == u64::MAX => {
                return Err(format!("operation {at} need not have happened"));
            }
            _ => {}
        }
    }
    let starts = brute.starts(core);
    if core.cut > 0 {
        let all = brute.ways(core.cut);
        let is_way = |start: &(Bank, HashSet<usize>)| {
            let mut happened: Vec<usize> = start.1.iter().copied().collect();
            happened.sort_unstable();
            all.contains(&(start.0.clone(), happened))
        };
        if let Some(start) = starts.iter().find(|start| !is_way(start)) {
            return Err(format!("things cannot stand at the cut as {start:?}"));
        }
        if let Some(way) = all.iter().find(|way| !starts.iter().any(|start| brute.leads(start, way))) {
            return Err(format!("things can stand at the cut as {way:?}, and no start leads there"));
        }
    }
    if brute.is_met(&starts, &core.constraints) { Err("an order meets it".into()) } else { Ok(()) }
}

/// Every core with one constraint weakened by one step.
fn weaker(brute: &Brute<'_>, core: &Core) -> Vec<Core> {
    let mut all = Vec::new();
    for (at, one) in core.constraints.iter().enumerate() {
        let op = &brute.ops[one.operation as usize];
        let demand = match one.demand {
            Demand::Explained if op.has_effect() && op.pair.is_some() => Some(Demand::HappenedInTime),
            Demand::Explained | Demand::HappenedInTime if op.has_effect() => Some(Demand::MayHaveHappened),
            Demand::Explained | Demand::HappenedInTime => None,
            Demand::MayHaveHappened => continue,
        };
        let mut core = core.clone();
        match demand {
            Some(demand) => core.constraints[at].demand = demand,
            None => drop(core.constraints.remove(at)),
        }
        all.push(core);
    }
    all
}

fn strong(core: &Core) -> usize {
    core.constraints.iter().filter(|one| one.demand != Demand::MayHaveHappened).count()
}

/// No set of fewer operations is ruled out, of those that had returned when the one
/// that fails did.
fn is_smallest(brute: &Brute<'_>, core: &Core, failing: u32) -> bool {
    let until = brute.ops[failing as usize].returns;
    let listed: HashSet<u32> = core.constraints.iter().map(|one| one.operation).collect();
    let candidates: Vec<u32> = (0..brute.ops.len() as u32)
        .filter(|&at| {
            let op = &brute.ops[at as usize];
            !op.failed && op.returns <= until && op.returns >= core.cut
        })
        .collect();
    let starts = brute.starts(core);
    (0u32..1 << candidates.len()).filter(|set| (set.count_ones() as usize) < strong(core)).all(|set| {
        let must =
            |number: &u32| candidates.iter().position(|at| at == number).is_some_and(|at| set >> at & 1 == 1);
        let every = 0..brute.ops.len() as u32;
        let constraints: Vec<Constraint> = every
            .filter(|number| must(number) || listed.contains(number) || effect_after(brute, core, *number))
            .filter(|number| must(number) || brute.ops[*number as usize].has_effect())
            .map(|operation| Constraint {
                operation,
                demand: if must(&operation) { Demand::Explained } else { Demand::MayHaveHappened },
            })
            .collect();
        brute.is_met(&starts, &constraints)
    })
}

fn effect_after(brute: &Brute<'_>, core: &Core, number: u32) -> bool {
    let op = &brute.ops[number as usize];
    op.has_effect() && !op.failed && op.returns >= core.cut
}

fn violating(seed: u64, most: u64) -> Option<(Case, rsm_check::checker::linearizability::Violation)> {
    let case = case(seed, most);
    match check(&case.history, &case.model, &case.finals, &budget()) {
        Outcome::Violation(violation) => Some((case, violation)),
        _ => None,
    }
}

fn is_right(seed: u64, case: &Case, found: &Explanation, failing: u32) {
    let brute = Brute::new(&case.history, &case.model, &case.finals);
    let core = &found.core;
    assert_eq!(confirm(&brute, core), Ok(()), "seed {seed}: {core:?} of {case:?}");
    assert!(found.minimal && found.smallest, "seed {seed}: not made minimal");
    for weaker in weaker(&brute, core) {
        assert!(
            brute.is_met(&brute.starts(&weaker), &weaker.constraints),
            "seed {seed}: not minimal: {core:?} of {case:?}"
        );
    }
    if seed.is_multiple_of(7) && brute.ops.len() <= 9 {
        assert!(is_smallest(&brute, core, failing), "seed {seed}: not smallest: {core:?} of {case:?}");
    }
}

fn cores(first: u64, count: u64, most: u64, short: usize) -> usize {
    let mut found = 0;
    for (seed, (case, violation)) in
        (first..first + count).filter_map(|seed| Some((seed, violating(seed, most)?)))
    {
        let core = find_beyond(short, &case.history, &case.model, &case.finals, &violation, &budget());
        // More ways than a core lists are no core.
        let Some(core) = core else {
            assert!(short == 0, "seed {seed}: no core of {case:#?}");
            continue;
        };
        is_right(seed, &case, &core, violation.operation);
        found += 1;
    }
    found
}

#[test]
fn a_core_of_a_small_history_is_confirmed_by_brute_force_and_minimal() {
    assert!(cores(0, 6_000, 9, 20) > 1_500);
}

#[test]
fn a_core_after_a_cut_lists_every_way_in_which_things_can_stand() {
    let found = cores(2_000_000, 6_000, 9, 0);
    assert!(found > 1_500, "{found}");
}

#[test]
#[ignore = "slow unoptimised; run it in release: cargo test --release --test linearizability -- --ignored"]
fn a_long_history_with_one_wrong_result_has_a_core_of_a_handful_of_operations() {
    let mut big = simulate(&Shape { operations: 3_000, ..Shape::default() });
    spoil(&mut big.history);
    let model = BankModel::default();
    let budget = Budget { time: Duration::from_secs(300), memory: 1 << 30 };
    let Outcome::Violation(violation) = check(&big.history, &model, &big.finals, &budget) else {
        panic!("one result is wrong")
    };
    let found = find(&big.history, &model, &big.finals, &violation, &budget).expect("a core");
    assert!(found.minimal, "{found:#?}");
    assert!(strong(&found.core) <= 5, "{found:#?}");
    assert!(found.core.cut > 0 && found.core.constraints.len() < 40, "{found:#?}");
}

#[test]
fn an_effect_is_never_dropped_for_without_it_a_legal_second_transfer_looks_wrong() {
    let text = concat!(
        r#"{"index":0,"time":1,"process":0,"type":"invoke","f":"transfer","value":{"from":"a","to":"b","amount":5}}"#,
        "\n",
        r#"{"index":1,"time":2,"process":0,"type":"ok","f":"transfer","value":{"from":"a","to":"b","amount":5,"balances":[95,105]}}"#,
        "\n",
        r#"{"index":2,"time":3,"process":0,"type":"invoke","f":"transfer","value":{"from":"a","to":"b","amount":5}}"#,
        "\n",
        r#"{"index":3,"time":4,"process":0,"type":"ok","f":"transfer","value":{"from":"a","to":"b","amount":5,"balances":[91,109]}}"#,
        "\n",
    );
    let history = rsm_check::history::read::read(text.as_bytes()).expect("a history");
    let model = BankModel::default();
    let Outcome::Violation(violation) = check(&history, &model, &[], &budget()) else { panic!("legal?") };
    let found = find(&history, &model, &[], &violation, &budget()).expect("a core");
    let brute = Brute::new(&history, &model, &[]);
    assert_eq!(confirm(&brute, &found.core), Ok(()));
    assert!(found.core.constraints.iter().any(|one| one.operation == 0), "{found:#?}");
    let dropped = Core { constraints: found.core.constraints[1..].to_vec(), ..found.core };
    assert!(confirm(&brute, &dropped).is_err(), "the oracle of this test must notice it too");
}
