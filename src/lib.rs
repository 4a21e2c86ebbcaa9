//! Finds out whether a replicated state machine is right.

#[cfg(not(target_os = "linux"))]
compile_error!("rsm-check runs on Linux only: it needs PID namespaces, pseudo-terminals and /proc.");

pub mod clock;
pub mod fault;
pub mod history;
pub mod loopback;
pub mod op;
pub mod sync;
pub mod verdict;

pub mod workload;

pub mod plan;

pub mod client;
pub mod cluster;
pub mod recorder;

pub mod nemesis;
pub mod recorded;

pub mod checker;

pub mod record;
pub mod run_dir;

pub mod report;
