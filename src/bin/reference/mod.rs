//! The vocabulary that both halves of the reference system speak: requests, log entries, the
//! bank, and the lines that travel between coordinator and replica.
//!
//! It exists so that `srv`, `coord` and their simulation agree by construction. It is plain data:
//! it must not know sockets, files, clocks, processes (`bug` apart), nor anything of the `rsm_check` library
//! (the harness meets the reference system over the wire alone).

pub mod bank;
pub mod bug;
pub mod clock;
pub mod entry;
pub mod log;
pub mod members;
pub mod message;
pub mod transfer;
pub mod words;
