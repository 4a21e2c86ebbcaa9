//! `rsm-check plan`: what a run would do.

use super::args::PlanArgs;
use super::{Failure, output};
use crate::plan::Plan;
use crate::verdict::Exit;
use crate::workload;

/// The seed of a plan when neither the workload nor the caller gives one: a plan
/// prints the same bytes every time.
const FIXED_SEED: u64 = 1;

pub(super) fn plan(args: &PlanArgs) -> Result<Exit, Failure> {
    let workload = workload::load(&args.workload).map_err(Failure::bad_input)?;
    let seed = args.seed.or(workload.seed).unwrap_or(FIXED_SEED);
    output::print(&Plan::draw(workload, seed).to_json())
}
