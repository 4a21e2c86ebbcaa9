//! The little that is read from /proc: which processes exist, what they do.
//!
//! A process may be gone between two reads; every function answers `None` or
//! leaves it out then. Knows nothing of nodes.

use std::fs;

use nix::unistd::Pid;

/// Every process that /proc shows to this user.
pub fn processes() -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok().map(Pid::from_raw)).collect()
}

/// The identity of a process's PID namespace, as the kernel prints it.
pub fn pid_namespace(pid: Pid) -> Option<String> {
    let link = fs::read_link(format!("/proc/{pid}/ns/pid")).ok()?;
    Some(link.to_string_lossy().into_owned())
}

/// Whether the environment that a process was started with holds this entry.
pub fn has_environment(pid: Pid, entry: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|&byte| byte == 0).any(|found| found == entry.as_bytes())
}

/// What a process is doing, in the letters of proc(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// T or t: stopped by a signal or a tracer.
    Stopped,
    /// Z or X: ended, not reaped yet.
    Ended,
    /// D: waits in the kernel where no signal reaches it; it stops, if it was asked to,
    /// before its next instruction.
    Waiting,
    /// Anything else.
    Alive,
}

/// What the process is doing; `None` if there is no such process.
pub fn activity(pid: Pid) -> Option<Activity> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name stands in parentheses and may hold spaces and more of them.
    let state = stat.rsplit_once(") ")?.1.chars().next()?;
    Some(match state {
        'T' | 't' => Activity::Stopped,
        'Z' | 'X' => Activity::Ended,
        'D' => Activity::Waiting,
        _ => Activity::Alive,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_among_the_living() {
        let me = Pid::this();
        assert!(processes().contains(&me));
        assert_eq!(activity(me), Some(Activity::Alive));
        assert!(pid_namespace(me).is_some_and(|name| name.starts_with("pid:[")));
        assert!(!has_environment(me, "RSM_CHECK_NO_SUCH=1"));
    }

    #[test]
    fn a_process_that_is_gone_does_nothing() {
        assert_eq!(activity(Pid::from_raw(i32::MAX)), None);
    }
}
