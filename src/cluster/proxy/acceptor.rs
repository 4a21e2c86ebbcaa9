//! Turns accepted connections into tasks; owns them, so that none outlives it.
//!
//! Each opening of the gate brings a listener of its own, which ends by itself
//! when the gate refuses. Must not know why the gate opens or closes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

use super::connection::serve;
use super::shared::{Shared, Ticket};

/// Pause when the process is out of descriptors or memory: the condition does
/// not clear by asking again at once.
const STARVED: Duration = Duration::from_millis(5);

/// Accepts until the proxy is gone; dropping the future ends every connection.
pub(super) async fn run(shared: Arc<Shared>, mut listeners: UnboundedReceiver<std::net::TcpListener>) {
    let mut connections = JoinSet::new();
    while let Some(listener) = listeners.recv().await {
        if let Ok(listener) = TcpListener::from_std(listener) {
            accept_all(&shared, &listener, &mut connections).await;
        }
    }
}

async fn accept_all(shared: &Arc<Shared>, listener: &TcpListener, connections: &mut JoinSet<()>) {
    loop {
        match listener.accept().await {
            Ok((stream, SocketAddr::V4(client))) => {
                let ticket = Ticket::new(shared, client);
                connections.spawn(serve(ticket, stream));
            }
            Ok(_) => (),
            Err(error) => match after(&error) {
                After::Ended => return,
                After::Again => (),
                After::Pause => {
                    shared.tap.starved(shared.link, &error);
                    tokio::time::sleep(STARVED).await;
                }
            },
        }
        while connections.try_join_next().is_some() {}
    }
}

enum After {
    /// The gate refuses: this socket will never accept again.
    Ended,
    /// That one connection is gone; others may follow.
    Again,
    /// Nothing can be accepted at the moment.
    Pause,
}

fn after(error: &io::Error) -> After {
    match error.kind() {
        io::ErrorKind::InvalidInput => After::Ended,
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted => {
            After::Again
        }
        _ => After::Pause,
    }
}
