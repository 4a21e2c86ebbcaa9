//! Empties the directory of a node: what it ever stored is gone.
//!
//! The directory itself stays, for it may be where a disk is mounted. Knows no node.

use std::io;
use std::path::Path;

/// What was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wiped {
    /// Files, links and other names that are no directories.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Removes everything below `dir`; follows no link.
///
/// # Errors
/// The first name that cannot be removed; what came before it is gone.
pub fn empty(dir: &Path) -> io::Result<Wiped> {
    if !std::fs::symlink_metadata(dir)?.is_dir() {
        return Err(io::Error::other("it is no directory: nothing behind it is touched"));
    }
    let mut wiped = Wiped::default();
    remove_below(dir, &mut wiped)?;
    Ok(wiped)
}

fn remove_below(dir: &Path, wiped: &mut Wiped) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let (path, meta) = (entry.path(), entry.metadata()?);
        if meta.is_dir() {
            remove_below(&path, wiped)?;
            std::fs::remove_dir(&path)?;
        } else {
            std::fs::remove_file(&path)?;
            wiped.files += 1;
            wiped.bytes += meta.len();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_below_goes_the_directory_stays_and_no_link_is_followed() {
        let (node, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let kept = elsewhere.path().join("kept");
        std::fs::write(&kept, "x").unwrap();
        std::fs::write(node.path().join("log"), "12345").unwrap();
        std::fs::create_dir(node.path().join("deep")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), node.path().join("deep/link")).unwrap();
        let wiped = empty(node.path()).unwrap();
        assert_eq!(wiped.files, 2);
        let link = node.path().with_extension("link");
        std::os::unix::fs::symlink(elsewhere.path(), &link).unwrap();
        assert!(empty(&link).is_err(), "a link in its place is not followed either");
        std::fs::remove_file(&link).unwrap();
        assert!(node.path().exists() && kept.exists());
        assert_eq!(std::fs::read_dir(node.path()).unwrap().count(), 0);
    }
}
