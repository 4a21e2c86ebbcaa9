//! SIGINT and SIGTERM: the first asks for an orderly end, the second ends at once.
//!
//! Heard on a thread of their own, so that they are heard too while checkers keep
//! this process busy. Must not know what a run is.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::output;
use crate::verdict::Exit;

/// Ears for the rest of the process's life.
pub(super) struct Signals {
    told: watch::Receiver<bool>,
    judging: Arc<OnceLock<PathBuf>>,
}

impl Signals {
    /// Begins to listen. Nodes die with the process at the second signal.
    ///
    /// # Errors
    /// No thread, no event loop, or a handler that cannot be installed.
    pub(super) fn listen() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let handlers = {
            let _in_runtime = runtime.enter();
            [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?]
        };
        let (teller, told) = watch::channel(false);
        let judging = Arc::new(OnceLock::new());
        let seen = judging.clone();
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || hear(&runtime, handlers, &teller, &seen))?;
        Ok(Self { told, judging })
    }

    /// Turns true at the first signal.
    pub(super) fn interruption(&self) -> watch::Receiver<bool> {
        self.told.clone()
    }

    /// From now on nothing is left to be ended in order: any signal ends at once.
    /// `run_dir` is where what was recorded can be judged later.
    pub(super) fn judging(&self, run_dir: PathBuf) {
        // Told once: there is one run in a process.
        let _ = self.judging.set(run_dir);
    }
}

fn hear(runtime: &Runtime, handlers: [Signal; 2], teller: &watch::Sender<bool>, judging: &OnceLock<PathBuf>) {
    let [mut interrupt, mut terminate] = handlers;
    runtime.block_on(async {
        loop {
            tokio::select! { _ = interrupt.recv() => (), _ = terminate.recv() => () }
            if let Some(run_dir) = judging.get() {
                let dir = shell_words::quote(&run_dir.display().to_string()).into_owned();
                output::error(&format!(
                    "interrupted while judging; all is recorded: `rsm-check check {dir}` judges it"
                ));
                std::process::exit(Exit::Infra as i32);
            }
            if teller.send_replace(true) {
                std::process::exit(Exit::Infra as i32);
            }
        }
    });
}
