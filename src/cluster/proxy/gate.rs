//! The port of a link: the same for the whole run, open or refused by the kernel.
//!
//! `shutdown(SHUT_RD)` on a listening socket refuses at once, but `listen()` on
//! that socket does not reliably reopen it: Linux 6.18 then reports a listening
//! socket that no connection can find. So one bound socket that never listens
//! reserves the port (SO_REUSEADDR lets a second one bind explicitly; automatic
//! assignment never hands out a port that is bound), and every opening is a new
//! listening socket, which an epoll has never seen either: a registration that
//! once saw the hang-up stays ready for ever and would spin.
//!
//! Must not know of upstreams or of what is done with connections.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener};

use socket2::{Domain, SockRef, Socket, Type};

/// Connections that may wait for the proxy to accept them.
const BACKLOG: i32 = 1024;

/// A reserved loopback port.
#[derive(Debug)]
pub(super) struct Gate {
    /// Bound, never listening: while no other socket listens, the kernel refuses.
    _reservation: Socket,
    address: SocketAddrV4,
    open: Option<TcpListener>,
}

impl Gate {
    /// Reserves a free port; connections to it are refused.
    pub(super) fn reserve() -> io::Result<Self> {
        let reservation = bound(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
        let address = reservation.local_addr()?.as_socket_ipv4().ok_or(io::ErrorKind::Unsupported)?;
        Ok(Self { _reservation: reservation, address, open: None })
    }

    /// The port, stable until the gate is dropped.
    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Starts listening and returns the socket to accept from; `None` if it is open already.
    pub(super) fn open(&mut self) -> io::Result<Option<TcpListener>> {
        if self.open.is_some() {
            return Ok(None);
        }
        let socket = bound(self.address)?;
        // Inherited by accepted sockets: one system call less per connection.
        socket.set_tcp_nodelay(true)?;
        socket.set_nonblocking(true)?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from(socket);
        self.open = Some(listener.try_clone()?);
        Ok(Some(listener))
    }

    /// Refuses from now on. `waiting` gets what had connected and was not yet accepted.
    pub(super) fn refuse(&mut self, mut waiting: impl FnMut(std::net::TcpStream, SocketAddrV4)) {
        let Some(listener) = self.open.take() else { return };
        while let Ok((stream, std::net::SocketAddr::V4(client))) = listener.accept() {
            waiting(stream, client);
        }
        // Reaches every duplicate of the socket: whoever accepts wakes and gets EINVAL.
        let _ = SockRef::from(&listener).shutdown(Shutdown::Read);
    }
}

fn bound(address: SocketAddrV4) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn connect(gate: &Gate) -> io::Result<TcpStream> {
        TcpStream::connect(("127.0.0.1", gate.port()))
    }

    #[test]
    fn a_gate_refuses_until_it_is_opened_and_opens_again_at_the_same_port() {
        let mut gate = Gate::reserve().unwrap();
        for _ in 0..20 {
            assert_eq!(connect(&gate).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
            let listener = gate.open().unwrap().expect("was closed");
            let client = connect(&gate).unwrap();
            let (_served, from) = listener.accept().unwrap();
            assert_eq!(from, client.local_addr().unwrap());
            gate.refuse(|_, _| panic!("nobody waits"));
            assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn an_old_connection_survives_the_closing_and_does_not_hinder_the_reopening() {
        let mut gate = Gate::reserve().unwrap();
        let listener = gate.open().unwrap().expect("was closed");
        let mut client = connect(&gate).unwrap();
        let (mut served, _) = listener.accept().unwrap();
        gate.refuse(|_, _| ());
        let _listener = gate.open().unwrap().expect("was closed");
        std::io::Write::write_all(&mut served, b"x").unwrap();
        let mut byte = [0];
        std::io::Read::read_exact(&mut client, &mut byte).unwrap();
        assert!(connect(&gate).is_ok());
    }

    #[test]
    fn whoever_waited_for_an_accept_is_handed_over_on_refusal() {
        let mut gate = Gate::reserve().unwrap();
        let _listener = gate.open().unwrap().expect("was closed");
        let client = connect(&gate).unwrap();
        let mut waiting = Vec::new();
        gate.refuse(|_, from| waiting.push(std::net::SocketAddr::V4(from)));
        assert_eq!(waiting, [client.local_addr().unwrap()]);
    }

    #[test]
    fn automatic_assignment_never_hands_out_the_reserved_port() {
        let gate = Gate::reserve().unwrap();
        let taken: Vec<_> = (0..500).filter_map(|_| bound("127.0.0.1:0".parse().unwrap()).ok()).collect();
        assert!(
            taken.iter().all(|socket| {
                socket.local_addr().unwrap().as_socket_ipv4().unwrap().port() != gate.port()
            })
        );
    }
}
