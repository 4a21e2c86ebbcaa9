//! Whether one order explains a queue, found without a search.
//!
//! What is taken k-th was put in k-th, so an order of the dequeues is an order of the
//! enqueues that they empty, and enqueues need a place only once that is known. An
//! order of pairs (enqueue, dequeue) is one of the history if each enqueue
//! was invoked before its dequeue takes effect, and before any enqueue that comes later
//! (or is never emptied) returns. So dequeues are looked at in the order of their
//! returns, each as late as it may be: if an enqueue that has returned bars the way, it must be
//! taken out first, whatever it is.
//!
//! Where no value is put in twice nothing of this is a choice. Of enqueues of one value
//! the one that returns first of those that may be emptied is emptied first, and of
//! dequeues of one value the one that returns first takes first. An open dequeue that must take
//! this value at some time goes before an indeterminate one, which can take later, or
//! never, what the other would have taken.
//!
//! Values that are put in twice do leave a choice: to empty one that may be emptied at once, or
//! first what bars an equal one that has to be emptied some time. So this may only
//! accept. Must not know of attempts and stages.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::{Dequeue, Enqueue, FifoQueueCall};
use crate::checker::linearizability::Stop;
use crate::checker::linearizability::budget::Meter;
use crate::checker::models::values::ValueId;
use crate::checker::models::{Direct, Operation};

type Call = Operation<FifoQueueCall, ValueId>;
/// Operations, the one that returns first on top; indeterminate ones return never.
type ByReturn = BinaryHeap<Reverse<(u64, u32)>>;

const NEVER: u64 = u64::MAX;

/// An order of the operations `part`, which stand in the order of their invocations.
/// `None` if it finds none, though there may be one.
pub(super) fn order(operations: &[Call], part: &[u32], meter: &mut Meter) -> Result<Option<Direct>, Stop> {
    let Some(mut queue) = Queue::new(operations, part) else { return Ok(None) };
    meter.held = queue.bytes();
    meter.look(0)?;
    for (returns, dequeue) in std::mem::take(&mut queue.returning) {
        meter.tick(0)?;
        queue.invoke_before(returns);
        if !queue.explains(dequeue, returns, meter)? {
            return Ok(None);
        }
    }
    Ok(Some(Direct::Order(queue.order())))
}

/// What was asked about one value.
#[derive(Default)]
struct OfValue {
    /// Enqueues that may not be emptied yet, or were not looked at, by invocation.
    waiting: VecDeque<u32>,
    /// Enqueues that may be emptied.
    ready: ByReturn,
    /// Dequeues that were invoked.
    open: ByReturn,
}

/// One enqueue is emptied.
struct Pair {
    enqueue: u32,
    dequeue: u32,
    /// The return before which it is.
    time: u64,
}

struct Queue<'a> {
    operations: &'a [Call],
    /// All dequeues, by invocation, and how many were invoked.
    dequeues: Vec<u32>,
    invoked: usize,
    /// Dequeues that return, in that order.
    returning: Vec<(u64, u32)>,
    /// Indeterminate dequeues that were invoked and took nothing yet.
    spare: VecDeque<u32>,
    /// Enqueues that return, in that order; all before `front` are emptied.
    enqueues: Vec<u32>,
    front: usize,
    values: Vec<OfValue>,
    /// Of each operation, whether it is in a pair.
    paired: Vec<bool>,
    pairs: Vec<Pair>,
}

impl<'a> Queue<'a> {
    fn new(operations: &'a [Call], part: &[u32]) -> Option<Self> {
        let mut queue = Self {
            operations,
            dequeues: Vec::new(),
            invoked: 0,
            returning: Vec::new(),
            spare: VecDeque::new(),
            enqueues: Vec::new(),
            front: 0,
            values: Vec::new(),
            paired: vec![false; operations.len()],
            pairs: Vec::new(),
        };
        for &number in part {
            let operation = &operations[number as usize];
            match (operation.input, operation.returns, operation.output) {
                (Enqueue(value), returns, _) => {
                    queue.of_value(value).waiting.push_back(number);
                    queue.enqueues.extend(returns.map(|_| number));
                }
                (Dequeue, Some(_), None) => return None,
                (Dequeue, returns, taken) => {
                    if let Some(value) = taken {
                        queue.of_value(value);
                    }
                    queue.dequeues.push(number);
                    queue.returning.extend(returns.map(|returns| (returns, number)));
                }
            }
        }
        queue.returning.sort_unstable();
        queue.enqueues.sort_unstable_by_key(|&number| operations[number as usize].returns);
        Some(queue)
    }

    fn of_value(&mut self, value: ValueId) -> &mut OfValue {
        let value = value as usize;
        if value >= self.values.len() {
            self.values.resize_with(value + 1, OfValue::default);
        }
        &mut self.values[value]
    }

    /// About what the tables hold at most: an operation stands in a few of them.
    fn bytes(&self) -> usize {
        self.values.len() * size_of::<OfValue>()
            + self.paired.len() * (1 + size_of::<Pair>() + 2 * size_of::<(u64, u32)>())
    }

    fn returns(&self, number: u32) -> u64 {
        self.operations[number as usize].returns.unwrap_or(NEVER)
    }

    /// The value that an enqueue puts in, or that a dequeue is known to have taken.
    fn value(&self, number: u32) -> Option<usize> {
        let operation = &self.operations[number as usize];
        let value = if let Enqueue(value) = operation.input { Some(value) } else { operation.output };
        value.map(|value| value as usize)
    }

    fn invoke_before(&mut self, time: u64) {
        while let Some(&number) = self.dequeues.get(self.invoked)
            && self.operations[number as usize].invoke < time
        {
            self.invoked += 1;
            let returns = self.returns(number);
            match self.value(number).filter(|_| returns != NEVER) {
                Some(value) => self.values[value].open.push(Reverse((returns, number))),
                None => self.spare.push_back(number),
            }
        }
    }

    /// Makes the dequeue take its value before it returns; whether it could.
    fn explains(&mut self, dequeue: u32, returns: u64, meter: &mut Meter) -> Result<bool, Stop> {
        while !self.paired[dequeue as usize] {
            meter.tick(0)?;
            let front = self.front().filter(|&front| self.returns(front) < returns);
            let until = front.map_or(returns, |front| self.returns(front));
            let ready = self.value(dequeue).and_then(|value| self.ready(value, until));
            let pair = match (ready, front) {
                (Some(enqueue), _) => Some((enqueue, dequeue)),
                // It bars all that were invoked after it had returned.
                (None, Some(front)) => self.taker(front).map(|taker| (front, taker)),
                (None, None) => None,
            };
            let Some((enqueue, dequeue)) = pair else { return Ok(false) };
            self.paired[enqueue as usize] = true;
            self.paired[dequeue as usize] = true;
            self.pairs.push(Pair { enqueue, dequeue, time: returns });
        }
        Ok(true)
    }

    /// The enqueue that returns first of those that are not emptied.
    fn front(&mut self) -> Option<u32> {
        while self.enqueues.get(self.front).is_some_and(|&number| self.paired[number as usize]) {
            self.front += 1;
        }
        self.enqueues.get(self.front).copied()
    }

    /// Of this value, the enqueue to be emptied first among those invoked before `until`.
    fn ready(&mut self, value: usize, until: u64) -> Option<u32> {
        let (operations, of_value) = (self.operations, &mut self.values[value]);
        while let Some(&number) = of_value.waiting.front()
            && operations[number as usize].invoke < until
        {
            of_value.waiting.pop_front();
            let returns = operations[number as usize].returns.unwrap_or(NEVER);
            of_value.ready.push(Reverse((returns, number)));
        }
        first(&mut of_value.ready, &self.paired)
    }

    /// What takes this out when it must be taken out now.
    fn taker(&mut self, enqueue: u32) -> Option<u32> {
        let value = self.value(enqueue)?;
        first(&mut self.values[value].open, &self.paired).or_else(|| self.spare.pop_front())
    }

    /// The order of the pairs, and of all that returned and stays in.
    fn order(&self) -> Vec<u32> {
        let mut places = Vec::with_capacity(self.dequeues.len() + self.enqueues.len());
        let mut latest = 0;
        let mut place = |enqueue: u32, places: &mut Vec<(u64, u32)>| {
            latest = latest.max(self.operations[enqueue as usize].invoke);
            // Directly after an invocation; a dequeue comes directly before a return.
            places.push((2 * latest + 1, enqueue));
        };
        for pair in &self.pairs {
            place(pair.enqueue, &mut places);
            places.push((2 * pair.time, pair.dequeue));
        }
        let stays = |&&number: &&u32| !self.paired[number as usize];
        let mut staying: Vec<u32> = self.enqueues.iter().filter(stays).copied().collect();
        staying.sort_unstable();
        staying.into_iter().for_each(|enqueue| place(enqueue, &mut places));
        places.sort_by_key(|&(place, _)| place);
        places.into_iter().map(|(_, number)| number).collect()
    }
}

/// The first that is in no pair; those that are will not be asked for again.
fn first(heap: &mut ByReturn, paired: &[bool]) -> Option<u32> {
    while let Some(&Reverse((_, number))) = heap.peek() {
        if !paired[number as usize] {
            return Some(number);
        }
        heap.pop();
    }
    None
}
