//! One socket of a proxied connection and what is known of its peer.
//!
//! Must not know which side it is or what is forwarded.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::TcpStream;

use crate::loopback;

/// A socket. Flags are atomic only so that the task may change threads.
#[derive(Debug)]
pub(super) struct End {
    pub(super) stream: TcpStream,
    /// The peer has reset it. Remembered here, because the kernel tells it once,
    /// to whichever call comes first, and shows an ordinary EOF afterwards.
    broken: AtomicBool,
    /// Both FINs have passed: close without a reset.
    orderly: AtomicBool,
}

impl End {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, broken: AtomicBool::new(false), orderly: AtomicBool::new(false) }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    pub(super) fn set_broken(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    /// The connection has ended FIN by FIN; the kernel delivers what it still holds.
    pub(super) fn close_orderly(&self) {
        self.orderly.store(true, Ordering::Relaxed);
    }
}

impl Drop for End {
    /// An EOF that no peer sent must not look like one: whatever is dropped
    /// before its time is reset.
    fn drop(&mut self) {
        if !self.orderly.load(Ordering::Relaxed) {
            loopback::reset_on_close(&self.stream);
        }
    }
}
