//! `fifo-queue`: enqueue v, dequeue; first in, first out.
//!
//! A dequeue that found nothing is `fail`. An indeterminate dequeue may have taken
//! whatever stood first.

mod greedy;

use std::sync::Arc;

use serde_json::Value;

use super::values::{ValueId, Values};
use super::{Direct, Model, Operation, Parsed, Step, agrees, nothing, unknown};
use crate::checker::linearizability::Stop;
use crate::checker::linearizability::budget::Meter;

/// A queue.
#[derive(Debug, Clone, Default)]
pub struct FifoQueue {
    values: Values,
}

/// What is asked of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FifoQueueCall {
    /// Put this last.
    Enqueue(ValueId),
    /// Take what stands first.
    Dequeue,
}

use FifoQueueCall::{Dequeue, Enqueue};

impl Model for FifoQueue {
    type State = Arc<[ValueId]>;
    type Input = FifoQueueCall;
    type Output = ValueId;

    fn name(&self) -> &'static str {
        "fifo-queue"
    }

    fn initial(&self) -> Arc<[ValueId]> {
        Arc::new([])
    }

    fn apply(
        &self,
        state: &Arc<[ValueId]>,
        input: &FifoQueueCall,
        output: Option<&ValueId>,
    ) -> Option<Arc<[ValueId]>> {
        match *input {
            Enqueue(value) => Some(state.iter().copied().chain([value]).collect()),
            Dequeue => {
                let (first, rest) = state.split_first()?;
                output.is_none_or(|taken| taken == first).then(|| rest.into())
            }
        }
    }

    fn parse(&mut self, f: &str, input: &Value, output: Option<&Value>) -> Parsed<Self> {
        match f {
            "enqueue" if input.is_null() => {
                Err("value of `enqueue` is null; accepted is any other value".into())
            }
            "enqueue" => agrees(f, input, output).map(|()| (Enqueue(self.values.id(input)), None)),
            "dequeue" => {
                nothing(f, input)?;
                if output.is_some_and(Value::is_null) {
                    let accepted = "accepted is what was taken; a dequeue that found nothing is `fail`";
                    return Err(format!("value of `dequeue` is null; {accepted}"));
                }
                Ok((Dequeue, output.map(|taken| self.values.id(taken))))
            }
            other => Err(unknown("fifo-queue", other, "enqueue, dequeue")),
        }
    }

    fn describe(&self, input: &FifoQueueCall, output: Option<&ValueId>) -> String {
        match (*input, output) {
            (Enqueue(value), _) => format!("enqueue of {}", self.values.text(value)),
            (Dequeue, Some(&taken)) => format!("dequeue of {}", self.values.text(taken)),
            (Dequeue, None) => "dequeue".into(),
        }
    }

    fn describe_state(&self, state: &Arc<[ValueId]>) -> String {
        let shown: Vec<&str> = state.iter().take(10).map(|&value| self.values.text(value)).collect();
        let more = if state.len() > 10 { format!(" and {} more", state.len() - 10) } else { String::new() };
        format!("[{}]{more}", shown.join(", "))
    }

    fn state_in_proof(&self, state: &Arc<[ValueId]>) -> Option<Value> {
        state.iter().map(|&value| self.values.value(value)).collect()
    }

    fn postponable(&self, first: Step<'_, Self>, second: Step<'_, Self>) -> bool {
        match ((*first.0, first.1), (*second.0, second.1)) {
            ((Enqueue(one), _), (Enqueue(two), _)) => one == two,
            // Only what was just put in can depend on it.
            ((Enqueue(put), _), (Dequeue, Some(&taken))) => put != taken,
            ((Enqueue(_), _), (Dequeue, None)) => false,
            // What was taken stood there before.
            ((Dequeue, _), (Enqueue(_), _)) => true,
            ((Dequeue, one), (Dequeue, two)) => one == two,
        }
    }

    fn weight(&self, state: &Arc<[ValueId]>) -> usize {
        16 + 4 * state.len()
    }

    fn directly(
        &self,
        operations: &[Operation<FifoQueueCall, ValueId>],
        part: &[u32],
        meter: &mut Meter,
    ) -> Result<Option<Direct>, Stop> {
        greedy::order(operations, part, meter)
    }
}
