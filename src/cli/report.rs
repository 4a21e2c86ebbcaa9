//! `rsm-check report`: draw the reports of a run directory again.

use super::args::ReportArgs;
use super::outlets::Told;
use super::{Failure, judging, output};
use crate::run_dir;
use crate::verdict::{Exit, Verdict};

pub(super) fn report(args: &ReportArgs) -> Result<Exit, Failure> {
    let told = Told::open(&args.outlets)?;
    let run = run_dir::load(&args.run_dir).map_err(Failure::bad_input)?;
    let drawn = [run.dir.report(), run.dir.junit()].map(|path| path.display().to_string());
    if run.record.judgement.is_some() {
        judging::draw(&run)?;
    } else {
        // The harness was killed before it could judge: that is made up for here.
        judging::judge_run(run)?;
    }
    if !told.is_empty() {
        let run = run_dir::load(&args.run_dir).map_err(Failure::infra)?;
        let verdict = run.record.judgement.as_ref().map_or(Verdict::Infra, |judged| judged.verdict);
        told.tell(&run, verdict.exit())?;
    }
    output::print(&drawn.join("\n"))
}
