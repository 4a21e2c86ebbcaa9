//! Which bugs can be planted, as the coordinator tells it.
//!
//! The library knows none of them: a bug more in the reference system is a bug more here.

use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::super::Failure;
use crate::fault::Family;
use crate::verdict::CheckName;

/// A bug, and what there is to know about it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Bug {
    /// What `--bug` takes.
    pub name: String,
    /// What is wrong, in a clause.
    pub what: String,
    /// Any of these brings it out; empty: it needs no fault.
    pub needs: Vec<Family>,
    /// The checks of which one must fire.
    pub caught_by: Vec<CheckName>,
}

impl Bug {
    /// Whether this machine, which lacks some families of faults, can bring it out.
    pub(super) fn is_testable(&self, lacking: &[Family]) -> bool {
        self.needs.is_empty() || self.needs.iter().any(|family| !lacking.contains(family))
    }
}

/// Asks the coordinator.
pub(super) fn learn(coord: &Path) -> Result<Vec<Bug>, Failure> {
    let refuse = |why: String| {
        Failure::bad_input(format!("{} does not tell which bugs it has: {why}", coord.display()))
    };
    let mut command = Command::new(coord);
    command.arg("--bugs=json").stdin(Stdio::null());
    let told = command.output().map_err(|why| refuse(why.to_string()))?;
    if !told.status.success() {
        return Err(refuse(format!("{}; is it of the same version?", told.status)));
    }
    serde_json::from_slice(&told.stdout).map_err(|why| refuse(why.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bug_is_testable_where_one_of_the_families_that_bring_it_out_is_there() {
        let bug = |needs: &[Family]| Bug {
            name: "b".into(),
            what: String::new(),
            needs: needs.to_vec(),
            caught_by: vec![CheckName::Linearizable],
        };
        assert!(bug(&[]).is_testable(&Family::ALL));
        assert!(bug(&[Family::Clock, Family::Disk]).is_testable(&[Family::Disk]));
        assert!(!bug(&[Family::Disk]).is_testable(&[Family::Disk]));
    }
}
