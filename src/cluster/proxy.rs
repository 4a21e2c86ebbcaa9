//! One faultable proxy per link.
