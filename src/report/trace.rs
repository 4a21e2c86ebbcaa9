//! A run as a trace for Perfetto and Chrome: their JSON trace events.
//!
//! Clients, nodes, faults and phases are processes of the trace; a client's
//! operations never overlap and are slices of its thread, faults may overlap and are
//! asynchronous events. Bounded ([`MOST_OPERATIONS`]). Renders only.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::text::{one_line, shorten};
use crate::checker::node_life::{down, of_operation};
use crate::fault::Node;
use crate::history::{Call, ClusterWhat, FaultSpan, History, Operation, Phase};
use crate::op::Outcome;
use crate::run_dir::LoadedRun;

/// More operations than this are thinned out: of those that were acknowledged some are
/// left out, evenly; the trace says how many.
pub const MOST_OPERATIONS: usize = 200_000;

/// Characters of a text of the system under test.
const TEXT: usize = 500;

/// The processes of the trace.
#[derive(Clone, Copy)]
enum Group {
    Phases = 1,
    Faults = 2,
    Nodes = 3,
    Clients = 4,
}

impl Group {
    const ALL: [(Self, &'static str); 4] =
        [(Self::Phases, "run"), (Self::Faults, "faults"), (Self::Nodes, "nodes"), (Self::Clients, "clients")];
}

/// Writes the trace.
///
/// # Errors
/// What `to` says.
pub fn write(run: &LoadedRun, to: &mut impl Write) -> io::Result<()> {
    let mut events = Events { to, first: true };
    let history = &run.history;
    let replicas = (1..=run.record.workload.cluster.replicas).map(Node::Srv);
    let nodes: Vec<Node> = std::iter::once(Node::Coord).chain(replicas).collect();
    events.to.write_all(b"{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n")?;
    names(&mut events, &nodes)?;
    phases(&mut events, history)?;
    for fault in &history.faults {
        draw_fault(&mut events, history, fault)?;
    }
    for node in &nodes {
        life(&mut events, history, *node)?;
    }
    let left_out = operations(&mut events, history)?;
    let told = json!({
        "workload": run.record.name,
        "seed": run.record.seed,
        "started": run.record.started,
        "verdict": run.record.judgement.as_ref().map(|judged| shorten(&one_line(&judged.line), TEXT)),
        "acknowledged operations left out": left_out,
    });
    writeln!(events.to, "\n],\"otherData\":{told}}}")
}

struct Events<'a, W> {
    to: &'a mut W,
    first: bool,
}

impl<W: Write> Events<'_, W> {
    fn put(&mut self, event: &Value) -> io::Result<()> {
        if !std::mem::take(&mut self.first) {
            self.to.write_all(b",\n")?;
        }
        serde_json::to_writer(&mut *self.to, event).map_err(io::Error::other)
    }
}

/// Microseconds, the unit of the format.
fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}

/// A node's thread in its group.
fn row(node: Node) -> u64 {
    match node {
        Node::Coord => 0,
        Node::Srv(number) => u64::from(number),
    }
}

fn names<W: Write>(events: &mut Events<'_, W>, nodes: &[Node]) -> io::Result<()> {
    for (group, name) in Group::ALL {
        let (pid, args) = (group as u8, json!({ "name": name }));
        events.put(&json!({ "ph": "M", "name": "process_name", "pid": pid, "tid": 0, "args": args }))?;
        let order = json!({ "sort_index": pid });
        events
            .put(&json!({ "ph": "M", "name": "process_sort_index", "pid": pid, "tid": 0, "args": order }))?;
    }
    for group in [Group::Nodes, Group::Faults] {
        for node in nodes {
            let args = json!({ "name": node.to_string() });
            let event = json!({ "ph": "M", "name": "thread_name", "pid": group as u8, "tid": row(*node), "args": args });
            events.put(&event)?;
        }
    }
    Ok(())
}

fn slice(group: Group, row: u64, (begin, end): (u64, u64), name: &str, args: &Value) -> Value {
    json!({
        "ph": "X", "pid": group as u8, "tid": row, "name": name,
        "ts": micros(begin), "dur": micros(end.saturating_sub(begin)), "args": args,
    })
}

fn phases<W: Write>(events: &mut Events<'_, W>, history: &History) -> io::Result<()> {
    let begun: Vec<(Phase, u64)> = history
        .cluster
        .iter()
        .filter_map(
            |event| if let ClusterWhat::Phase(phase) = event.what { Some((phase, event.time)) } else { None },
        )
        .collect();
    for (at, (phase, begin)) in begun.iter().enumerate() {
        let end = begun.get(at + 1).map_or(history.end, |next| next.1);
        events.put(&slice(Group::Phases, 0, (*begin, end), phase.name(), &Value::Null))?;
    }
    Ok(())
}

/// One bar per node that it was done to.
fn draw_fault<W: Write>(events: &mut Events<'_, W>, history: &History, fault: &FaultSpan) -> io::Result<()> {
    let mut args = Map::new();
    args.insert("held".into(), fault.held.into());
    args.insert("acknowledged before".into(), fault.place.acknowledged.into());
    if let Some(error) = &fault.error {
        args.insert("error".into(), shorten(&one_line(error), TEXT).into());
    }
    for node in &fault.nodes {
        let edge = |phase: &str, time: u64, args: &Value| {
            json!({
                "ph": phase, "cat": fault.kind.family().name(), "name": format!("{} {node}", fault.kind),
                "id": format!("{}-{node}", fault.id), "pid": Group::Faults as u8, "tid": row(*node),
                "ts": micros(time), "args": args,
            })
        };
        events.put(&edge("b", fault.begin, &Value::Object(args.clone())))?;
        events.put(&edge("e", fault.end.unwrap_or(history.end), &json!({})))?;
    }
    Ok(())
}

/// When it was not up, and its starts and ends as moments.
fn life<W: Write>(events: &mut Events<'_, W>, history: &History, node: Node) -> io::Result<()> {
    for span in down(history, node) {
        let span = (span.begin, span.end.min(history.end));
        events.put(&slice(Group::Nodes, row(node), span, "not up", &Value::Null))?;
    }
    for event in &history.cluster {
        let (name, args) = match &event.what {
            ClusterWhat::Start(of) if *of == node => ("start", json!({})),
            ClusterWhat::Ready(of) if *of == node => ("ready", json!({})),
            ClusterWhat::Exit { node: of, asked, status } if *of == node => {
                let name = if *asked { "exit" } else { "unrequested exit" };
                (name, json!({ "status": shorten(&one_line(status), TEXT) }))
            }
            _ => continue,
        };
        events.put(&json!({
            "ph": "i", "s": "t", "pid": Group::Nodes as u8, "tid": row(node), "name": name,
            "ts": micros(event.time), "args": args,
        }))?;
    }
    Ok(())
}

/// Which row an operation is drawn in. A process number ends with the first operation
/// whose outcome is unknown, so that a row for each would be thousands: an operation
/// takes its process's last row if that is free, and the first free one otherwise.
#[derive(Default)]
struct Threads {
    last: BTreeMap<u64, usize>,
    free_from: Vec<u64>,
}

impl Threads {
    fn of(&mut self, process: u64, begin: u64, end: u64) -> u64 {
        let free = |thread: &usize| self.free_from[*thread] <= begin;
        let own = self.last.get(&process).copied().filter(free);
        let thread = own.or_else(|| (0..self.free_from.len()).find(free));
        let thread = thread.unwrap_or_else(|| {
            self.free_from.push(0);
            self.free_from.len() - 1
        });
        self.free_from[thread] = end;
        self.last.insert(process, thread);
        thread as u64
    }
}

/// Writes them and tells how many were left out.
fn operations<W: Write>(events: &mut Events<'_, W>, history: &History) -> io::Result<usize> {
    let every = history.operations.len().div_ceil(MOST_OPERATIONS).max(1);
    let (mut left_out, mut acknowledged) = (0, 0);
    let mut threads = Threads::default();
    for operation in &history.operations {
        if operation.outcome() == Outcome::Ok {
            acknowledged += 1;
            if acknowledged % every != 0 {
                left_out += 1;
                continue;
            }
        }
        let span = of_operation(history, operation);
        let thread = threads.of(operation.process, span.begin, span.end);
        let (name, args) = (call(history, operation), told(operation));
        events.put(&slice(Group::Clients, thread, (span.begin, span.end), &name, &args))?;
    }
    Ok(left_out)
}

fn call(history: &History, operation: &Operation) -> String {
    let name = |id| shorten(&one_line(history.account(id)), 40);
    let asked = match operation.call {
        Call::Transfer { from, to, amount } => format!("{}->{} {amount}", name(from), name(to)),
        Call::Read => "read".into(),
    };
    match operation.outcome() {
        Outcome::Ok => asked,
        Outcome::Fail => format!("{asked} (did not happen)"),
        Outcome::Info => format!("{asked} (outcome unknown)"),
    }
}

fn told(operation: &Operation) -> Value {
    let error = operation.completion.as_ref().and_then(|completion| completion.error.as_ref());
    json!({
        "process": operation.process,
        "index": operation.invoke,
        "completion": operation.completion.as_ref().map(|completion| completion.index),
        "error": error.map(|error| shorten(&one_line(error), TEXT)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::Build;
    use crate::report::sample;

    fn drawn(run: &LoadedRun) -> Value {
        let mut bytes = Vec::new();
        write(run, &mut bytes).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    fn events(trace: &Value) -> Vec<&Map<String, Value>> {
        trace["traceEvents"].as_array().unwrap().iter().map(|event| event.as_object().unwrap()).collect()
    }

    /// What the description of the format demands of each kind of event that is used.
    #[track_caller]
    fn assert_valid(trace: &Value) {
        for event in events(trace) {
            let of = |field: &str| event.get(field).unwrap_or_else(|| panic!("no {field}: {event:?}"));
            assert!(of("pid").is_u64() && of("tid").is_u64() && of("name").is_string(), "{event:?}");
            match of("ph").as_str().unwrap() {
                "M" => assert!(of("args").is_object()),
                "X" => assert!(of("ts").as_f64().unwrap() >= 0.0 && of("dur").as_f64().unwrap() >= 0.0),
                "i" => assert_eq!((of("s"), of("ts").is_f64()), (&json!("t"), true)),
                "b" | "e" => assert!(of("id").is_string() && of("cat").is_string() && of("ts").is_f64()),
                other => panic!("{other}"),
            }
        }
    }

    #[test]
    fn clients_nodes_faults_and_phases_are_all_there() {
        let run = sample::divergence();
        let trace = drawn(&run);
        assert_valid(&trace);
        let events = events(&trace);
        let count = |ph: &str, pid: u64| {
            events.iter().filter(|event| event["ph"] == ph && event["pid"] == pid).count()
        };
        assert_eq!(count("X", 4), run.history.operations.len());
        assert_eq!((count("b", 2), count("e", 2), count("X", 1)), (2, 2, 4));
        let named = |name: &str| events.iter().any(|event| event["name"] == name);
        assert!(named("kill srv-2") && named("unrequested exit") && named("b->a 0 (outcome unknown)"));
    }

    #[test]
    fn every_run_gives_a_valid_trace_whatever_was_in_it() {
        for run in [sample::pass(), sample::killed(), sample::hostile(), sample::undecided()] {
            assert_valid(&drawn(&run));
        }
    }

    #[test]
    fn slices_of_a_thread_never_overlap() {
        let trace = drawn(&sample::divergence());
        let mut until: BTreeMap<u64, f64> = BTreeMap::new();
        for event in events(&trace).into_iter().filter(|event| event["ph"] == "X" && event["pid"] == 4) {
            let (thread, begin) = (event["tid"].as_u64().unwrap(), event["ts"].as_f64().unwrap());
            assert!(until.get(&thread).is_none_or(|until| *until <= begin), "{event:?}");
            until.insert(thread, begin + event["dur"].as_f64().unwrap());
        }
    }

    #[test]
    fn a_long_run_is_thinned_out_but_for_what_went_wrong() {
        let mut run = sample::pass();
        let mut build = Build::new();
        let many = MOST_OPERATIONS as u64 * 2;
        for at in 0..many {
            build = build.ok((at * 10, at * 10 + 5), ("a", "b", 0), [100, 100]);
        }
        run.history = build.lost((many * 10, many * 10 + 5), ("a", "b", 1), Outcome::Info).history();
        let trace = drawn(&run);
        let shown = events(&trace).iter().filter(|event| event["pid"] == 4 && event["ph"] == "X").count();
        assert!(shown <= MOST_OPERATIONS + 1, "{shown}");
        let left_out = trace["otherData"]["acknowledged operations left out"].as_u64().unwrap();
        assert_eq!(shown as u64 + left_out, many + 1);
        assert!(trace.to_string().contains("(outcome unknown)"));
    }
}
