//! The thread that all proxies of a run share.
//!
//! Apart from clients and checkers, so that a busy client cannot make a link
//! slow; one thread, because more were measured slower
//! (docs/benchmarks-harness.md). Must not know of links.

use std::io;
use std::sync::mpsc;
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
        let (stop, stopped) = oneshot::channel::<()>();
        let (made, handle) = mpsc::channel();
        // The runtime is made where it runs: the caller's may be an event loop, in
        // which a runtime must not be dropped, as it would be if no thread was had.
        let work = move || match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                let _ = made.send(Ok(runtime.handle().clone()));
                // Ends when told to or when the owner is gone.
                let _ = runtime.block_on(stopped);
            }
            Err(why) => {
                let _ = made.send(Err(why));
            }
        };
        let thread = std::thread::Builder::new().name("proxies".into()).spawn(work)?;
        let handle = handle.recv().map_err(io::Error::other)??;
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
