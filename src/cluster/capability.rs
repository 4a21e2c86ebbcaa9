//! What this machine lets the harness do, family by family, found out by trying.
//!
//! Nothing is concluded from versions or names: a clock counts as changeable when the
//! clock of a process was changed. Must not know what a workload asks for.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};

use super::clock::{self, Change, Skew, Traced};
use super::{containment, disk};
use crate::fault::Family;

/// Tries whether faults of a family can be carried out. Starts and ends a process of
/// its own; must not be called within an event loop.
///
/// # Errors
/// Why not, and what to install or allow.
pub fn probe(family: Family) -> Result<String, String> {
    match family {
        Family::Process => Ok(containment::prepare().describe().into()),
        Family::Network => network().map_err(|why| format!("no connection over 127.0.0.1: {why}")),
        Family::Clock => clock(),
        Family::Disk => disk::usable()
            .map(|()| "a file system of the harness, mounted where nobody else sees it".into())
            .map_err(|why| why.to_string()),
    }
}

fn network() -> io::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    TcpStream::connect(listener.local_addr()?)?;
    Ok("a proxy for each link, on the loopback interface".into())
}

/// Changes the clock of a `cat` that waits for input.
fn clock() -> Result<String, String> {
    let (theirs, ours) = io::pipe().map_err(|why| format!("no pipe: {why}"))?;
    let mut command = Command::new("cat");
    command.stdin(theirs).stdout(Stdio::null()).stderr(Stdio::null());
    let started = clock::spawn(command, Skew::default(), || Ok(()));
    let ((), Traced { clocks, exit }) = started.map_err(|why| format!("`cat` cannot be traced: {why}"))?;
    let applied = clocks.change(Change::Jump(1_000_000_000));
    drop(ours);
    // It ends with its input; should it not have been there, nothing is lost.
    let _ = exit.blocking_recv();
    match applied.escaped.first() {
        None if applied.held() => Ok("the vDSO of traced processes; not reached: raw system calls, \
             absolute waits on the real-time clock, time stamps of files"
            .into()),
        None => Err("a traced process ended before its clock could be changed".into()),
        Some((_, why)) => Err(format!("{why}; ptrace and writing to /proc/PID/mem must be allowed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_offers_is_found_out_by_trying() {
        assert!(probe(Family::Network).is_ok());
        assert!(probe(Family::Process).is_ok());
        let clock = probe(Family::Clock);
        assert_eq!(clock.is_ok(), cfg!(target_arch = "x86_64"), "{clock:?}");
    }
}
