//! Brute force for guarantees weaker than linearizability: every order of the effects,
//! and for each process the earliest prefix that explains each observation.
//!
//! Works on prefixes as the definition has them, where the checker puts observations
//! and effects into one order. Shares nothing with the checker.

/// What is to be known of one operation; they stand in the order of invocations.
#[derive(Clone, Copy, Debug)]
pub struct Act {
    pub process: u64,
    /// It ended well; otherwise it may have happened.
    pub required: bool,
    pub writes: bool,
    pub tells: bool,
}

/// Sequential consistency, monotonic reads, read-your-writes, consistent prefix.
/// `step` gives the state afterwards, or nothing where the result is wrong.
pub fn truth<S: Clone>(acts: &[Act], initial: S, step: &dyn Fn(&S, usize) -> Option<S>) -> [bool; 4] {
    let mut found = [false; 4];
    let mut places = vec![None; acts.len()];
    effects(acts, &mut vec![initial], &mut places, step, &mut found);
    found
}

fn effects<S: Clone>(
    acts: &[Act],
    states: &mut Vec<S>,
    places: &mut Vec<Option<usize>>,
    step: &dyn Fn(&S, usize) -> Option<S>,
    found: &mut [bool; 4],
) {
    if (0..acts.len()).all(|at| places[at].is_some() || !acts[at].writes || !acts[at].required) {
        for (guarantee, found) in found.iter_mut().enumerate() {
            *found = *found || explains(guarantee, acts, states, places, step);
        }
    }
    for at in 0..acts.len() {
        if !acts[at].writes || places[at].is_some() {
            continue;
        }
        let Some(after) = step(&states[states.len() - 1], at) else { continue };
        places[at] = Some(states.len());
        states.push(after);
        effects(acts, states, places, step, found);
        states.pop();
        places[at] = None;
    }
}

fn explains<S>(
    guarantee: usize,
    acts: &[Act],
    states: &[S],
    places: &[Option<usize>],
    step: &dyn Fn(&S, usize) -> Option<S>,
) -> bool {
    acts.iter().enumerate().all(|(first, act)| {
        acts[..first].iter().any(|earlier| earlier.process == act.process)
            || session(guarantee, act.process, acts, states, places, step)
    })
}

/// Takes the shortest prefix each time: a longer one never helps what comes later.
fn session<S>(
    guarantee: usize,
    process: u64,
    acts: &[Act],
    states: &[S],
    places: &[Option<usize>],
    step: &dyn Fn(&S, usize) -> Option<S>,
) -> bool {
    let (mut seen, mut own) = (0, 0);
    for (at, act) in acts.iter().enumerate().filter(|(_, act)| act.process == process) {
        let least = match guarantee {
            0 => seen.max(own),
            1 if act.tells => seen,
            2 if act.tells => own,
            _ => 0,
        };
        match (act.writes, places[at]) {
            (true, None) => {}
            (true, Some(place)) => {
                // Of indeterminate ones only the place behind what was asked before counts.
                if (act.required || guarantee == 0) && place <= least {
                    return false;
                }
                if act.required {
                    own = own.max(place);
                    seen = if act.tells { seen.max(place) } else { seen };
                }
            }
            (false, _) if !act.required => {}
            (false, _) => {
                let fits = |&place: &usize| step(&states[place], at).is_some();
                let Some(place) = (least..states.len()).find(fits) else { return false };
                seen = if act.tells || guarantee == 0 { place.max(seen) } else { seen };
            }
        }
    }
    true
}

#[test]
fn the_guarantees_of_brute_force_are_different_ones() {
    // A counter of 1 and 2: the effects 0 and 1, and what is observed of them.
    let act = |process, writes| Act { process, required: true, writes, tells: !writes };
    let judged = |processes: [u64; 4], seen: [i64; 2]| {
        let acts = [
            act(processes[0], true),
            act(processes[1], true),
            act(processes[2], false),
            act(processes[3], false),
        ];
        truth(&acts, 0i64, &|state, at| match at {
            0 | 1 => Some(state + 1 + at as i64),
            _ => (seen[at - 2] == *state).then_some(*state),
        })
    };
    assert_eq!(judged([0, 1, 2, 2], [1, 3]), [true; 4]);
    assert_eq!(judged([0, 1, 2, 2], [3, 1]), [false, false, true, true]);
    assert_eq!(judged([0, 1, 0, 2], [0, 3]), [false, true, false, true]);
    assert_eq!(judged([0, 1, 2, 3], [1, 2]), [false; 4]);
}
