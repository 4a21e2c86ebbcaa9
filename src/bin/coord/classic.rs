//! The exercise's coordinator, fault for fault.
//!
//! Every fault here is deliberate (DESIGN section 1): it serves one client at a time, contacts the
//! replicas one after another without a time-out, returns the first reply, and dies when a replica
//! refuses the connection. It must not be repaired, and shares no code with the durable edition.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::launch::listen;
use crate::reference::clock;

/// Serves until killed, or until a replica refuses.
pub fn run(ports: &[u16]) -> Result<(), Box<dyn Error>> {
    let listener = listen()?;
    loop {
        let Ok((client, _)) = listener.accept() else { continue };
        serve(client, ports)?;
    }
}

/// Only a replica's refusal ends the coordinator; a client that went away does not.
fn serve(mut client: TcpStream, ports: &[u16]) -> Result<(), Box<dyn Error>> {
    let mut request = String::new();
    if BufReader::new(&client).read_line(&mut request).is_err() || request.trim().is_empty() {
        return Ok(());
    }
    let line = format!("{};# {}\n", request.trim_end_matches('\n'), clock::http_style(now()));
    let mut first = None;
    for &port in ports {
        let replica = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .map_err(|error| format!("replica on port {port}: {error}"))?;
        let reply = exchange(replica, &line).unwrap_or_default();
        first.get_or_insert(reply);
    }
    let _ = client.write_all(&first.unwrap_or_default()).and_then(|()| client.shutdown(Shutdown::Write));
    Ok(())
}

fn exchange(mut replica: TcpStream, line: &str) -> io::Result<Vec<u8>> {
    replica.write_all(line.as_bytes())?;
    let mut reply = Vec::new();
    replica.read_to_end(&mut reply)?;
    Ok(reply)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
