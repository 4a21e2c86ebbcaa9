//! Pure: what was recorded goes in, verdicts and evidence come out.
//!
//! A checker never touches a process, a socket or a clock of the run, and never
//! renders anything. It may be given a budget of time and memory.

pub mod bank;
pub mod linearizability;
pub mod verify;
