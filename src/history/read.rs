//! Reading a history back.
