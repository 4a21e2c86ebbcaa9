//! Whether the run directory is still there and its disk has room.
//!
//! Nodes write to the same disk as the records. Without room they end for a reason
//! that is not theirs, perhaps before a record fails: so a run ends while there is
//! still room to say why. Judges nothing else.

use std::path::Path;

use nix::sys::statvfs::statvfs;

/// Bytes that must be free, beside what a run may still write until it has ended.
pub(super) const LEAST: u64 = 16 << 20;

/// Looks at the disk that a file of the run lies on.
///
/// # Errors
/// The file is gone or the disk is as good as full, in words.
pub(super) fn look(file: &Path) -> Result<(), String> {
    let dir = file.parent().unwrap_or(file).display();
    if let Err(why) = std::fs::metadata(file) {
        return Err(format!("the run directory {dir} was taken away while the run went on: {why}"));
    }
    // Where nothing is known of the room, writing will tell.
    let Ok(disk) = statvfs(file) else { return Ok(()) };
    let free = disk.blocks_available() * disk.fragment_size();
    if free >= LEAST || disk.blocks() == 0 {
        return Ok(());
    }
    let (free, least) = (free >> 20, LEAST >> 20);
    Err(format!(
        "the disk under {dir} is full: {free} MiB are left, at least {least} MiB are needed for nodes and records; \
         make room or name another place with --out"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_gone_is_told_with_its_directory() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("history.jsonl");
        std::fs::write(&file, "").unwrap();
        assert_eq!(look(&file), Ok(()));
        std::fs::remove_file(&file).unwrap();
        let why = look(&file).unwrap_err();
        assert!(why.contains("taken away") && why.contains(&dir.path().display().to_string()), "{why}");
    }
}
