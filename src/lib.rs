//! Finds out whether a replicated state machine is right: starts the real
//! processes, drives concurrent clients, breaks things on purpose, records what
//! was seen, and judges it.
//!
//! ```text
//! workload file -> plan(seed) -> cluster + clients + nemesis -> run directory
//!                                                                    |
//!              exit code <- report <- verdict <- checkers <- history + files
//! ```
//!
//! The modules in reading order; each knows only those above it. What each must
//! not know stands at its head, and `tests/architecture.rs` keeps the walls.

#[cfg(not(target_os = "linux"))]
compile_error!("rsm-check runs on Linux only: it needs PID namespaces, pseudo-terminals and /proc.");

// Words: plain data, no processes, no sockets, no files.
pub mod excerpt;
pub mod op;
pub mod fault;
pub mod verdict;
pub mod proof;
pub mod history;

// Small things that several layers lean on.
pub mod clock;
pub mod loopback;
pub mod regular_file;
pub mod sync;

// What is asked for, and everything that is decided before anything starts.
pub mod workload;
pub mod plan;

// What is run, asked and broken.
pub mod cluster;
pub mod client;
pub mod nemesis;
pub mod recorder;

// What was recorded, and where it lies.
pub mod recorded;
pub mod runner;

// What it means: pure.
pub mod verifier;
pub mod checker;

// What is left of a run, and how it is shown.
pub mod record;
pub mod run_dir;
pub mod report;

// What was typed.
pub mod cli;
