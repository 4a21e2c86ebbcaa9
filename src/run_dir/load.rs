//! Reading a run directory back, for `check RUN_DIR` and `report RUN_DIR`.
//!
//! A killed harness leaves a record in state `running`, a history whose last line
//! is cut, files in mid-rewrite or none: all of that loads. Only what is no run
//! directory, or was broken afterwards, is refused. Judges nothing.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::RunDir;
use crate::fault::Node;
use crate::history::History;
use crate::history::data_file::MAX_DATA_FILE;
use crate::history::read::{ReadError, read_file};
use crate::record::{FORMAT, RunRecord};
use crate::recorded::{Recorded, ReplicaFile, RunState};
use crate::regular_file;
use crate::workload;

/// A run directory in memory.
#[derive(Debug, Clone)]
pub struct LoadedRun {
    /// Where it lies.
    pub dir: RunDir,
    /// `run.json`.
    pub record: RunRecord,
    /// `history.jsonl`; empty if the run never got so far.
    pub history: History,
    /// The replicas' data files.
    pub files: Vec<ReplicaFile>,
    /// The ends of the nodes' logs; nodes that wrote nothing are left out.
    pub logs: Vec<NodeLog>,
}

/// The end of a node's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLog {
    /// Whose.
    pub node: Node,
    /// Its last lines; bytes that are no text are replaced.
    pub tail: String,
    /// Whether there was more before it.
    pub cut: bool,
}

impl LoadedRun {
    /// What the checks are given.
    pub fn recorded(&self) -> Recorded {
        Recorded {
            workload: self.record.workload.clone(),
            history: self.history.clone(),
            files: self.files.clone(),
            rest: self.record.rest,
            state: self.record.state,
            reason: self.record.reason.clone(),
            lacking: self.record.lacking.clone(),
        }
    }
}

/// Why a directory could not be loaded: bad input (exit 2).
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no record of a run in it.
    #[error("{}: no run directory, run.json cannot be read: {source}", path.display())]
    NoRecord {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The record is no record.
    #[error("{}: {reason}", path.display())]
    BadRecord {
        /// The file.
        path: PathBuf,
        /// Where and why, and what is accepted.
        reason: String,
    },
    /// The history is none.
    #[error(transparent)]
    History(#[from] ReadError),
}

/// Loads a run directory.
///
/// # Errors
/// No `run.json`, one that cannot be understood or is of a later format, or a
/// malformed history, or none although the run finished.
pub fn load(path: &Path) -> Result<LoadedRun, LoadError> {
    let dir = RunDir::at(path);
    let record = load_record(&dir)?;
    let history = load_history(&dir, record.state)?;
    let replicas = (1..=record.workload.cluster.replicas).map(Node::Srv);
    let files = replicas.clone().map(|node| replica_file(&dir, node)).collect();
    let logs = replicas.chain([Node::Coord]).filter_map(|node| log_tail(&dir, node)).collect();
    Ok(LoadedRun { dir, record, history, files, logs })
}

/// No record is that large; what is larger is not read.
pub(super) const LARGEST: usize = 64 << 20;

fn load_record(dir: &RunDir) -> Result<RunRecord, LoadError> {
    let path = dir.record();
    let text = regular_file::read(&path, LARGEST)
        .map_err(|source| LoadError::NoRecord { path: dir.path().to_owned(), source })?;
    let bad = |reason: String| LoadError::BadRecord { path: path.clone(), reason };
    let version: Version =
        serde_json::from_slice(&text).map_err(|why| bad(format!("no record of a run: {why}")))?;
    if version.format > FORMAT {
        let found = version.format;
        return Err(bad(format!("format {found}; this rsm-check reads formats up to {FORMAT}")));
    }
    let record: RunRecord =
        serde_json::from_slice(&text).map_err(|why| bad(format!("no record of a run: {why}")))?;
    // Somebody may have edited it since: what no workload may say is refused here too.
    let workload = serde_json::to_string(&record.workload).unwrap_or_default();
    workload::parse("the workload in it", &workload).map_err(|why| bad(why.to_string()))?;
    Ok(record)
}

#[derive(serde::Deserialize)]
struct Version {
    format: u32,
}

/// A run that came to its end has a history: without it nothing could be judged,
/// and what the files say would be taken for all there was.
fn load_history(dir: &RunDir, state: RunState) -> Result<History, ReadError> {
    let begun = matches!(state, RunState::Finished | RunState::Interrupted);
    match read_file(&dir.history()) {
        Err(ReadError::Io { source, .. }) if source.kind() == ErrorKind::NotFound && !begun => {
            Ok(History::default())
        }
        read => read,
    }
}

/// Reads a replica's data file; a missing one is the initial state. Where its whole
/// directory is missing, nobody knows what it held.
pub fn replica_file(dir: &RunDir, node: Node) -> ReplicaFile {
    match regular_file::read(&dir.data_file(node), MAX_DATA_FILE) {
        Ok(bytes) => ReplicaFile::new(node, Some(bytes)),
        Err(why) if why.kind() == ErrorKind::NotFound && dir.node_data(node).is_dir() => {
            ReplicaFile::new(node, None)
        }
        Err(why) => ReplicaFile { node, content: None, unreadable: Some(why.to_string()) },
    }
}

/// So many bytes of a log are kept for a report.
const TAIL: u64 = 8 << 10;

/// The end of a node's log; `None` if it wrote nothing.
pub fn log_tail(dir: &RunDir, node: Node) -> Option<NodeLog> {
    let (bytes, cut) = read_tail(&dir.node_log(node)).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let whole = if cut { text.split_once('\n').map_or(&*text, |(_, rest)| rest) } else { &text };
    let tail = whole.trim_end().to_owned();
    (!tail.is_empty()).then_some(NodeLog { node, tail, cut })
}

fn read_tail(path: &Path) -> io::Result<(Vec<u8>, bool)> {
    let mut file = regular_file::open(path)?;
    let length = file.metadata()?.len();
    let cut = length > TAIL;
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok((bytes, cut))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::record::Beginning;
    use crate::recorded::Rest;
    use crate::workload::parse;

    fn begun() -> (tempfile::TempDir, RunDir) {
        let parent = tempfile::tempdir().unwrap();
        let dir = RunDir::create_at(&parent.path().join("run")).unwrap();
        let workload = parse("w.json", r#"{"name":"x","duration":"1s"}"#).unwrap();
        let (started, reproduce) = ("2026-11-22T14:50:09Z".into(), "rsm-check run w.json --seed 7".into());
        let beginning =
            Beginning { workload, seed: 7, started, plan: serde_json::json!({"k": [1]}), reproduce };
        dir.write_record(&RunRecord::begin(beginning)).unwrap();
        (parent, dir)
    }

    #[test]
    fn what_a_killed_harness_left_can_be_loaded() {
        let (_parent, dir) = begun();
        let line = r#"{"index":0,"time":1,"process":3,"type":"invoke","f":"transfer","value":{"from":"a","to":"b","amount":5}}"#;
        fs::write(dir.history(), format!("{line}\n{{\"index\":1,\"ti")).unwrap();
        fs::create_dir_all(dir.node_data(Node::Srv(2))).unwrap();
        fs::write(dir.data_file(Node::Srv(2)), "# t\na").unwrap();
        let run = load(dir.path()).unwrap();
        assert_eq!((run.record.state, run.record.rest), (RunState::Running, Rest::NotReached));
        assert_eq!((run.history.operations.len(), run.history.warnings.len()), (1, 1));
        let contents: Vec<_> = run.files.iter().map(|file| file.content.as_deref()).collect();
        assert_eq!(contents, [None, Some("# t\na".as_bytes()), None]);
    }

    #[test]
    fn a_record_without_a_history_is_a_run_that_never_got_far() {
        let (_parent, dir) = begun();
        assert_eq!(load(dir.path()).unwrap().history.operations, []);
    }

    #[test]
    fn a_finished_run_whose_history_is_gone_is_refused() {
        let (_parent, dir) = begun();
        let mut record = load(dir.path()).unwrap().record;
        record.state = RunState::Finished;
        dir.write_record(&record).unwrap();
        let refused = load(dir.path()).unwrap_err().to_string();
        assert!(refused.contains("history.jsonl"), "{refused}");
    }

    #[test]
    fn what_is_no_run_directory_is_refused_in_words() {
        let (_parent, dir) = begun();
        let refused = |text: &str| {
            fs::write(dir.record(), text).unwrap();
            load(dir.path()).unwrap_err().to_string()
        };
        assert!(refused("{}").contains("missing field `format`"), "{}", refused("{}"));
        assert!(refused(r#"{"format":99}"#).contains("formats up to 1"), "{}", refused(r#"{"format":99}"#));
        let (_other, edited) = begun();
        let text = fs::read_to_string(edited.record()).unwrap().replace("\"replicas\": 3", "\"replicas\": 0");
        fs::write(edited.record(), text).unwrap();
        let error = load(edited.path()).unwrap_err().to_string();
        assert!(error.contains("`cluster.replicas`: found 0"), "{error}");
        fs::remove_file(dir.record()).unwrap();
        assert!(load(dir.path()).unwrap_err().to_string().contains("no run directory"));
    }

    #[test]
    fn a_missing_file_is_the_initial_state_and_a_missing_directory_is_no_news_of_it() {
        let (_parent, dir) = begun();
        assert!(replica_file(&dir, Node::Srv(1)).unreadable.is_some());
        fs::create_dir_all(dir.node_data(Node::Srv(1))).unwrap();
        assert_eq!(replica_file(&dir, Node::Srv(1)), ReplicaFile::new(Node::Srv(1), None));
    }

    #[test]
    fn what_a_program_put_in_the_place_of_its_file_is_told_and_never_followed() {
        let (_parent, dir) = begun();
        fs::create_dir_all(dir.data_file(Node::Srv(1))).unwrap();
        assert_eq!(replica_file(&dir, Node::Srv(1)).unreadable.as_deref(), Some("it is no regular file"));
        fs::create_dir_all(dir.node_data(Node::Srv(2))).unwrap();
        std::os::unix::fs::symlink("/dev/zero", dir.data_file(Node::Srv(2))).unwrap();
        assert_eq!(replica_file(&dir, Node::Srv(2)).unreadable.as_deref(), Some("it is no regular file"));
    }

    #[test]
    fn a_long_log_is_kept_from_the_first_whole_line_of_its_end() {
        let (_parent, dir) = begun();
        fs::create_dir_all(dir.node(Node::Coord)).unwrap();
        fs::write(dir.node_log(Node::Coord), "a line of the log\n".repeat(1000)).unwrap();
        let log = log_tail(&dir, Node::Coord).unwrap();
        assert!(log.cut && log.tail.starts_with("a line") && log.tail.ends_with("log"));
        assert_eq!(log_tail(&dir, Node::Srv(1)), None);
    }
}
