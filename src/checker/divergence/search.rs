//! Looks for the simplest change of an order that gives exactly one file.
//!
//! Kinds of changes are tried from the simplest on, and the first kind that has one
//! ends the search. Within a kind, sums of effects pick the candidates, which is
//! complete as long as no later guard decides otherwise; where work is left, the
//! candidates that only replays can find are tried too. Every change that is handed
//! back was replayed. Knows no words.

use rustc_hash::FxHashMap;

use super::change::Change;
use super::replay::{Replays, Spare, Step, effect};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Changes of one kind and size, each of which gives the file; the first one
    /// suits the places of interest best.
    pub changes: Vec<Change>,
    /// There may be more of them than are listed.
    pub more: bool,
    /// Where one transfer is missing: another order of two that gives the same file.
    pub also: Option<Change>,
}

/// What a search ended with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Nothing has to be changed.
    Same,
    /// The simplest changes.
    Changed(Found),
    /// None of the kinds that were tried.
    Nothing {
        /// Work ran out before all candidates of these kinds were tried.
        cut_short: bool,
    },
}

/// Transfers that each kind of change may apply in its replays.
const WORK: u64 = 20_000_000;
/// Changes that are listed at most.
const LISTED: usize = 1000;
/// Different transfers up to which three missing ones are looked for.
const KINDS_FOR_THREE: usize = 1500;
/// How far apart two swapped transfers may be.
const NEAR: usize = 8;
/// Later places at which a transfer may come once more.
const LATER: usize = 32;
/// Places tried around each place of interest.
const AROUND: usize = 60;

/// The simplest change. `places` are those at which something happened to the
/// replica, as positions in the order.
pub fn simplest(replays: &mut Replays<'_>, places: &[usize]) -> Answer {
    if replays.holds() {
        return Answer::Same;
    }
    let mut search = Search { lacking: replays.lacking(), replays, places, cut_short: false };
    let kinds: [Kind<'_, '_>; 14] = [
        Search::one_lacking,
        Search::one_extra,
        Search::one_twice,
        Search::swapped,
        Search::one_unguarded,
        Search::one_by_replay,
        Search::suffix,
        Search::window_around,
        Search::window,
        Search::kept,
        Search::window_by_replay,
        Search::two,
        Search::lacking_and_twice,
        Search::three,
    ];
    for kind in kinds {
        search.replays.allow(WORK);
        let changes = kind(&mut search);
        let spent = search.replays.spent();
        search.cut_short |= spent;
        if !changes.is_empty() {
            let more = spent || changes.len() >= LISTED;
            let also = search.another_order(&changes);
            let changes = changes.into_iter().map(|change| change.at_an_end(search.len())).collect();
            return Answer::Changed(Found { changes: search.nearest_first(changes), more, also });
        }
    }
    Answer::Nothing { cut_short: search.cut_short }
}

struct Search<'r, 'a> {
    replays: &'r mut Replays<'a>,
    /// The sum of effects that the order has and the file has not.
    lacking: u64,
    places: &'r [usize],
    cut_short: bool,
}

/// One kind of change, with all that a search found of it.
type Kind<'r, 'a> = fn(&mut Search<'r, 'a>) -> Vec<Change>;

/// Applied transfers by what they do.
type Kinds = FxHashMap<u64, Vec<usize>>;

impl Search<'_, '_> {
    fn len(&self) -> usize {
        self.replays.steps.len()
    }

    fn steps(&self) -> &[Step] {
        self.replays.steps
    }

    /// Those that lead to the file, up to a limit.
    fn confirmed(&mut self, candidates: impl IntoIterator<Item = Change>) -> Vec<Change> {
        let mut found = Vec::new();
        for change in candidates {
            if found.len() >= LISTED || self.replays.spent() {
                break;
            }
            if self.replays.leads(&change) {
                found.push(change);
            }
        }
        found
    }

    /// Applied steps whose effect is this sum.
    fn with_effect(&self, wanted: u64) -> Vec<usize> {
        (0..self.len())
            .filter(|&step| self.replays.moves(step) && self.replays.effects[step] == wanted)
            .collect()
    }

    fn one_lacking(&mut self) -> Vec<Change> {
        let steps = self.with_effect(self.lacking);
        self.confirmed(steps.into_iter().map(|step| Change::Lacks(vec![step])))
    }

    fn one_extra(&mut self) -> Vec<Change> {
        let spares = self.replays.spares.to_vec();
        let wanted = self.lacking.wrapping_neg();
        let fits = |(_, spare): &(usize, Spare)| effect(&spare.step) == wanted;
        let fitting = spares.into_iter().enumerate().filter(fits);
        let mut found = Vec::new();
        for (at, spare) in fitting.collect::<Vec<_>>() {
            let places = places_from(spare.earliest, self.len());
            let places = places.map(|place| Change::Extra { spare: at, place }).collect::<Vec<_>>();
            found.extend(self.first_of(places));
        }
        found
    }

    /// The first one that leads to the file.
    fn first_of(&mut self, candidates: Vec<Change>) -> Option<Change> {
        candidates.into_iter().find(|change| self.replays.leads(change))
    }

    fn one_twice(&mut self) -> Vec<Change> {
        let steps = self.with_effect(self.lacking.wrapping_neg());
        let found = self.confirmed(steps.iter().map(|&step| Change::Twice(vec![step])));
        if !found.is_empty() {
            return found;
        }
        let len = self.len();
        let later = |step: usize| {
            let places = places_from(step + 1, len).map(move |place| Change::Again { step, place });
            places.collect::<Vec<_>>()
        };
        steps.into_iter().filter_map(|step| self.first_of(later(step))).collect()
    }

    fn one_unguarded(&mut self) -> Vec<Change> {
        let wanted = self.lacking.wrapping_neg();
        let refused = |&step: &usize| !self.replays.moves(step) && effect(&self.steps()[step]) == wanted;
        let steps: Vec<usize> = (0..self.len()).filter(refused).collect();
        self.confirmed(steps.into_iter().map(Change::Unguarded))
    }

    /// A lost suffix; the shortest.
    fn suffix(&mut self) -> Vec<Change> {
        let ends = self.replays.ends_from(0);
        ends.last().map(|&until| Change::Kept { from: 0, until }).into_iter().collect()
    }

    /// A lost window near a place of interest, whatever later guards decide.
    fn window_around(&mut self) -> Vec<Change> {
        let len = self.len();
        let around = |place: usize| place.saturating_sub(AROUND)..(place + AROUND).min(len + 1);
        let mut windows = Vec::new();
        for (number, &first) in self.places.iter().enumerate() {
            for &last in self.places[number..].iter().take(2) {
                let all = around(first).flat_map(|from| around(last).map(move |until| (from, until)));
                windows.extend(all.filter(|(from, until)| from < until));
            }
        }
        windows.sort_by_key(|&(from, until)| (until - from, from));
        windows.dedup();
        self.shortest(windows)
    }

    /// All windows of the least length that lead to the file.
    fn shortest(&mut self, windows: Vec<(usize, usize)>) -> Vec<Change> {
        let mut found: Vec<Change> = Vec::new();
        let mut least = usize::MAX;
        for (from, until) in windows {
            if until - from > least || self.replays.spent() || found.len() >= LISTED {
                break;
            }
            if self.replays.leads(&Change::Window { from, until }) {
                least = until - from;
                found.push(Change::Window { from, until });
            }
        }
        found
    }

    /// A lost window whose net effect is what the file lacks.
    fn window(&mut self) -> Vec<Change> {
        let mut begins: FxHashMap<u64, Vec<usize>> = FxHashMap::default();
        let mut windows = Vec::new();
        for (until, &sum) in self.replays.sums.iter().enumerate() {
            let fitting = begins.get(&sum.wrapping_sub(self.lacking));
            windows.extend(fitting.into_iter().flatten().rev().take(LATER).map(|&from| (from, until)));
            begins.entry(sum).or_default().push(until);
        }
        windows.sort_by_key(|&(from, until)| (until - from, from));
        self.shortest(windows)
    }

    /// A lost prefix, perhaps a lost suffix too; the one that lacks least.
    fn kept(&mut self) -> Vec<Change> {
        let len = self.len();
        let mut best: Option<(usize, usize)> = None;
        for from in 1..=len {
            if self.replays.spent() || best.is_some_and(|(from_, until)| from_ + len - until <= from) {
                break;
            }
            let until = self.replays.ends_from(from).last().copied();
            let better = until.filter(|until| best.is_none_or(|(from_, to)| from + to < from_ + until));
            best = better.map(|until| (from, until)).or(best);
        }
        best.map(|(from, until)| Change::Kept { from, until }).into_iter().collect()
    }

    fn swapped(&mut self) -> Vec<Change> {
        for apart in 1..=NEAR {
            let mut found = Vec::new();
            for late in apart..self.len() {
                let early = late - apart;
                if self.replays.spent() || found.len() >= LISTED {
                    break;
                }
                let matters = self.touch(early, late) && self.replays.swap_matters(early, late);
                let change = Change::Swapped { early, late };
                if matters && self.replays.leads(&change) {
                    found.push(change);
                }
            }
            if !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }

    /// Whether the order of two neighbours can matter at all; of others, it can
    /// through those between them.
    fn touch(&self, early: usize, late: usize) -> bool {
        let [one, two] = [self.steps()[early], self.steps()[late]];
        late - early > 1 || [one.from, one.to].iter().any(|account| [two.from, two.to].contains(account))
    }

    /// One transfer more or less, where later guards decide otherwise than in the order.
    fn one_by_replay(&mut self) -> Vec<Change> {
        let moves: Vec<usize> = (0..self.len()).filter(|&step| self.replays.moves(step)).rev().collect();
        let kinds: [fn(usize) -> Change; 2] =
            [|step| Change::Lacks(vec![step]), |step| Change::Twice(vec![step])];
        for kind in kinds {
            let found = self.confirmed(moves.iter().map(|&step| kind(step)));
            if !found.is_empty() {
                return found;
            }
        }
        let spares = self.replays.spares.to_vec();
        let len = self.len();
        let places = |(spare, of): (usize, Spare)| {
            places_from(of.earliest, len).map(move |place| Change::Extra { spare, place })
        };
        let found = self.confirmed(spares.into_iter().enumerate().flat_map(places));
        if !found.is_empty() {
            return found;
        }
        let refused: Vec<usize> = (0..len).filter(|&step| !self.replays.moves(step)).rev().collect();
        self.confirmed(refused.into_iter().map(Change::Unguarded))
    }

    /// Every lost window, from the shortest on, as far as the work goes.
    fn window_by_replay(&mut self) -> Vec<Change> {
        let len = self.len();
        for length in 2..=len {
            let windows = (0..=len - length).rev().map(|from| (from, from + length)).collect();
            let found = self.shortest(windows);
            if !found.is_empty() || self.replays.spent() {
                return found;
            }
        }
        Vec::new()
    }

    fn kinds(&self) -> Kinds {
        let mut kinds = Kinds::default();
        for step in (0..self.len()).filter(|&step| self.replays.moves(step)) {
            kinds.entry(self.replays.effects[step]).or_default().push(step);
        }
        kinds
    }

    /// Two that are missing, or two that are there twice.
    fn two(&mut self) -> Vec<Change> {
        let kinds = self.kinds();
        let lacking = pairs(&kinds, self.lacking).into_iter().map(Change::Lacks);
        let found = self.confirmed(lacking);
        if !found.is_empty() {
            return found;
        }
        let twice = pairs(&kinds, self.lacking.wrapping_neg()).into_iter().map(Change::Twice);
        self.confirmed(twice)
    }

    fn lacking_and_twice(&mut self) -> Vec<Change> {
        let kinds = self.kinds();
        let mut candidates = Vec::new();
        for (&effect, steps) in sorted(&kinds) {
            let others = kinds.get(&effect.wrapping_sub(self.lacking)).into_iter().flatten();
            let pairs = others.flat_map(|&twice| steps.iter().map(move |&lacks| (lacks, twice)));
            let distinct = pairs.filter(|(lacks, twice)| lacks != twice);
            candidates
                .extend(distinct.take(LISTED).map(|(lacks, twice)| Change::LacksAndTwice { lacks, twice }));
            if candidates.len() > 20 * LISTED {
                break;
            }
        }
        self.confirmed(candidates)
    }

    fn three(&mut self) -> Vec<Change> {
        let kinds = self.kinds();
        if kinds.len() > KINDS_FOR_THREE {
            self.cut_short = true;
            return Vec::new();
        }
        let mut candidates = Vec::new();
        for (&effect, steps) in sorted(&kinds) {
            let rest = pairs(&kinds, self.lacking.wrapping_sub(effect));
            let first = steps.first().copied().unwrap_or(0);
            let threes = rest.into_iter().filter(|pair| pair.iter().all(|&step| step > first));
            candidates.extend(threes.map(|pair| Change::Lacks(vec![first, pair[0], pair[1]])));
            if candidates.len() > 20 * LISTED {
                break;
            }
        }
        self.confirmed(candidates)
    }

    /// Two in another order may let the guard refuse the one that seems to be missing.
    fn another_order(&mut self, changes: &[Change]) -> Option<Change> {
        let one = matches!(changes.first(), Some(Change::Lacks(steps)) if steps.len() == 1);
        self.replays.allow(WORK);
        if one { self.swapped().into_iter().next() } else { None }
    }

    fn nearest_first(&self, mut changes: Vec<Change>) -> Vec<Change> {
        let distance = |change: &Change| {
            let away = self.places.iter().map(|place| place.abs_diff(change.first()));
            away.min().unwrap_or(0)
        };
        if let Some(best) = (0..changes.len()).min_by_key(|&at| distance(&changes[at])) {
            changes.swap(0, best);
        }
        changes
    }
}

/// The first places from `first` on, and the end.
fn places_from(first: usize, len: usize) -> impl Iterator<Item = usize> {
    let near = first..(first + LATER).min(len);
    near.chain(std::iter::once(len))
}

fn sorted(kinds: &Kinds) -> Vec<(&u64, &Vec<usize>)> {
    let mut all: Vec<_> = kinds.iter().collect();
    all.sort_unstable_by_key(|(_, steps)| steps.first().copied());
    all
}

/// Pairs of applied steps whose effects have this sum, each ascending.
fn pairs(kinds: &Kinds, wanted: u64) -> Vec<Vec<usize>> {
    let mut pairs = Vec::new();
    for (&effect, steps) in sorted(kinds) {
        let others = kinds.get(&wanted.wrapping_sub(effect)).into_iter().flatten();
        let both = others.flat_map(|&other| steps.iter().map(move |&step| (step, other)));
        pairs.extend(
            both.filter(|(step, other)| step < other).take(LISTED).map(|(step, other)| vec![step, other]),
        );
        if pairs.len() > 20 * LISTED {
            break;
        }
    }
    pairs
}
