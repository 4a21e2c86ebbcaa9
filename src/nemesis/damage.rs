//! Damage to the files of a node that stands still.
//!
//! Whatever is done is synced: it is what the disk holds from then on, a later power
//! failure included. Knows files, not nodes.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::fault::Observed;
use crate::fault::disk::{DiskAct, Victim};
use crate::plan::rng::Rng;

/// Where a node's files are.
pub(super) struct Files<'a> {
    /// Its private directory.
    pub dir: &'a Path,
    /// Its data file.
    pub data: &'a Path,
}

/// Flips bits or cuts off the end of one file.
pub(super) fn inflict(act: &DiskAct, files: &Files<'_>, rng: &mut Rng) -> io::Result<Observed> {
    match act {
        DiskAct::BitFlip { bits, file } => flip(&files.victim(*file, rng)?, *bits, rng),
        DiskAct::TruncateFile { bytes, file } => cut_off(&files.victim(*file, rng)?, *bytes),
        _ => Ok(Observed::new()),
    }
}

impl Files<'_> {
    fn victim(&self, which: Victim, rng: &mut Rng) -> io::Result<PathBuf> {
        let nothing = |what: String| io::Error::new(io::ErrorKind::NotFound, what);
        let mut found = Vec::new();
        match which {
            Victim::Data => found.push(self.data.to_path_buf()),
            Victim::Any => regular_files(self.dir, &mut found)?,
        }
        // A link is not followed: it may lead out of the node's directory.
        found.retain(|path| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() > 0));
        found.sort();
        let drawn = rng.below(found.len() as u64) as usize;
        found.into_iter().nth(drawn).ok_or_else(|| {
            nothing(format!("nothing to damage: no file with content below {}", self.dir.display()))
        })
    }

    /// Beside the node's directory, so that the run directory shows what was restored.
    fn copy(&self) -> PathBuf {
        self.dir.with_file_name("old-copy")
    }
}

fn regular_files(dir: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            regular_files(&entry.path(), found)?;
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    Ok(())
}

/// Neither a link nor a pipe, though one may have come between two looks.
fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
}

fn flip(path: &Path, bits: u64, rng: &mut Rng) -> io::Result<Observed> {
    let file = open(OpenOptions::new().read(true).write(true), path)?;
    let length = file.metadata()?.len();
    let wanted = bits.min(length * 8);
    let mut flipped = std::collections::BTreeSet::new();
    while (flipped.len() as u64) < wanted {
        let bit = rng.below(length * 8);
        if flipped.insert(bit) {
            let mut byte = [0];
            file.read_exact_at(&mut byte, bit / 8)?;
            file.write_all_at(&[byte[0] ^ (1 << (bit % 8))], bit / 8)?;
        }
    }
    file.sync_all()?;
    Ok(Observed::from([("bits_flipped", wanted)]))
}

fn cut_off(path: &Path, bytes: u64) -> io::Result<Observed> {
    let file = open(OpenOptions::new().write(true), path)?;
    let length = file.metadata()?.len();
    file.set_len(length.saturating_sub(bytes))?;
    file.sync_all()?;
    Ok(Observed::from([("bytes_cut_off", bytes.min(length))]))
}

/// Keeps the files as they are now for [`restore_copy`].
pub(super) fn keep_copy(files: &Files<'_>) -> io::Result<Observed> {
    empty(&files.copy())?;
    copy_below(files.dir, &files.copy())?;
    Ok(Observed::new())
}

/// The node finds the files that were kept, and none of those it has written since.
pub(super) fn restore_copy(files: &Files<'_>) -> io::Result<Observed> {
    let mut restored = Vec::new();
    regular_files(&files.copy(), &mut restored)?;
    empty(files.dir)?;
    copy_below(&files.copy(), files.dir)?;
    Ok(Observed::from([("files_restored", restored.len() as u64)]))
}

/// The directory itself stays: it may be a mount.
fn empty(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    if !fs::symlink_metadata(dir)?.is_dir() {
        return Err(io::Error::other(format!("{} is a link: nothing behind it is touched", dir.display())));
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn copy_below(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            fs::create_dir_all(&target)?;
            copy_below(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &target)?;
            File::open(&target)?.sync_all()?;
        }
    }
    File::open(to)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::rng::Purpose;

    fn stage() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("data");
        fs::create_dir_all(dir.join("deep")).unwrap();
        let data = dir.join("data");
        fs::write(&data, vec![0; 100]).unwrap();
        fs::write(dir.join("deep/log"), vec![0; 50]).unwrap();
        fs::write(dir.join("empty"), "").unwrap();
        (place, dir, data)
    }

    fn ones(path: &Path) -> u32 {
        fs::read(path).unwrap().iter().map(|byte| byte.count_ones()).sum()
    }

    #[test]
    fn exactly_so_many_bits_of_one_file_are_flipped_and_any_file_can_be_drawn() {
        let mut hit = std::collections::BTreeSet::new();
        for seed in 0..20 {
            let (_place, dir, data) = stage();
            let files = Files { dir: &dir, data: &data };
            let act = DiskAct::BitFlip { bits: 3, file: Victim::Any };
            let observed = inflict(&act, &files, &mut Rng::new(seed, Purpose::Jitter(0))).unwrap();
            assert_eq!(observed, Observed::from([("bits_flipped", 3)]));
            let flipped = [ones(&data), ones(&dir.join("deep/log"))];
            assert_eq!(flipped.iter().sum::<u32>(), 3);
            assert!(flipped.contains(&0), "one file");
            hit.insert(flipped);
        }
        assert_eq!(hit.len(), 2);
    }

    #[test]
    fn a_file_loses_its_end_and_no_more_than_it_has() {
        let (_place, dir, data) = stage();
        let files = Files { dir: &dir, data: &data };
        let rng = &mut Rng::new(1, Purpose::Jitter(0));
        let act = |bytes| DiskAct::TruncateFile { bytes, file: Victim::Data };
        assert_eq!(inflict(&act(30), &files, rng).unwrap(), Observed::from([("bytes_cut_off", 30)]));
        assert_eq!(fs::metadata(&data).unwrap().len(), 70);
        assert_eq!(inflict(&act(99), &files, rng).unwrap(), Observed::from([("bytes_cut_off", 70)]));
        let error = inflict(&act(1), &files, rng).unwrap_err();
        assert!(error.to_string().contains("no file with content"), "{error}");
    }

    #[test]
    fn what_a_link_leads_to_is_never_damaged() {
        let (_place, dir, data) = stage();
        let elsewhere = tempfile::tempdir().unwrap();
        let kept = elsewhere.path().join("kept");
        fs::write(&kept, "precious").unwrap();
        fs::remove_file(&data).unwrap();
        std::os::unix::fs::symlink(&kept, &data).unwrap();
        let rng = &mut Rng::new(1, Purpose::Jitter(0));
        let files = Files { dir: &dir, data: &data };
        let act = DiskAct::BitFlip { bits: 1, file: Victim::Data };
        assert!(inflict(&act, &files, rng).unwrap_err().to_string().contains("no file with content"));
        assert!(flip(&data, 1, rng).is_err() && cut_off(&data, 1).is_err());
        let link = dir.join("link");
        std::os::unix::fs::symlink(elsewhere.path(), &link).unwrap();
        assert!(empty(&link).unwrap_err().to_string().contains("is a link"));
        assert_eq!(fs::read(&kept).unwrap(), b"precious");
    }

    #[test]
    fn an_old_copy_takes_away_what_came_after_it() {
        let (_place, dir, data) = stage();
        let files = Files { dir: &dir, data: &data };
        keep_copy(&files).unwrap();
        fs::write(&data, "new").unwrap();
        fs::write(dir.join("later"), "new").unwrap();
        fs::remove_dir_all(dir.join("deep")).unwrap();
        assert_eq!(restore_copy(&files).unwrap(), Observed::from([("files_restored", 3)]));
        assert_eq!(fs::read(&data).unwrap(), vec![0; 100]);
        assert_eq!(fs::read(dir.join("deep/log")).unwrap(), vec![0; 50]);
        assert!(!dir.join("later").exists());
    }
}
