//! Who waits for a line of a node's output.
//!
//! Costs a look at an empty list for each line while nobody waits.

use std::sync::{Arc, Mutex};

use regex::Regex;
use tokio::sync::oneshot;

use crate::sync::lock;

/// What is waited for, and who is told.
type Waiting = (Regex, oneshot::Sender<()>);

/// The patterns that are waited for, shared by all starts of a node.
#[derive(Debug, Clone, Default)]
pub struct Heard(Arc<Mutex<Vec<Waiting>>>);

impl Heard {
    /// Is told at the first line from now on that holds `pattern`.
    pub fn next(&self, pattern: Regex) -> oneshot::Receiver<()> {
        let (tell, told) = oneshot::channel();
        lock(&self.0).push((pattern, tell));
        told
    }

    /// The node printed a line.
    pub(super) fn line(&self, line: &str) {
        let mut waiting = lock(&self.0);
        let found = |(pattern, _): &mut Waiting| pattern.is_match(line);
        for (_, tell) in waiting.extract_if(.., found) {
            // Whoever waited may have given up.
            let _ = tell.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_is_told_once_and_what_came_before_is_not() {
        let heard = Heard::default();
        heard.line("leader 1");
        let mut told = heard.next(Regex::new(r"leader \d").unwrap());
        heard.line("follower");
        assert!(told.try_recv().is_err());
        heard.line("I am leader 2 now");
        assert!(told.try_recv().is_ok());
        assert!(lock(&heard.0).is_empty());
    }
}
