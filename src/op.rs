//! What clients ask of the bank and what they were told.
//!
//! Plain data. Must not know of sockets, files, processes or checkers: the same
//! types are drawn by the plan, sent by a client, written by the recorder and
//! judged by a model.

use serde::{Deserialize, Serialize};

/// One transfer as it stands in the `value` of a history line.
///
/// `amount` is a signed 64-bit number of money units; 0 reads both balances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// The account that is debited.
    pub from: String,
    /// The account that is credited.
    pub to: String,
    /// How much is to move.
    pub amount: i64,
    /// `[balance_from, balance_to]` after the transfer, when the reply told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balances: Option<[i64; 2]>,
}

impl Transfer {
    /// The request as a client sends it: nothing is known of its result.
    pub fn request(from: impl Into<String>, to: impl Into<String>, amount: i64) -> Self {
        Self { from: from.into(), to: to.into(), amount, balances: None }
    }
}

/// What a client knows of its operation when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It happened.
    Ok,
    /// It certainly did not happen and never will.
    Fail,
    /// Nobody knows: it may take effect at any later time, or never.
    Info,
}

/// Why an operation did not end `ok`, as the client saw it.
///
/// The single table that says which errors are definite ([`Reason::outcome`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The kernel refused the connection: not a byte was sent.
    ConnectionRefused,
    /// The server answered `refused REASON`.
    Refused(String),
    /// The connection was closed without a reply.
    NoReply,
    /// The connection was reset after something may have been sent.
    Reset,
    /// The deadline passed.
    Timeout,
    /// Bytes came that are no reply of the protocol (quoted, shortened).
    Unparsable(String),
    /// A fault of the harness lost bytes of this connection, or made up its end:
    /// what came on it, however it reads, proves nothing.
    Tampered,
    /// This side could not even open a socket (text of the error).
    Local(String),
}

/// How an unparsable reply's `error` text begins in the history; the check
/// `protocol` finds it by this.
pub const UNPARSABLE: &str = "unparsable reply";

/// How the `error` text begins where the client's own side failed; the check
/// `available` finds it by this.
pub const LOCAL: &str = "local";

impl Reason {
    /// Definite or not: the one place that decides.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::ConnectionRefused | Self::Refused(_) | Self::Local(_) => Outcome::Fail,
            Self::NoReply | Self::Reset | Self::Timeout | Self::Unparsable(_) | Self::Tampered => {
                Outcome::Info
            }
        }
    }

    /// The text of the history line's `error` field.
    pub fn text(&self) -> String {
        match self {
            Self::ConnectionRefused => "connection refused".into(),
            Self::Refused(why) => format!("refused: {why}"),
            Self::NoReply => "closed without a reply".into(),
            Self::Reset => "connection reset".into(),
            Self::Timeout => "timeout".into(),
            Self::Unparsable(bytes) => format!("{UNPARSABLE}: {bytes}"),
            Self::Tampered => "a fault lost part of this connection".into(),
            Self::Local(why) => format!("{LOCAL}: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_definite_and_silence_is_not() {
        assert_eq!(Reason::ConnectionRefused.outcome(), Outcome::Fail);
        assert_eq!(Reason::Refused("no majority".into()).outcome(), Outcome::Fail);
        assert_eq!(Reason::NoReply.outcome(), Outcome::Info);
        assert_eq!(Reason::Tampered.outcome(), Outcome::Info);
        assert_eq!(Reason::Unparsable("x".into()).outcome(), Outcome::Info);
    }

    #[test]
    fn a_transfer_without_a_known_result_says_nothing_of_balances() {
        let line = serde_json::to_string(&Transfer::request("a", "b", 5)).unwrap();
        assert_eq!(line, r#"{"from":"a","to":"b","amount":5}"#);
    }
}
