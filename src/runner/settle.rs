//! Waits until the replicas' files come to rest.
//!
//! All files identical and unchanged for 300 ms; or nothing changed for 2 s
//! though they differ; at most a ceiling. Where the system promises to bring its
//! replicas together within the ceiling, it is given all of it. A file that is caught in mid-rewrite
//! differs from its next reading, so it is read again. Judges nothing: whether
//! differing files are wrong is a checker's word.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::history::data_file::MAX_DATA_FILE;
use crate::recorded::Rest;
use crate::regular_file;
use crate::workload::Workload;

/// How long identical files must not change.
const CALM: Duration = Duration::from_millis(300);
/// How long differing files must not change until they are taken as final.
const RESIGNED: Duration = Duration::from_secs(2);

/// How long is waited for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// At most so long altogether.
    ceiling: Duration,
    /// So long for differing files that no longer change.
    resigned: Duration,
}

impl Patience {
    /// A system of which service is demanded may take its time to catch up: on a
    /// starved machine two quiet seconds prove nothing.
    pub(super) fn of(workload: &Workload) -> Self {
        let ceiling = workload.budgets.settle.0;
        let resigned = if workload.demands_availability() { ceiling } else { RESIGNED };
        Self { ceiling, resigned }
    }
}
/// Between two readings.
const POLL: Duration = Duration::from_millis(25);

/// Waits for the files, a missing one being a content of its own.
/// [`Rest::NotReached`] if `interrupted` turned true first.
pub(super) async fn settle(
    files: &[PathBuf],
    patience: Patience,
    mut interrupted: watch::Receiver<bool>,
) -> Rest {
    let began = Instant::now();
    let mut seen = read_all(files);
    let mut changed = began;
    loop {
        let identical = seen.windows(2).all(|pair| pair[0] == pair[1]);
        match changed.elapsed() {
            calm if identical && calm >= CALM => return Rest::Settled,
            calm if calm >= patience.resigned => return Rest::Differing,
            _ if began.elapsed() >= patience.ceiling => return Rest::Changing,
            _ => {}
        }
        if matches!(tokio::time::timeout(POLL, interrupted.wait_for(|stop| *stop)).await, Ok(Ok(_))) {
            return Rest::NotReached;
        }
        let now = read_all(files);
        if now != seen {
            (seen, changed) = (now, Instant::now());
        }
    }
}

/// What is no file counts as a missing one here; a checker hears of it later.
fn read_all(files: &[PathBuf]) -> Vec<Option<Vec<u8>>> {
    files.iter().map(|file| regular_file::read(file, MAX_DATA_FILE).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { ceiling: Duration::from_secs(10), resigned: RESIGNED };

    fn files(contents: &[&str]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let dir = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> =
            (0..contents.len()).map(|number| dir.path().join(number.to_string())).collect();
        for (path, content) in paths.iter().zip(contents) {
            std::fs::write(path, content).unwrap();
        }
        (dir, paths)
    }

    #[tokio::test(start_paused = true)]
    async fn identical_files_at_rest_are_settled_soon() {
        let (_dir, paths) = files(&["a 1\n", "a 1\n"]);
        let (_interrupt, interrupted) = watch::channel(false);
        let began = Instant::now();
        assert_eq!(settle(&paths, PATIENCE, interrupted).await, Rest::Settled);
        assert!(began.elapsed() < Duration::from_millis(500));
    }

    #[tokio::test(start_paused = true)]
    async fn differing_files_get_their_time_and_a_missing_one_differs() {
        let (dir, mut paths) = files(&["a 1\n", "a 1\n"]);
        paths.push(dir.path().join("missing"));
        let (_interrupt, interrupted) = watch::channel(false);
        let began = Instant::now();
        assert_eq!(settle(&paths, PATIENCE, interrupted).await, Rest::Differing);
        assert!(began.elapsed() >= RESIGNED);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pipe_or_an_endless_device_in_the_place_of_a_file_is_not_waited_for() {
        let (dir, mut paths) = files(&["a 1\n"]);
        paths.extend(["pipe", "link"].map(|name| dir.path().join(name)));
        nix::unistd::mkfifo(&paths[1], nix::sys::stat::Mode::S_IRUSR).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &paths[2]).unwrap();
        let (_interrupt, interrupted) = watch::channel(false);
        assert_eq!(settle(&paths, PATIENCE, interrupted).await, Rest::Differing);
    }

    #[tokio::test(start_paused = true)]
    async fn an_interruption_ends_the_wait() {
        let (_dir, paths) = files(&["a", "b"]);
        let (interrupt, interrupted) = watch::channel(false);
        interrupt.send_replace(true);
        assert_eq!(settle(&paths, PATIENCE, interrupted).await, Rest::NotReached);
    }
}
