//! How a program of the reference system is launched: its edition, its port, its words.
//!
//! The launch contract in one place (DESIGN: a free port on the loopback interface, one line that
//! names it). It must not know what is served there.

pub mod bugs;

use std::fmt;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use socket2::{Domain, Socket, Type};

/// Many short connections may arrive at once; the kernel clamps this to its own limit.
const BACKLOG: i32 = 4096;

/// Which reference system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Edition {
    /// The course exercise, fault for fault.
    Classic,
    /// The one that is right.
    Durable,
}

/// A listening socket on a free port of the loopback interface, announced on standard output.
pub fn listen() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from(socket);
    say(format_args!("Listening on port {} ...", listener.local_addr()?.port()));
    Ok(listener)
}

/// One line on standard output, at once. A closed standard output is no reason to die.
pub fn say(line: fmt::Arguments<'_>) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
