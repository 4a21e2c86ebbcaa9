//! `rsm-check serve`: the reports folder in a browser, on this machine alone.
//!
//! Listens on 127.0.0.1 and nowhere else; serves regular files below the folder
//! ([`folder`]) as the requests that it understands ask for them ([`answer`]). Changes
//! nothing on disk. Must not know what a report holds.

mod answer;
mod folder;
mod request;

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::args::ServeArgs;
use super::{Failure, output};
use crate::verdict::Exit;
use answer::Answer;
use folder::Folder;
use request::{MOST_HEAD, Request};

/// The port that is tried first.
const USUAL: u16 = 7878;
/// Connections at a time; more wait.
const MOST_CONNECTIONS: usize = 64;
/// A request that is not there by then is not waited for, nor is a reader that is
/// that slow at taking the next piece.
const PATIENCE: Duration = Duration::from_secs(20);
/// So many bytes of a file are in memory at a time.
const PIECE: usize = 64 << 10;

pub(super) fn serve(args: &ServeArgs) -> Result<Exit, Failure> {
    let folder = Folder::open(&args.folder).map_err(Failure::bad_input)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|why| Failure::infra(format!("no event loop can be started: {why}")))?;
    runtime.block_on(async {
        let listener = listen(args.port).await?;
        let address = listener.local_addr().map_err(|why| Failure::infra(format!("no address: {why}")))?;
        output::print(&format!("http://{address}/"))?;
        output::say(&format!(
            "serving {} to this machine alone; Ctrl-C ends it",
            folder.path().display()
        ));
        let interrupted = tokio::signal::ctrl_c();
        tokio::select! {
            _ = interrupted => Ok(Exit::Pass),
            why = accept(listener, Arc::new(folder)) => Err(Failure::infra(format!("no connection can be accepted: {why}"))),
        }
    })
}

async fn listen(asked: Option<u16>) -> Result<TcpListener, Failure> {
    let bind = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    if let Some(port) = asked {
        return bind(port).await.map_err(|why| {
            Failure::bad_input(format!(
                "--port {port}: cannot be used: {why}; accepted: a free port, or 0 for any"
            ))
        });
    }
    match bind(USUAL).await {
        Err(why) if why.kind() == io::ErrorKind::AddrInUse => bind(0).await,
        bound => bound,
    }
    .map_err(|why| Failure::infra(format!("no port of 127.0.0.1 can be used: {why}")))
}

/// Serves until accepting fails for good.
async fn accept(listener: TcpListener, folder: Arc<Folder>) -> io::Error {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        // Never closed; without a permit there would be nothing to hold back.
        let permit = room.clone().acquire_owned().await.ok();
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // The peer has gone again: not the listener's trouble.
            Err(why) if why.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(why) => return why,
        };
        let folder = folder.clone();
        tokio::spawn(async move {
            // A reader that goes away in the middle is no failure of ours.
            let _ = one(stream, &folder).await;
            drop(permit);
        });
    }
}

/// One request, one answer, then the connection is closed.
async fn one(mut stream: TcpStream, folder: &Folder) -> io::Result<()> {
    let asked = tokio::time::timeout(PATIENCE, head(&mut stream)).await;
    let Ok(head) = asked else { return Ok(()) };
    let answer = match Request::parse(&head?) {
        Ok(request) => folder.answer(&request),
        Err(answer) => answer,
    };
    send(&mut stream, answer).await?;
    stream.shutdown().await
}

/// Reads until the empty line that ends a request's head, or as much as is allowed.
async fn head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut piece = [0; 2048];
    while head.len() < MOST_HEAD && !request::is_whole(&head) {
        match stream.read(&mut piece).await? {
            0 => break,
            length => head.extend_from_slice(&piece[..length]),
        }
    }
    Ok(head)
}

async fn send(stream: &mut TcpStream, answer: Answer) -> io::Result<()> {
    put(stream, answer.head().as_bytes()).await?;
    let (head_only, body) = answer.into_body();
    match body {
        _ if head_only => Ok(()),
        answer::Body::Text(text) => put(stream, text.as_bytes()).await,
        answer::Body::File(file, length) => {
            let mut left = tokio::fs::File::from_std(file).take(length);
            let mut piece = vec![0; PIECE];
            loop {
                match left.read(&mut piece).await? {
                    0 => return Ok(()),
                    length => put(stream, &piece[..length]).await?,
                }
            }
        }
    }
}

async fn put(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    let sent = tokio::time::timeout(PATIENCE, stream.write_all(bytes)).await;
    sent.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
