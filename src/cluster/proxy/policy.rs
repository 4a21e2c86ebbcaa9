//! What happens to a chunk on its way: the one seam where network faults enter.
//!
//! Each direction of a link has one policy, shared by all its connections and
//! changed while they run. Whatever is read asks for admission and is told what
//! becomes of it; an idle policy is asked without a lock. Must not know of sockets.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::draw;
use super::tally::Tally;
use super::tap::Direction;
use crate::fault::network::LinkFault;
use crate::sync::lock;

/// A narrow link moves a piece about so often.
const PIECES_PER_SECOND: u64 = 100;

/// What asks for admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// So many bytes, at least 1.
    Bytes(usize),
    /// A FIN or a reset.
    Close,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Admission {
    /// It goes on at once.
    Free,
    /// It waits.
    Paced(Pass),
    /// It goes on at once, and each whole message in it a second time.
    Copied,
    /// It is lost, and with it whatever follows.
    Lost,
    /// The connection is cut in its place.
    Cut,
    /// The connection is reset in its place.
    Reset,
    /// It goes on up to so many bytes of the connection; there the connection is cut.
    Truncated(u64),
}

/// A chunk's permission to go on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pass {
    /// Not before; `None`: not before the fault is healed.
    pub(super) due: Option<Instant>,
    /// So many bytes at a time,
    pub(super) piece: usize,
    /// with this pause in between.
    pub(super) gap: Duration,
    /// Pauses count from when a piece was due, not from when it went: what a timer
    /// is late does not add up.
    steady: bool,
    epoch: u64,
    tallied: u64,
}

impl Pass {
    /// When the piece after the one that has just gone may go.
    pub(super) fn next_piece(&self, not_before: Option<Instant>) -> Option<Instant> {
        let went = if self.steady { self.due.max(not_before)? } else { Instant::now() };
        Some(went + self.gap)
    }
}

/// The policy of one direction of one link.
#[derive(Debug)]
pub(super) struct Policy {
    direction: Direction,
    /// Grows with every change; odd while a fault is active. Read for every chunk
    /// without the lock: an idle proxy must cost nothing.
    epoch: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rule: Option<Rule>,
    tally: Tally,
    /// Grows when the tally is cleared: what began before is not counted after.
    tallied: u64,
}

#[derive(Debug)]
struct Rule {
    fault: LinkFault,
    random: ChaCha8Rng,
    /// When a narrow link has carried all that it was given.
    free: Instant,
}

impl Policy {
    pub(super) fn new(direction: Direction) -> Self {
        Self { direction, epoch: AtomicU64::new(0), state: Mutex::default() }
    }

    /// Sets the fault, or removes it. What waits for an earlier one may go on.
    /// Whoever calls this wakes the connections.
    pub(super) fn set(&self, fault: Option<LinkFault>, seed: u64) {
        let mut state = lock(&self.state);
        state.rule = fault.map(|fault| Rule { fault, random: self.stream(seed), free: Instant::now() });
        let epoch = self.epoch.load(Ordering::Relaxed);
        let step = if state.rule.is_some() == (epoch % 2 == 1) { 2 } else { 1 };
        self.epoch.store(epoch + step, Ordering::Release);
    }

    /// Changes with every change of the policy.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Whether anything is done at all.
    pub(super) fn is_active(&self) -> bool {
        self.epoch() % 2 == 1
    }

    /// The fault, if there is one.
    pub(super) fn fault(&self) -> Option<LinkFault> {
        if !self.is_active() {
            return None;
        }
        lock(&self.state).rule.as_ref().map(|rule| rule.fault)
    }

    /// Whether a pass has become void: the fault that it comes from has been healed.
    pub(super) fn is_void(&self, pass: &Pass) -> bool {
        self.epoch() != pass.epoch
    }

    /// What becomes of something that was read at `now`.
    pub(super) fn admit(&self, now: Instant, what: What) -> Admission {
        if !self.is_active() {
            return Admission::Free;
        }
        let mut state = lock(&self.state);
        // Changes happen under the lock.
        let (epoch, tallied) = (self.epoch(), state.tallied);
        let Some(rule) = state.rule.as_mut() else { return Admission::Free };
        let admission = rule.admit(now, what, epoch, tallied);
        match admission {
            Admission::Paced(_) => state.tally.waiting += 1,
            Admission::Lost => {
                state.tally.black_holes += 1;
                if let What::Bytes(size) = what {
                    state.tally.bytes_dropped += size as u64;
                }
            }
            _ => {}
        }
        admission
    }

    /// Whether the next message is to be delivered twice.
    pub(super) fn duplicates(&self) -> bool {
        let mut state = lock(&self.state);
        match state.rule.as_mut() {
            Some(Rule { fault: LinkFault::Duplicate { per_million }, random, .. }) => {
                draw::happens(*per_million, random)
            }
            _ => false,
        }
    }

    /// A chunk has gone on (`achieved` after it was read) or was lost (`None`).
    pub(super) fn settle(&self, pass: Pass, achieved: Option<Duration>) {
        let mut state = lock(&self.state);
        if pass.tallied != state.tallied {
            return;
        }
        let tally = &mut state.tally;
        tally.waiting = tally.waiting.saturating_sub(1);
        if let Some(achieved) = achieved {
            tally.delayed += 1;
            tally.total += achieved;
            tally.longest = tally.longest.max(achieved);
        }
    }

    /// Counts something.
    pub(super) fn count(&self, add: impl FnOnce(&mut Tally)) {
        add(&mut lock(&self.state).tally);
    }

    /// The counts since they were cleared.
    pub(super) fn tally(&self) -> Tally {
        lock(&self.state).tally
    }

    /// Begins to count anew.
    pub(super) fn clear_tally(&self) {
        let mut state = lock(&self.state);
        state.tally = Tally::default();
        state.tallied += 1;
    }

    fn stream(&self, seed: u64) -> ChaCha8Rng {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(self.direction as u64);
        random
    }
}

impl Rule {
    fn admit(&mut self, now: Instant, what: What, epoch: u64, tallied: u64) -> Admission {
        let (piece, gap, steady) = (usize::MAX, Duration::ZERO, false);
        let at = |due: Option<Instant>| Pass { due, piece, gap, steady, epoch, tallied };
        match (self.fault, what) {
            (LinkFault::Delay { latency_ns, jitter_ns, distribution }, _) => {
                let delay = draw::delay(latency_ns, jitter_ns, distribution, &mut self.random);
                Admission::Paced(at(Some(now + delay)))
            }
            (LinkFault::Bandwidth { bytes_per_second }, what) => {
                Admission::Paced(self.narrow(now, what, bytes_per_second, at(None)))
            }
            (LinkFault::Slice { bytes, gap_ns }, What::Bytes(_)) => {
                let piece = usize::try_from(bytes).unwrap_or(usize::MAX);
                Admission::Paced(Pass { piece, gap: Duration::from_nanos(gap_ns), ..at(Some(now)) })
            }
            (LinkFault::SlowClose { latency_ns }, What::Close) => {
                Admission::Paced(at(Some(now + Duration::from_nanos(latency_ns).min(draw::LONGEST))))
            }
            (LinkFault::Hold, _) => Admission::Paced(at(None)),
            (LinkFault::Drop | LinkFault::Refuse { drop_established: true }, _) => Admission::Lost,
            (LinkFault::Cut, What::Bytes(_)) => Admission::Cut,
            (LinkFault::Reset, _) => Admission::Reset,
            (LinkFault::Truncate { bytes }, What::Bytes(_)) => Admission::Truncated(bytes),
            (LinkFault::Duplicate { .. }, What::Bytes(_)) => Admission::Copied,
            _ => Admission::Free,
        }
    }

    /// The next place in the queue of a narrow link: its first piece has passed
    /// when the link has had the time to carry it.
    fn narrow(&mut self, now: Instant, what: What, rate: u64, pass: Pass) -> Pass {
        let begins = self.free.max(now);
        let takes = |bytes: u64| {
            let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
            Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(draw::LONGEST)
        };
        let What::Bytes(size) = what else { return Pass { due: Some(begins), ..pass } };
        let piece = (rate / PIECES_PER_SECOND).clamp(1, size as u64);
        self.free = begins + takes(size as u64);
        let due = Some(begins + takes(piece));
        Pass { due, piece: piece as usize, gap: takes(piece), steady: true, ..pass }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::network::Distribution;

    const SECOND: u64 = 1_000_000_000;

    fn with(fault: LinkFault) -> Policy {
        let policy = Policy::new(Direction::ToServer);
        policy.set(Some(fault), 7);
        policy
    }

    #[track_caller]
    fn paced(admission: Admission) -> Pass {
        match admission {
            Admission::Paced(pass) => pass,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_idle_policy_admits_at_once_and_a_healed_fault_keeps_its_tally() {
        let policy = Policy::new(Direction::ToServer);
        let now = Instant::now();
        assert!(matches!(policy.admit(now, What::Bytes(1)), Admission::Free));
        let (latency_ns, jitter_ns, distribution) = (SECOND, 0, Distribution::Uniform);
        policy.set(Some(LinkFault::Delay { latency_ns, jitter_ns, distribution }), 1);
        let pass = paced(policy.admit(now, What::Bytes(1)));
        assert_eq!(pass.due, Some(now + Duration::from_secs(1)));
        assert!(policy.tally().waiting == 1 && !policy.is_void(&pass));
        policy.set(None, 0);
        assert!(policy.is_void(&pass) && !policy.is_active());
        policy.settle(pass, Some(Duration::from_millis(51)));
        let tally = policy.tally();
        assert_eq!((tally.delayed, tally.waiting, tally.longest.as_millis()), (1, 0, 51));
    }

    #[test]
    fn a_pass_of_an_earlier_fault_is_void_under_a_later_one_of_the_same_kind() {
        let policy = with(LinkFault::Hold);
        let pass = paced(policy.admit(Instant::now(), What::Close));
        policy.set(Some(LinkFault::Hold), 1);
        assert!(policy.is_void(&pass) && policy.is_active());
    }

    #[test]
    fn a_narrow_link_is_shared_by_all_that_it_carries() {
        let policy = with(LinkFault::Bandwidth { bytes_per_second: 1000 });
        let now = Instant::now() + Duration::from_secs(1);
        let first = paced(policy.admit(now, What::Bytes(100)));
        assert_eq!((first.piece, first.gap), (10, Duration::from_millis(10)));
        assert_eq!(first.due, Some(now + Duration::from_millis(10)));
        let second = paced(policy.admit(now, What::Bytes(5)));
        assert_eq!(second.due, Some(now + Duration::from_millis(105)));
        let close = paced(policy.admit(now, What::Close));
        assert_eq!(close.due, Some(now + Duration::from_millis(105)));
    }

    #[test]
    fn what_a_fault_lets_pass_and_what_it_does_not() {
        let now = Instant::now();
        let admit = |fault, what| with(fault).admit(now, what);
        assert!(matches!(admit(LinkFault::Drop, What::Close), Admission::Lost));
        assert!(matches!(admit(LinkFault::Cut, What::Close), Admission::Free));
        assert!(matches!(admit(LinkFault::Reset, What::Close), Admission::Reset));
        assert!(matches!(admit(LinkFault::SlowClose { latency_ns: 1 }, What::Bytes(1)), Admission::Free));
        assert!(matches!(admit(LinkFault::Refuse { drop_established: false }, What::Close), Admission::Free));
        assert!(matches!(admit(LinkFault::Truncate { bytes: 3 }, What::Bytes(9)), Admission::Truncated(3)));
    }

    #[test]
    fn what_was_admitted_before_the_tally_was_cleared_is_not_counted_after() {
        let policy = with(LinkFault::Hold);
        let pass = paced(policy.admit(Instant::now(), What::Bytes(1)));
        policy.clear_tally();
        policy.settle(pass, Some(Duration::ZERO));
        assert_eq!(policy.tally(), Tally::default());
    }
}
