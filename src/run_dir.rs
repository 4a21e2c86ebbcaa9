//! The run directory: where everything of a run lies, and reading it back.
//!
//! Names are fixed here and nowhere else; users and CI jobs hold on to them.
//! Creating never touches what exists. Loading takes what a killed harness left.
//! Must not know how a run is driven, judged or drawn.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::fault::Node;
use crate::record::RunRecord;

mod load;
pub mod shelf;
pub mod wire;

pub use load::{LoadError, LoadedRun, NodeLog, load, log_tail, replica_file};

/// Where runs go unless `--out` says otherwise, below the current directory.
pub const REPORTS: &str = "reports";

/// A run's directory. Nothing is looked up when paths are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// A directory that is there already.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `run.json`.
    pub fn record(&self) -> PathBuf {
        self.path.join("run.json")
    }

    /// `history.jsonl`.
    pub fn history(&self) -> PathBuf {
        self.path.join("history.jsonl")
    }

    /// `wire.jsonl`.
    pub fn wire(&self) -> PathBuf {
        self.path.join("wire.jsonl")
    }

    /// `proof.json`.
    pub fn proof(&self) -> PathBuf {
        self.path.join("proof.json")
    }

    /// `report.html`.
    pub fn report(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// `junit.xml`.
    pub fn junit(&self) -> PathBuf {
        self.path.join("junit.xml")
    }

    /// `nodes/srv-1`.
    pub fn node(&self, node: Node) -> PathBuf {
        self.path.join("nodes").join(node.to_string())
    }

    /// `nodes/srv-1/data`, the directory that only this node's processes write to.
    pub fn node_data(&self, node: Node) -> PathBuf {
        self.node(node).join("data")
    }

    /// `nodes/srv-1/data/balances.txt`, the replica's data file.
    pub fn data_file(&self, node: Node) -> PathBuf {
        self.node_data(node).join("balances.txt")
    }

    /// `nodes/srv-1/output.log`, what the node wrote to its terminal.
    pub fn node_log(&self, node: Node) -> PathBuf {
        self.node(node).join("output.log")
    }

    /// Makes a directory for a run that `--out` names: created if absent (parents
    /// included), refused if it holds anything.
    ///
    /// # Errors
    /// It is not empty, is no directory, or the system refuses.
    pub fn create_at(path: &Path) -> io::Result<Self> {
        make_private(path, true)?;
        if fs::read_dir(path)?.next().is_some() {
            let why = format!("{} is not empty; accepted: a new or an empty directory", path.display());
            return Err(io::Error::new(ErrorKind::DirectoryNotEmpty, why));
        }
        absolute(path)
    }

    /// Makes `PARENT/NAME-SEED-STAMP`, with `-2` and up where that exists, and
    /// points `PARENT/latest` at it. `stamp` is UTC, such as `20261122T145009Z`.
    ///
    /// # Errors
    /// The system refuses. A `latest` that cannot be moved is no error.
    pub fn create_in(parent: &Path, name: &str, seed: u64, stamp: &str) -> io::Result<Self> {
        fs::create_dir_all(parent)?;
        let base = format!("{name}-{seed}-{stamp}");
        for number in 1..10_000 {
            let leaf = if number == 1 { base.clone() } else { format!("{base}-{number}") };
            match make_private(&parent.join(&leaf), false) {
                Err(why) if why.kind() == ErrorKind::AlreadyExists => continue,
                made => made?,
            }
            point_latest(parent, &leaf);
            return absolute(&parent.join(leaf));
        }
        Err(io::Error::new(
            ErrorKind::AlreadyExists,
            format!("{} exists 9999 times", parent.join(base).display()),
        ))
    }

    /// Makes the directories of a node, private like all of it: `--out` may name an
    /// empty directory that others may enter.
    ///
    /// # Errors
    /// The system refuses.
    pub fn make_node(&self, node: Node) -> io::Result<()> {
        make_private(&self.node_data(node), true)
    }

    /// Writes `run.json` anew, whole or not at all.
    ///
    /// # Errors
    /// The system refuses; then the file that was there still is.
    pub fn write_record(&self, record: &RunRecord) -> io::Result<()> {
        let mut json = serde_json::to_vec_pretty(record).map_err(io::Error::other)?;
        json.push(b'\n');
        write_atomically(&self.record(), &json)
    }
}

/// The UTC stamp in the names of run directories, such as `20261122T145009Z`.
pub fn stamp(started: jiff::Timestamp) -> String {
    started.strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn absolute(path: &Path) -> io::Result<RunDir> {
    Ok(RunDir { path: fs::canonicalize(path)? })
}

/// Histories and logs may hold what others should not read.
fn make_private(path: &Path, existing_is_fine: bool) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.mode(0o700).recursive(existing_is_fine).create(path)
}

/// Replaces the link in one step, so that it always points somewhere. Another run
/// may do the same at the same moment: the last one wins, and losing is harmless.
fn point_latest(parent: &Path, leaf: &str) {
    let draft = parent.join(format!(".latest-{}", std::process::id()));
    let latest = parent.join("latest");
    let free = fs::symlink_metadata(&latest).map_or(true, |meta| meta.is_symlink());
    if free && symlink(leaf, &draft).is_ok() && fs::rename(&draft, &latest).is_err() {
        let _ = fs::remove_file(&draft);
    }
}

/// Puts `bytes` in the place of a file, whole or not at all, readable by its
/// owner alone.
///
/// # Errors
/// The system refuses; then the file that was there still is.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".part");
    let draft = PathBuf::from(draft);
    let written = write_new(&draft, bytes).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

/// A draft that a killed harness left is replaced; a link in its place is not followed.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(why) if why.kind() != ErrorKind::NotFound => return Err(why),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_named_directory_is_created_private_and_refused_when_it_holds_anything() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("deep/run");
        let dir = RunDir::create_at(&path).unwrap();
        assert_eq!(fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(RunDir::create_at(&path).is_ok(), "it is still empty");
        fs::write(dir.history(), "").unwrap();
        let refused = RunDir::create_at(&path).unwrap_err().to_string();
        assert!(refused.contains("not empty"), "{refused}");
        assert!(RunDir::create_at(&dir.history()).is_err(), "a file is no directory");
    }

    #[test]
    fn runs_of_the_same_second_get_numbers_and_latest_points_at_the_newest() {
        let parent = tempfile::tempdir().unwrap();
        let make = || RunDir::create_in(parent.path(), "x", 7, "20261122T145009Z").unwrap();
        let (first, second) = (make(), make());
        assert!(first.path().ends_with("x-7-20261122T145009Z"));
        assert!(second.path().ends_with("x-7-20261122T145009Z-2"));
        assert_eq!(fs::canonicalize(parent.path().join("latest")).unwrap(), second.path());
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 3, "no draft is left");
    }

    #[test]
    fn the_stamp_is_utc_and_sorts_by_time() {
        assert_eq!(stamp(jiff::Timestamp::new(1_795_359_009, 0).unwrap()), "20261122T145009Z");
    }

    #[test]
    fn latest_that_is_no_link_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        fs::create_dir(parent.path().join("latest")).unwrap();
        RunDir::create_in(parent.path(), "x", 7, "s").unwrap();
        assert!(parent.path().join("latest").is_dir());
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 2, "no draft is left");
    }
}
