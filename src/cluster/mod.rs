//! Real processes and the faultable links between them.

pub mod proxy;
