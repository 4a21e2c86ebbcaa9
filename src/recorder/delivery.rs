//! Proof that a request never reached its server.
//!
//! Joins two reports: a client's operation ended indeterminate, and the proxy
//! closed that operation's connection without writing one byte to the server.
//! Ports are no names for connections: the kernel reuses them while reports are
//! still under way. So each operation connects from a loopback address of its
//! own, which is given to no other operation until *both* reports about it are
//! in (or no connection was ever made). A report that contradicts another about
//! the same address proves nothing any more.
//!
//! Pure: must not know of files, clocks or sockets.

use std::net::{Ipv4Addr, SocketAddrV4};

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

/// 127.1.0.0 to 127.254.255.255.
const ADDRESSES: u32 = 254 << 16;

/// How an operation ended, as far as evidence goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// No connection was made: no proxy will ever report one.
    Unconnected,
    /// The client knows what happened.
    Known,
    /// The client does not know. Its local end, if the connect completed.
    Unknown(Option<SocketAddrV4>),
}

/// Operations about which a report is still missing.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    next: u32,
    open: HashMap<Ipv4Addr, Entry, FxBuildHasher>,
}

#[derive(Debug)]
struct Entry {
    invoke: u64,
    end: Option<End>,
    closed: Option<Closed>,
    tampered: bool,
}

#[derive(Debug, Clone, Copy)]
struct Closed {
    client: SocketAddrV4,
    delivered: u64,
    /// More than one connection was reported for the address.
    disputed: bool,
}

impl Deliveries {
    /// An operation begins: the address that it is to connect from.
    pub(super) fn begin(&mut self, invoke: u64) -> Ipv4Addr {
        for _ in 0..ADDRESSES {
            let address = numbered(self.next);
            self.next = (self.next + 1) % ADDRESSES;
            if !self.open.contains_key(&address) {
                self.open.insert(address, Entry { invoke, end: None, closed: None, tampered: false });
                return address;
            }
        }
        // Sixteen million operations without a report: no evidence for this one.
        Ipv4Addr::LOCALHOST
    }

    /// A fault has maimed a connection from this address.
    pub(super) fn tampered(&mut self, client: SocketAddrV4) {
        if let Some(entry) = self.open.get_mut(client.ip()) {
            entry.tampered = true;
        }
    }

    /// Whether a fault has maimed the operation's connection.
    pub(super) fn tampered_with(&self, source: Ipv4Addr) -> bool {
        self.open.get(&source).is_some_and(|entry| entry.tampered)
    }

    /// The client's report. Returns the invocation if it is now proven harmless.
    pub(super) fn ended(&mut self, source: Ipv4Addr, end: End) -> Option<u64> {
        let entry = self.open.get_mut(&source)?;
        entry.end = Some(end);
        self.conclude(source)
    }

    /// The proxy's report. Returns the invocation if it is now proven harmless.
    pub(super) fn closed(&mut self, client: SocketAddrV4, delivered: u64) -> Option<u64> {
        let entry = self.open.get_mut(client.ip())?;
        let disputed = entry.closed.is_some();
        entry.closed = Some(Closed { client, delivered, disputed });
        self.conclude(*client.ip())
    }

    fn conclude(&mut self, source: Ipv4Addr) -> Option<u64> {
        let entry = self.open.get(&source)?;
        let invoke = entry.invoke;
        let harmless = match (entry.end?, entry.closed) {
            (End::Unconnected, _) => false,
            (_, None) => return None,
            (End::Known, Some(_)) => false,
            (End::Unknown(local), Some(closed)) => proven(local, closed),
        };
        self.open.remove(&source);
        harmless.then_some(invoke)
    }
}

/// The address says which operation; the port must agree where it is known.
fn proven(local: Option<SocketAddrV4>, closed: Closed) -> bool {
    closed.delivered == 0 && !closed.disputed && local.is_none_or(|local| local == closed.client)
}

fn numbered(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(127, 1, 0, 0)) + number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(source: Ipv4Addr, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(source, port)
    }

    #[test]
    fn either_order_of_the_two_reports_gives_the_same_evidence() {
        let mut deliveries = Deliveries::default();
        let source = deliveries.begin(4);
        assert_eq!(deliveries.closed(at(source, 1000), 0), None);
        assert_eq!(deliveries.ended(source, End::Unknown(Some(at(source, 1000)))), Some(4));

        let source = deliveries.begin(5);
        assert_eq!(deliveries.ended(source, End::Unknown(Some(at(source, 1000)))), None);
        assert_eq!(deliveries.closed(at(source, 1000), 0), Some(5));
        assert!(deliveries.open.is_empty());
    }

    #[test]
    fn one_delivered_byte_proves_nothing() {
        let mut deliveries = Deliveries::default();
        let source = deliveries.begin(4);
        deliveries.ended(source, End::Unknown(None));
        assert_eq!(deliveries.closed(at(source, 1000), 1), None);
    }

    #[test]
    fn a_known_outcome_needs_no_evidence_whatever_was_delivered() {
        let mut deliveries = Deliveries::default();
        let source = deliveries.begin(4);
        deliveries.ended(source, End::Known);
        assert_eq!(deliveries.closed(at(source, 1000), 0), None);
        assert!(deliveries.open.is_empty());
    }

    #[test]
    fn another_port_or_a_second_connection_from_the_address_proves_nothing() {
        let mut deliveries = Deliveries::default();
        let source = deliveries.begin(4);
        deliveries.ended(source, End::Unknown(Some(at(source, 1000))));
        assert_eq!(deliveries.closed(at(source, 1001), 0), None);

        let source = deliveries.begin(5);
        deliveries.closed(at(source, 1000), 7);
        deliveries.closed(at(source, 1000), 0);
        assert_eq!(deliveries.ended(source, End::Unknown(Some(at(source, 1000)))), None);
    }

    #[test]
    fn an_address_is_not_given_again_while_a_report_about_it_is_missing() {
        let mut deliveries = Deliveries::default();
        let missing = deliveries.begin(0);
        deliveries.ended(missing, End::Unknown(None));
        deliveries.next = 0;
        assert_ne!(deliveries.begin(1), missing);
        deliveries.closed(at(missing, 1), 0);
        deliveries.next = 0;
        assert_eq!(deliveries.begin(2), missing);
    }

    #[test]
    fn addresses_are_loopback_and_never_the_ordinary_one() {
        assert_eq!(numbered(0), Ipv4Addr::new(127, 1, 0, 0));
        assert_eq!(numbered(ADDRESSES - 1), Ipv4Addr::new(127, 254, 255, 255));
    }

    #[test]
    fn an_operation_that_never_connected_is_forgotten_at_once() {
        let mut deliveries = Deliveries::default();
        let source = deliveries.begin(0);
        assert_eq!(deliveries.ended(source, End::Unconnected), None);
        assert!(deliveries.open.is_empty());
    }
}
