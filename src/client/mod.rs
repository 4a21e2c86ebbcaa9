//! Drives operations; one file per protocol.
