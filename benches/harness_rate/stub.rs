//! The trivial server, in a process of its own: this program again.
//!
//! Must not know of anything that is measured.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clap::ValueEnum;
use rsm_check::client::bank::Bank;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Failure;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
pub(crate) enum Closing {
    /// The server closes after its reply.
    ServerFirst,
    /// The server waits for the client's FIN.
    ClientFirst,
}

/// The stub's process; ends with this value.
pub(crate) struct Stub {
    child: Child,
    pub(crate) port: u16,
    closing: Closing,
}

impl Stub {
    pub(crate) fn start(closing: Closing) -> Result<Self, Failure> {
        let name = closing.to_possible_value().ok_or("a closing without a name")?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--stub", name.get_name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        Ok(Self { child, port: line.trim().parse()?, closing })
    }

    pub(crate) fn bank(&self, port: u16) -> Bank {
        let half_close = self.closing == Closing::ClientFirst;
        Bank { port, deadline: Duration::from_secs(10), half_close }
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn serve(closing: Closing) -> Result<(), Failure> {
    // Ends when the parent does, however that came.
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?.port());
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(answer(stream, closing));
        }
    })
}

async fn answer(mut stream: tokio::net::TcpStream, closing: Closing) -> std::io::Result<()> {
    let mut buffer = [0; 256];
    let mut last = 0;
    while last != b'\n' {
        let size = stream.read(&mut buffer).await?;
        last = if size == 0 { b'\n' } else { buffer[size - 1] };
    }
    if closing == Closing::ClientFirst {
        while stream.read(&mut buffer).await? > 0 {}
    }
    stream.write_all(b"95 105\n").await
}
