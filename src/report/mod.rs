//! Draws what was recorded and judged; decides nothing.
//!
//! The runner draws at the end of a run and `rsm-check report` draws the same
//! again from the run directory: both come through [`draw`]. A report is always
//! drawn, above all when the run failed, was interrupted or was never judged.
//! Must not start, ask or judge anything.

pub mod github;
#[cfg(test)]
mod golden_tests;
pub mod index;
pub mod junit;
pub mod markdown;
pub mod page;
#[cfg(test)]
mod sample;
pub mod terminal;
mod text;
pub mod trace;

use std::io;

use crate::run_dir::{LoadedRun, write_atomically};

/// Writes `report.html` and `junit.xml` into the run's directory, each whole or
/// not at all.
///
/// # Errors
/// The system refuses; what could be written has been.
pub fn draw(run: &LoadedRun) -> io::Result<()> {
    let page = write_atomically(&run.dir.report(), page::render(run).as_bytes());
    let junit = junit::render(&run.record).map_err(io::Error::other);
    let junit = junit.and_then(|xml| write_atomically(&run.dir.junit(), xml.as_bytes()));
    page.and(junit)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::fault::Node;
    use crate::run_dir::{RunDir, load};

    /// A run directory as a harness leaves it, from the samples' parts.
    fn stored(run: &LoadedRun) -> (tempfile::TempDir, RunDir) {
        let parent = tempfile::tempdir().unwrap();
        let dir = RunDir::create_at(&parent.path().join("run")).unwrap();
        dir.write_record(&run.record).unwrap();
        let line = r#"{"index":0,"time":1,"process":3,"type":"invoke","f":"transfer","value":{"from":"a","to":"b","amount":5}}"#;
        fs::write(dir.history(), format!("{line}\n")).unwrap();
        fs::create_dir_all(dir.node_data(Node::Srv(1))).unwrap();
        fs::write(dir.data_file(Node::Srv(1)), "# t\na 95\nb 105\n").unwrap();
        fs::write(dir.node_log(Node::Srv(1)), "Listening on port 1 ...\n").unwrap();
        (parent, dir)
    }

    #[test]
    fn reports_drawn_again_from_a_directory_are_the_same_bytes() {
        for run in [sample::divergence(), sample::killed(), sample::hostile()] {
            let (_parent, dir) = stored(&run);
            let drawn = || {
                draw(&load(dir.path()).unwrap()).unwrap();
                (fs::read(dir.report()).unwrap(), fs::read(dir.junit()).unwrap())
            };
            let first = drawn();
            fs::remove_file(dir.report()).unwrap();
            assert!(drawn() == first, "{}", run.record.name);
        }
    }
}
