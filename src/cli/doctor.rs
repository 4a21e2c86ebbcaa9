//! `rsm-check doctor`: which families of faults work on this machine, and why not.
//!
//! Tries each; judges nothing. `run` asks the same before anything starts.

use serde_json::{Value, json};

use super::Failure;
use super::args::DoctorArgs;
use super::output;
use crate::cluster::capability::probe;
use crate::fault::Family;
use crate::recorded::Lacking;
use crate::verdict::Exit;
use crate::workload::{Unsupported, Workload};

pub(super) fn doctor(args: DoctorArgs) -> Result<Exit, Failure> {
    let probed: Vec<(Family, Result<String, String>)> =
        Family::ALL.into_iter().map(|family| (family, probe(family))).collect();
    if args.json {
        return output::print(&Value::from_iter(probed.iter().map(as_json)).to_string());
    }
    let lines: Vec<String> = probed.iter().map(|(family, found)| line(*family, found)).collect();
    output::print(&lines.join("\n"))
}

fn line(family: Family, found: &Result<String, String>) -> String {
    match found {
        Ok(how) => format!("{family:<8} works   {how}"),
        Err(why) => format!("{family:<8} no      {why}"),
    }
}

fn as_json((family, found): &(Family, Result<String, String>)) -> Value {
    let (works, how) = match found {
        Ok(how) => (true, how),
        Err(why) => (false, why),
    };
    json!({ "family": family, "works": works, "why": how })
}

/// What a workload asks for and this machine cannot do, if it may be left out.
///
/// # Errors
/// The workload does not say that it may be.
pub(super) fn lacking(workload: &Workload) -> Result<Vec<Lacking>, Failure> {
    let asked = workload.families().into_iter();
    let lacking: Vec<Lacking> =
        asked.filter_map(|family| Some(Lacking { family, reason: probe(family).err()? })).collect();
    match (lacking.first(), workload.unsupported) {
        (Some(Lacking { family, reason }), Unsupported::Stop) => Err(Failure::infra(format!(
            "this machine cannot carry out {family} faults: {reason}. See `rsm-check doctor`; with \
             \"unsupported\": \"skip\" in the workload they are left out, and the verdict says so"
        ))),
        _ => Ok(lacking),
    }
}
