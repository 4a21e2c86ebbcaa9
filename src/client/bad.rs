//! A client of bad requests: bytes that no server may carry out.
//!
//! It asks for nothing that the protocol knows, so there is no outcome to judge; what
//! it sent and what was answered is noted all the same. Must not know what the bytes
//! mean.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use super::bank::{REPLY_LIMIT, quoted};
use crate::loopback;

/// Where a bad client writes down what it does.
pub trait BadJournal: Send + Sync {
    /// These bytes are about to be sent.
    fn sending(&self, request: &str);
    /// This is what came of it.
    fn answered(&self, request: &str, answer: &str);
}

/// The one bad client of a run.
#[derive(Debug, Clone, Copy)]
pub struct BadClient {
    /// Port on 127.0.0.1 to connect to.
    pub port: u16,
    /// Between two requests. Not zero.
    pub interval: Duration,
    /// For each exchange.
    pub deadline: Duration,
}

impl BadClient {
    /// Sends request after request until `stop` turns true or there are no more.
    pub async fn run(
        self,
        requests: impl IntoIterator<Item = Vec<u8>>,
        journal: &impl BadJournal,
        mut stop: watch::Receiver<bool>,
    ) {
        for request in requests {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stopped| *stopped) => return,
                () = tokio::time::sleep(self.interval) => {}
            }
            let shown = quoted(&request);
            journal.sending(&shown);
            let answer = match tokio::time::timeout(self.deadline, self.exchange(&request)).await {
                Err(_) => "no answer in time".into(),
                Ok(Err(why)) => why.to_string(),
                Ok(Ok(reply)) if reply.is_empty() => "closed without a word".into(),
                Ok(Ok(reply)) => quoted(&reply),
            };
            journal.answered(&shown, &answer);
        }
    }

    /// From an address that no operation ever connects from.
    async fn exchange(&self, request: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut stream = loopback::connect(Ipv4Addr::LOCALHOST, self.port).await?.stream;
        stream.write_all(request).await?;
        let mut reply = Vec::new();
        stream.take(REPLY_LIMIT as u64).read_to_end(&mut reply).await?;
        Ok(reply)
    }
}
