//! Connections within this machine: the only ones that the harness ever makes.
//!
//! Wraps what the kernel does unexpectedly with many short connections between
//! loopback ports (TIME_WAIT, ports that connect to themselves). Must not know
//! of proxies, clients or what the bytes mean.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};

/// The loopback address of a port.
pub fn address(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
}

/// A fresh connection and the address that it comes from.
#[derive(Debug)]
pub struct Connected {
    /// The open connection, Nagle's delay off.
    pub stream: TcpStream,
    /// The local end.
    pub local: SocketAddrV4,
}

/// Why there is no connection: the difference decides what a client may claim.
#[derive(Debug)]
pub enum ConnectError {
    /// This side could not even try (descriptors, ports, memory used up).
    Local(io::Error),
    /// The attempt left this socket and ended with an error.
    Remote(io::Error),
}

impl From<ConnectError> for io::Error {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Local(error) | ConnectError::Remote(error) => error,
        }
    }
}

/// Connects to a loopback port from the loopback address `source` (any of 127.0.0.0/8).
///
/// Every source address has a port space of its own: a caller that closes first
/// and often spreads its connections over several, or TIME_WAIT uses up the
/// ports of one.
///
/// # Errors
/// The kernel's, sorted by who failed. A connection that met itself (source and
/// target port are the same, nobody listens) counts as refused.
pub async fn connect(source: Ipv4Addr, port: u16) -> Result<Connected, ConnectError> {
    let socket = bound(source).map_err(ConnectError::Local)?;
    let target = address(port);
    let stream = socket.connect(SocketAddr::V4(target)).await.map_err(sorted)?;
    let local = local_address(&stream).map_err(ConnectError::Remote)?;
    if local == target {
        // A free port picked as source meets itself in a simultaneous open:
        // there is no server, whatever the kernel says.
        let _ = SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO));
        return Err(ConnectError::Remote(io::ErrorKind::ConnectionRefused.into()));
    }
    Ok(Connected { stream, local })
}

fn bound(source: Ipv4Addr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_nodelay(true)?;
    if source != Ipv4Addr::LOCALHOST {
        // The port is chosen at connect, by the whole four-tuple: at bind it
        // would have to be free towards everyone.
        setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
        socket.bind(SocketAddr::V4(SocketAddrV4::new(source, 0)))?;
    }
    Ok(socket)
}

/// Running out of source ports is this side's failure, not the server's.
fn sorted(error: io::Error) -> ConnectError {
    match error.kind() {
        io::ErrorKind::AddrNotAvailable => ConnectError::Local(error),
        _ => ConnectError::Remote(error),
    }
}

fn local_address(stream: &TcpStream) -> io::Result<SocketAddrV4> {
    match stream.local_addr()? {
        SocketAddr::V4(local) => Ok(local),
        SocketAddr::V6(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Arranges that closing this socket sends a reset instead of a FIN.
///
/// Failure is ignored: the socket is then already dead.
pub fn reset_on_close<'a>(socket: impl Into<SockRef<'a>>) {
    let _ = socket.into().set_linger(Some(std::time::Duration::ZERO));
}

/// Takes [`reset_on_close`] back.
///
/// Failure is ignored: the socket is then already dead.
pub fn fin_on_close<'a>(socket: impl Into<SockRef<'a>>) {
    let _ = socket.into().set_linger(None);
}
