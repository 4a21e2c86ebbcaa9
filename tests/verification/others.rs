//! The random histories and the brute force of `tests/models`.

#[path = "../models/oracle.rs"]
pub mod oracle;
#[path = "../models/small.rs"]
pub mod small;
