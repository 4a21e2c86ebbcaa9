//! The folder that is served, and how a path below it becomes an answer.
//!
//! The kernel resolves every path beneath the folder (`openat2` with RESOLVE_BENEATH):
//! neither `..` nor a symbolic link, nor one that is put in place while it is looked at,
//! leads out. Links inside, such as `latest`, are followed.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

use super::answer::{Answer, Body, Kind, Status};
use super::request::Request;
use crate::report::index;

/// The folder.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    dir: OwnedFd,
}

impl Folder {
    /// A folder that is there.
    ///
    /// # Errors
    /// It is not, is no folder, or this kernel cannot keep paths inside; in words.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let refuse =
            |why: String| format!("{}: {why}; accepted: a folder of run directories", path.display());
        let whole = path.canonicalize().map_err(|why| refuse(why.to_string()))?;
        if !whole.is_dir() {
            return Err(refuse("it is no folder".into()));
        }
        let dir = File::open(&whole).map_err(|why| refuse(why.to_string()))?.into();
        let folder = Self { path: whole, dir };
        match folder.beneath(".") {
            Err(Errno::ENOSYS) => {
                Err("this kernel has no openat2 (Linux 5.6), which keeps paths inside the folder".into())
            }
            Err(why) => Err(refuse(why.to_string())),
            Ok(_) => Ok(folder),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What a request gets.
    pub(super) fn answer(&self, request: &Request) -> Answer {
        let answer = match request.path.as_slice() {
            [] => self.index(),
            [page] if page == index::PAGE => self.index(),
            path => self.file(path),
        };
        answer.head_only(request.head_only)
    }

    /// Drawn at once: a run that has just ended is on it.
    fn index(&self) -> Answer {
        match index::page(&self.path) {
            Ok(page) => Answer::new(Status::Fine, Kind::Html, Body::Text(page)),
            Err(why) => Answer::new(
                Status::Trouble,
                Kind::Text,
                Body::Text(format!("the folder cannot be read: {why}\n")),
            ),
        }
    }

    fn file(&self, path: &[String]) -> Answer {
        let opened = self.beneath(&path.join("/")).map(File::from);
        let Ok((file, meta)) = opened.map_err(std::io::Error::from).and_then(|file| {
            let meta = file.metadata()?;
            Ok((file, meta))
        }) else {
            return Status::NotFound.into();
        };
        if meta.is_file() {
            return Answer::new(Status::Fine, Kind::of(path), Body::File(file, meta.len()));
        }
        let report = [path, &["report.html".to_owned()]].concat();
        match meta.is_dir() && self.beneath(&report.join("/")).is_ok() {
            true => {
                Answer::elsewhere(report.iter().map(|part| format!("/{}", index::encode(part))).collect())
            }
            false => Status::NotFound.into(),
        }
    }

    fn beneath(&self, path: &str) -> Result<OwnedFd, Errno> {
        let how = OpenHow::new()
            // Never waits for whoever should write into a pipe.
            .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        openat2(&self.dir, path, how)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn code(folder: &Folder, path: &[&str]) -> u16 {
        let path = path.iter().map(|part| (*part).to_owned()).collect();
        folder.answer(&Request { head_only: false, path }).code()
    }

    #[test]
    fn files_below_are_served_and_nothing_else_is() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("reports");
        fs::create_dir_all(root.join("x-7/nodes")).unwrap();
        fs::write(parent.path().join("secret"), "s").unwrap();
        fs::write(root.join("x-7/report.html"), "r").unwrap();
        symlink("x-7", root.join("latest")).unwrap();
        symlink("../secret", root.join("out")).unwrap();
        symlink("/etc/passwd", root.join("absolute")).unwrap();
        symlink("/proc/self/root/etc", root.join("x-7/magic")).unwrap();
        symlink("..", root.join("x-7/up")).unwrap();
        nix::unistd::mkfifo(&root.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let folder = Folder::open(&root).unwrap();
        assert_eq!(code(&folder, &["x-7", "report.html"]), 200);
        assert_eq!(code(&folder, &["latest", "report.html"]), 200);
        assert_eq!(code(&folder, &["x-7", "up", "x-7", "report.html"]), 200, "it stays inside");
        assert_eq!((code(&folder, &["x-7"]), code(&folder, &["latest"])), (302, 302));
        assert_eq!((code(&folder, &[]), code(&folder, &["index.html"])), (200, 200));
        for path in [
            &["out"][..],
            &["absolute"],
            &["x-7", "magic", "passwd"],
            &["..", "secret"],
            &["x-7", "nodes"],
            &["pipe"],
            &["no"],
        ] {
            assert_eq!(code(&folder, path), 404, "{path:?}");
        }
    }

    #[test]
    fn what_is_no_folder_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        fs::write(parent.path().join("file"), "").unwrap();
        assert!(Folder::open(&parent.path().join("file")).unwrap_err().contains("no folder"));
        assert!(Folder::open(&parent.path().join("none")).unwrap_err().contains("accepted"));
    }
}
