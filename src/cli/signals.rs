//! SIGINT and SIGTERM: the first asks for an orderly end, the second ends at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::verdict::Exit;

/// Turns true at the first signal. Nodes die with the process at the second.
pub(super) fn interruption() -> io::Result<watch::Receiver<bool>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (told, receiver) = watch::channel(false);
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! { _ = interrupt.recv() => (), _ = terminate.recv() => () }
        };
        next().await;
        told.send_replace(true);
        next().await;
        std::process::exit(Exit::Infra as i32);
    });
    Ok(receiver)
}
