//! Reads a file that a program under test may have put anything in the place of:
//! a directory, a pipe that nobody writes to, a link to a device without an end.
//!
//! Never waits and never takes more memory than it was allowed. Must not know
//! what the file is for.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a regular file for reading.
///
/// # Errors
/// It is missing ([`io::ErrorKind::NotFound`]), no regular file or a symbolic link, or
/// the system refuses.
pub fn open(path: &Path) -> io::Result<File> {
    // Looked at before it is opened, because opening a device can do something;
    // and not followed or waited for, because it may change in between.
    let no_file = || io::Error::other("it is no regular file");
    if !std::fs::symlink_metadata(path)?.is_file() {
        return Err(no_file());
    }
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(no_file()) }
}

/// Reads a regular file of at most `limit` bytes.
///
/// # Errors
/// It is missing ([`io::ErrorKind::NotFound`]), no regular file, a symbolic link
/// or too large, or the system refuses.
pub fn read(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::Error::other(format!("it is larger than {limit} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        assert_eq!(read(&path, 4).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::write(&path, "1234").unwrap();
        assert_eq!(read(&path, 4).unwrap(), b"1234");
        assert!(read(&path, 3).unwrap_err().to_string().contains("larger than 3 bytes"));
    }

    #[test]
    fn what_is_no_file_is_neither_waited_for_nor_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (pipe, link) = (dir.path().join("pipe"), dir.path().join("link"));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        for path in [dir.path(), &pipe, &link] {
            assert!(read(path, 4).unwrap_err().to_string().contains("no regular file"));
        }
    }
}
