//! Whether a node listens where it says, as the kernel's tables tell.
//!
//! Looked up and never tried out: nothing but the system's own clients may ever
//! connect to a node. Knows ports and addresses, not whose they are.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The state of a listening socket in the tables.
const LISTEN: &str = "0A";

/// Where sockets of this machine listen on a port.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listening {
    /// The addresses, without order.
    pub addresses: Vec<IpAddr>,
}

impl Listening {
    /// Whether a connection to 127.0.0.1 finds one of them.
    pub fn serves_loopback(&self) -> bool {
        self.addresses.iter().any(|address| match address {
            IpAddr::V4(address) => *address == Ipv4Addr::LOCALHOST || address.is_unspecified(),
            IpAddr::V6(address) => {
                let mapped = address.to_ipv4_mapped();
                address.is_unspecified() || mapped.is_some_and(|it| it == Ipv4Addr::LOCALHOST)
            }
        })
    }

    /// Whether other machines reach one of them.
    pub fn is_public(&self) -> bool {
        self.addresses.iter().any(|address| !address.to_canonical().is_loopback())
    }
}

/// Looks a port up.
///
/// # Errors
/// The kernel's tables cannot be read here: nothing is known then.
pub fn look_up(port: u16) -> io::Result<Listening> {
    let mut addresses = Vec::new();
    scan(BufReader::new(File::open("/proc/net/tcp")?), port, &mut addresses)?;
    // A kernel without IPv6 has no such table.
    if let Ok(table) = File::open("/proc/net/tcp6") {
        scan(BufReader::new(table), port, &mut addresses)?;
    }
    Ok(Listening { addresses })
}

/// Listening sockets come first, so that thousands of others are never read.
fn scan(table: impl BufRead, port: u16, found: &mut Vec<IpAddr>) -> io::Result<()> {
    for line in table.lines().skip(1) {
        let line = line?;
        let mut words = line.split_ascii_whitespace().skip(1);
        let (local, state) = (words.next().unwrap_or_default(), words.nth(1).unwrap_or_default());
        if state != LISTEN {
            return Ok(());
        }
        let Some((address, its_port)) = local.split_once(':') else { continue };
        if u16::from_str_radix(its_port, 16) == Ok(port) {
            found.extend(parse(address));
        }
    }
    Ok(())
}

/// Addresses stand there as words of 32 bits, each in the machine's own byte order.
fn parse(address: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(address.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    match address.len() {
        8 => Some(IpAddr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (piece, at) in bytes.chunks_exact_mut(4).zip([0, 8, 16, 24]) {
                piece.copy_from_slice(&word(at)?);
            }
            Some(IpAddr::V6(Ipv6Addr::from(bytes)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_socket_is_found_while_it_listens_and_only_with_its_own_address() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let found = look_up(port).unwrap();
        assert_eq!(found.addresses, [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        assert!(found.serves_loopback() && !found.is_public());
        drop(socket);
        assert_eq!(look_up(port).unwrap(), Listening::default());
        assert!(!Listening::default().serves_loopback());
    }

    #[test]
    fn every_way_to_serve_loopback_counts_and_other_addresses_do_not() {
        let serves = |text: &str| {
            let found = Listening { addresses: vec![text.parse().unwrap()] };
            (found.serves_loopback(), found.is_public())
        };
        assert_eq!(serves("0.0.0.0"), (true, true));
        assert_eq!(serves("::"), (true, true));
        assert_eq!(serves("::ffff:127.0.0.1"), (true, false));
        assert_eq!(serves("127.0.0.2"), (false, false));
        assert_eq!(serves("::1"), (false, false));
        assert_eq!(serves("192.0.2.7"), (false, true));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn both_tables_are_understood_and_read_no_further_than_needed() {
        let table = "  sl  local_address rem_address   st\n\
                     \x20  0: 0100007F:1267 00000000:0000 0A 0\n\
                     \x20  1: 0000000000000000FFFF00000100007F:1267 0:0 0A 0\n\
                     \x20  2: 0200007F:1267 0100007F:0001 01 0\n\
                     \x20  3: 0300007F:1267 00000000:0000 0A 0\n";
        let mut found = Vec::new();
        scan(table.as_bytes(), 4711, &mut found).unwrap();
        let expected = ["127.0.0.1", "::ffff:127.0.0.1"].map(|text| text.parse::<IpAddr>().unwrap());
        assert_eq!(found, expected);
    }
}
