//! The thread that all proxies of a run share.
//!
//! Apart from clients and checkers, so that a busy client cannot make a link
//! slow; one thread, because more were measured slower
//! (docs/benchmarks-harness.md). Must not know of links.

use std::io;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// A thread with a runtime of its own; dropping it ends all tasks and joins it.
#[derive(Debug)]
pub struct ProxyThread {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ProxyThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// No thread, no epoll.
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("proxies".into()).spawn(move || {
            // Ends when told to or when the owner is gone.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Where to start proxies.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for ProxyThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed by its hook; nothing is left to stop.
            let _ = thread.join();
        }
    }
}
