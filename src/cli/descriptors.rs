//! Sees to it that the harness does not run out of open files.
//!
//! A harness that cannot open a socket would blame the system under test for
//! connections that it cut itself. Must not know what the files are.

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

use super::Failure;
use crate::cluster::nodes_of;
use crate::workload::Workload;

/// Event loops, records, standard streams.
const BASE: rlim_t = 32;
/// Terminal, log, listener, leash, and what a start needs for a moment.
const PER_NODE: rlim_t = 6;
/// Its own socket, and the two of its connection in the proxy.
const PER_CLIENT: rlim_t = 3;
/// Of the proxies, for each request that a coordinator passes on to each replica at once.
const PER_FORWARD: rlim_t = 2;

/// Raises the limit of open files as far as is useful and permitted.
///
/// # Errors
/// What is permitted is too little: the surroundings' fault.
pub(super) fn provide(workload: &Workload) -> Result<(), Failure> {
    let (least, most) = needed(workload);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)
        .map_err(|why| Failure::infra(format!("the limit of open files cannot be read: {why}")))?;
    let wanted = most.min(hard);
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)
            .map_err(|why| Failure::infra(format!("the limit of open files cannot be raised: {why}")))?;
    }
    if soft.max(wanted) < least {
        return Err(Failure::infra(format!(
            "{least} open files are needed, {hard} are permitted (`ulimit -Hn`); raise that limit or lower `clients.count`"
        )));
    }
    Ok(())
}

/// With how many a run can do, and with how many no coordinator brings it into need.
fn needed(workload: &Workload) -> (rlim_t, rlim_t) {
    let clients = rlim_t::from(workload.clients.count);
    let replicas = rlim_t::from(workload.cluster.replicas);
    let least = BASE + PER_NODE * nodes_of(workload).len() as rlim_t + PER_CLIENT * clients;
    (least, 2 * least + PER_FORWARD * replicas * clients)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::parse;

    #[test]
    fn a_thousand_clients_need_more_than_the_usual_thousand_files() {
        let text = r#"{"name":"x","duration":"1s","clients":{"count":1000}}"#;
        let (least, most) = needed(&parse("w.json", text).unwrap());
        assert_eq!((least, most), (3056, 12_112));
    }
}
