//! Which loopback address a proxy connects to its target from.
//!
//! 127.0.0.1, as the target expects. But where the connecting side closes first,
//! each connection leaves a port of its source address in TIME_WAIT for a
//! minute, and after some 28,000 of them nothing connects (CPU is lost in the
//! search long before). So an address that has had its share rests while
//! others of 127.255.0.0/16 take over. Must not know of connections.

use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::sync::lock;

/// First closes that one address takes before it rests: a fraction of the
/// default port range, so that the kernel finds a free port at first try.
const SHARE: u32 = 8_000;
/// TIME_WAIT is 60 s in Linux; a little more.
const REST: Duration = Duration::from_secs(65);

/// The addresses of one proxy.
#[derive(Debug)]
pub(super) struct Sources {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// 0 is 127.0.0.1, n is the n-th of 127.255.0.0/16.
    current: u16,
    first_closes: u32,
    /// When 127.0.0.1 is as good as new.
    rested: Instant,
}

impl Sources {
    pub(super) fn new() -> Self {
        let state = State { current: 0, first_closes: 0, rested: Instant::now() };
        Self { state: Mutex::new(state) }
    }

    /// The address for the next connection.
    pub(super) fn next(&self) -> Ipv4Addr {
        let [high, low] = match lock(&self.state).current {
            0 => return Ipv4Addr::LOCALHOST,
            number => number.to_be_bytes(),
        };
        Ipv4Addr::new(127, 255, high, low)
    }

    /// A connection was closed by this side first: a port goes to TIME_WAIT.
    pub(super) fn closed_first(&self, now: Instant) {
        let mut state = lock(&self.state);
        state.first_closes += 1;
        if state.first_closes >= SHARE {
            state.rest(now);
        }
    }

    /// No free port at the present address.
    pub(super) fn exhausted(&self, now: Instant) {
        lock(&self.state).rest(now);
    }
}

impl State {
    fn rest(&mut self, now: Instant) {
        if self.current == 0 {
            self.rested = now + REST;
        }
        // 65,000 addresses of 8,000 connections each outlast any minute.
        self.current = if now >= self.rested { 0 } else { self.current % 0xfffe + 1 };
        self.first_closes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wear_out(sources: &Sources, now: Instant) {
        for _ in 0..SHARE {
            sources.closed_first(now);
        }
    }

    #[test]
    fn a_worn_out_address_rests_until_its_ports_are_free_again() {
        let sources = Sources::new();
        let now = Instant::now();
        assert_eq!(sources.next(), Ipv4Addr::LOCALHOST);
        wear_out(&sources, now);
        assert_eq!(sources.next(), Ipv4Addr::new(127, 255, 0, 1));
        wear_out(&sources, now + REST / 2);
        assert_eq!(sources.next(), Ipv4Addr::new(127, 255, 0, 2));
        wear_out(&sources, now + REST);
        assert_eq!(sources.next(), Ipv4Addr::LOCALHOST);
    }
}
