//! The random histories and the brute force of `tests/linearizability`.

#[path = "../linearizability/oracle.rs"]
pub mod oracle;
#[path = "../linearizability/small.rs"]
pub mod small;
