//! SIGINT and SIGTERM: the first asks for an orderly end, the second ends at once.
//!
//! Heard on a thread of their own for as long as the process lives: after the run
//! there is judging, which may take its time and never looks up.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::verdict::Exit;

/// Turns true at the first signal. Nodes die with the process at the second, or
/// at the first one that comes when nobody waits for it any more.
pub(super) fn interruption() -> io::Result<watch::Receiver<bool>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (interrupt, terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let (told, receiver) = watch::channel(false);
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || runtime.block_on(listen(interrupt, terminate, told)))?;
    Ok(receiver)
}

async fn listen(mut interrupt: Signal, mut terminate: Signal, told: watch::Sender<bool>) {
    let mut next = async || {
        tokio::select! { _ = interrupt.recv() => (), _ = terminate.recv() => () }
    };
    next().await;
    if told.send(true).is_ok() {
        next().await;
    }
    std::process::exit(Exit::Infra as i32);
}
