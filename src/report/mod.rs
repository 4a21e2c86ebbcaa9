//! Draws what was recorded and judged; decides nothing.
//!
//! The runner draws at the end of a run and `rsm-check report` draws the same
//! again from the run directory: both come through [`draw`]. A report is always
//! drawn, above all when the run failed, was interrupted or was never judged.
//! Must not start, ask or judge anything.

mod files;
pub mod html;
pub mod junit;
#[cfg(test)]
mod sample;
pub mod terminal;
mod text;
mod timeline;

use std::io;

use crate::run_dir::{LoadedRun, write_atomically};

/// Writes `report.html` and `junit.xml` into the run's directory, each whole or
/// not at all.
///
/// # Errors
/// The system refuses; what could be written has been.
pub fn draw(run: &LoadedRun) -> io::Result<()> {
    let page = write_atomically(&run.dir.report(), html::render(run).as_bytes());
    let junit = junit::render(&run.record).map_err(io::Error::other);
    let junit = junit.and_then(|xml| write_atomically(&run.dir.junit(), xml.as_bytes()));
    page.and(junit)
}
