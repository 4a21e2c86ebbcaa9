//! What a run looks like while it goes on: one live block on a terminal, plain
//! lines elsewhere.
//!
//! Shows what the runner tells and decides nothing.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::online::Lag;
use crate::history::Phase;
use crate::runner::{RunWatcher, Snapshot};
use crate::sync::lock;

/// Between two plain lines of the same phase.
const PLAIN_EVERY_SECONDS: u64 = 5;

/// A live display if stderr is a terminal, else plain lines; nothing if `quiet`.
pub(super) fn watcher(quiet: bool, expected: Option<Duration>, lag: Option<Arc<Lag>>) -> Arc<dyn Display> {
    if quiet {
        Arc::new(())
    } else if std::io::stderr().is_terminal() {
        aside(Arc::new(Live::new(expected, lag)))
    } else {
        aside(Arc::new(Plain { lag, ..Plain::default() }))
    }
}

/// Shown on a thread of its own; on this one where none can be had.
fn aside(display: Arc<dyn Display>) -> Arc<dyn Display> {
    Aside::new(display.clone()).map_or(display, |aside| Arc::new(aside))
}

/// A watcher that can be taken off the screen.
pub(super) trait Display: RunWatcher {
    /// The run is over, or judging begins: leave the screen clean.
    fn finish(&self);
}

impl Display for () {
    fn finish(&self) {}
}

/// So many words wait for a reader who does not read; what comes after them is lost.
const WAITING: usize = 1024;
/// How long a reader is waited for at the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// Keeps a terminal that stands still, or a pipe that nobody reads, from holding up the
/// run: a client that waits for stderr would look like a system that gives no service.
struct Aside {
    words: Mutex<Option<SyncSender<Word>>>,
    shown: Mutex<Receiver<()>>,
}

enum Word {
    Tick(Snapshot),
    Note(String),
}

impl Aside {
    fn new(display: Arc<dyn Display>) -> std::io::Result<Self> {
        let (words, heard) = sync_channel(WAITING);
        let (done, shown) = sync_channel(1);
        std::thread::Builder::new().name("display".into()).spawn(move || {
            for word in heard {
                match word {
                    Word::Tick(snapshot) => display.tick(&snapshot),
                    Word::Note(text) => display.note(&text),
                }
            }
            display.finish();
            // Nobody may be waiting any more.
            let _ = done.send(());
        })?;
        Ok(Self { words: Mutex::new(Some(words)), shown: Mutex::new(shown) })
    }

    fn say(&self, word: Word) {
        if let Some(words) = &*lock(&self.words) {
            // Full: the reader has long stopped reading.
            let _ = words.try_send(word);
        }
    }
}

impl RunWatcher for Aside {
    fn tick(&self, snapshot: &Snapshot) {
        self.say(Word::Tick(snapshot.clone()));
    }

    fn note(&self, text: &str) {
        self.say(Word::Note(text.to_owned()));
    }
}

impl Display for Aside {
    fn finish(&self) {
        drop(lock(&self.words).take());
        // A reader who has not come back by now gets what he gets.
        let _ = lock(&self.shown).recv_timeout(PATIENCE);
    }
}

struct Live {
    bar: ProgressBar,
    expected: Option<Duration>,
    lag: Option<Arc<Lag>>,
}

impl Live {
    fn new(expected: Option<Duration>, lag: Option<Arc<Lag>>) -> Self {
        let bar = ProgressBar::new(expected.map_or(0, |whole| whole.as_millis() as u64));
        let template = if expected.is_some() { "{bar:24.cyan/dim} {msg}" } else { "{spinner} {msg}" };
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        Self { bar, expected, lag }
    }
}

impl RunWatcher for Live {
    fn tick(&self, snapshot: &Snapshot) {
        if self.expected.is_some() {
            let done =
                if snapshot.phase > Phase::Faulty { u64::MAX } else { snapshot.elapsed.as_millis() as u64 };
            self.bar.set_position(done.min(self.bar.length().unwrap_or(0)));
        }
        self.bar.set_message(format!("{}{}\n{}", counts(snapshot), behind(&self.lag), state(snapshot)));
        self.bar.tick();
    }

    fn note(&self, text: &str) {
        self.bar.println(format!("  {}", legible(text)));
    }
}

impl Display for Live {
    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

#[derive(Default)]
struct Plain {
    phase: Mutex<Option<Phase>>,
    next: AtomicU64,
    lag: Option<Arc<Lag>>,
}

impl RunWatcher for Plain {
    fn tick(&self, snapshot: &Snapshot) {
        let new_phase = lock(&self.phase).replace(snapshot.phase) != Some(snapshot.phase);
        let now = snapshot.elapsed.as_secs();
        if new_phase || now >= self.next.load(Ordering::Relaxed) {
            self.next.store(now + PLAIN_EVERY_SECONDS, Ordering::Relaxed);
            self.note(&format!("{}{}; {}", counts(snapshot), behind(&self.lag), state(snapshot)));
        }
    }

    fn note(&self, text: &str) {
        // Progress is a courtesy: a closed stderr must not end a run.
        let _ = writeln!(std::io::stderr(), "{}", legible(text));
    }
}

impl Display for Plain {
    fn finish(&self) {}
}

/// Notes quote what nodes print: their terminal escapes stay off this terminal.
fn legible(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() && letter != '\n' { ' ' } else { letter }).collect()
}

/// `faulty 3.2 s: 1600 ok, 3 fail, 2 indeterminate, 812/s, p50 1.2 ms, p99 8.0 ms`
fn counts(snapshot: &Snapshot) -> String {
    let operations = &snapshot.operations;
    format!(
        "{} {:.1} s: {} ok, {} fail, {} indeterminate, {:.0}/s, p50 {}, p99 {}",
        snapshot.phase.name(),
        snapshot.elapsed.as_secs_f64(),
        operations.ok,
        operations.fail,
        operations.info,
        operations.rate,
        millis(operations.recent.p50),
        millis(operations.recent.p99),
    )
}

/// `, check 12 lines behind`, where a check goes on during the run.
fn behind(lag: &Option<Arc<Lag>>) -> String {
    lag.as_ref().map_or(String::new(), |lag| lag.words())
}

fn millis(span: Duration) -> String {
    format!("{:.1} ms", span.as_secs_f64() * 1e3)
}

/// `coord up, srv-1 up, srv-2 down; faults: kill srv-2`
fn state(snapshot: &Snapshot) -> String {
    let nodes: Vec<String> = snapshot.nodes.iter().map(|(node, life)| format!("{node} {life}")).collect();
    let faults: Vec<String> = snapshot
        .faults
        .iter()
        .map(|(kind, nodes)| {
            let names: Vec<String> = nodes.iter().map(ToString::to_string).collect();
            format!("{kind} {}", names.join("+"))
        })
        .collect();
    let faults = if faults.is_empty() { String::new() } else { format!("; faults: {}", faults.join(", ")) };
    nodes.join(", ") + &faults
}

#[cfg(test)]
mod tests {
    use super::legible;

    #[test]
    fn what_a_node_prints_never_steers_the_terminal() {
        assert_eq!(legible("a\u{1b}[31mb\r\nc\u{7}"), "a [31mb \nc ");
    }
}
