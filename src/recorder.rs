//! The one owner of event order.
