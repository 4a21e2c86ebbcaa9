//! Random cores: the whole of a part cut anywhere, then perhaps weakened, then perhaps
//! falsified.

use rsm_check::op::Outcome;
use rsm_check::proof::{Constraint, Core, Demand, Start};
use rsm_check::verifier::{Effort, Moment, Subject, standings};
use serde_json::Value;

use super::bank::small::Rng;

/// An honest core demands all that the history does; another one, anything.
pub fn core<S: Subject>(
    rng: &mut Rng,
    subject: &S,
    part: u64,
    honest: bool,
    told: &impl Fn(&S::State) -> Value,
) -> Core {
    let cut = if rng.chance(50) { rng.below(18) } else { 0 };
    let found = standings(subject, part, cut, &mut Effort::new(&|| false, 1 << 30)).unwrap();
    let mut start: Vec<Start> = found
        .iter()
        .map(|(state, happened)| Start { state: told(state), happened: happened.clone() })
        .collect();
    if cut == 0 {
        start.clear();
    }
    start.sort_by_key(|start| (start.state.to_string(), start.happened.clone()));
    let mut constraints = Vec::new();
    for number in (0..subject.count()).filter(|&number| subject.part(number) == part) {
        let span = subject.span(number);
        let over = span.returns.is_some_and(|returns| returns < Moment::from(cut));
        let demand = match span.outcome {
            Outcome::Fail => continue,
            _ if over => continue,
            Outcome::Info => Demand::MayHaveHappened,
            Outcome::Ok => Demand::Explained,
        };
        constraints.push(Constraint { operation: number as u32, demand });
    }
    let mut core = Core { part, cut, start, constraints };
    if !honest {
        weaken(rng, &mut core);
        if rng.chance(50) {
            falsify(rng, &mut core);
        }
    }
    core
}

fn weaken(rng: &mut Rng, core: &mut Core) {
    for constraint in &mut core.constraints {
        if constraint.demand == Demand::Explained && rng.chance(30) {
            constraint.demand = rng.pick(&[Demand::HappenedInTime, Demand::MayHaveHappened]);
        }
    }
    if rng.chance(40) && !core.constraints.is_empty() {
        let at = rng.below(core.constraints.len() as u64) as usize;
        core.constraints.remove(at);
    }
}

fn falsify(rng: &mut Rng, core: &mut Core) {
    let pick = |rng: &mut Rng, length: usize| rng.below(length.max(1) as u64) as usize;
    let (start, constraint) = (pick(rng, core.start.len()), pick(rng, core.constraints.len()));
    match rng.below(6) {
        0 if !core.start.is_empty() => drop(core.start.remove(start)),
        1 if core.start.len() > 1 => core.start[start].state = core.start[0].state.clone(),
        2 if !core.start.is_empty() => core.start[start].happened.clear(),
        3 if !core.start.is_empty() => {
            let operation = rng.below(9) as u32;
            let happened = &mut core.start[start].happened;
            happened.push(operation);
            happened.sort_unstable();
            happened.dedup();
        }
        4 if !core.constraints.is_empty() => core.constraints[constraint].demand = Demand::Explained,
        _ => core.cut = rng.below(18),
    }
}
