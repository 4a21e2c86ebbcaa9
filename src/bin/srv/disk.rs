//! The real disk under a replica.
//!
//! Maps the closed set of file names to paths beside the data file and keeps handles open. It must
//! not know what is written, nor order anything: what is synced when is decided above.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};

use crate::reference::bug::Bug;
use crate::replica::storage::{Name, Storage};

/// A killed predecessor may need a moment to be gone.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);
const LOCK_POLL: Duration = Duration::from_millis(10);

/// The files beside one data file, for this process alone.
#[derive(Debug)]
pub struct Disk {
    data: PathBuf,
    handles: BTreeMap<Name, File>,
    _lock: Flock<File>,
}

impl Disk {
    /// Takes possession of the data file's neighbourhood.
    pub fn beside(data: &Path) -> io::Result<Self> {
        let path = suffixed(data, ".lock");
        let lock = File::create(&path).and_then(take).map_err(|error| {
            let hint = "is the directory writable, and no other srv using this data file?";
            io::Error::new(error.kind(), format!("cannot lock {}: {error}; {hint}", path.display()))
        })?;
        Ok(Self { data: data.to_owned(), handles: BTreeMap::new(), _lock: lock })
    }

    fn place(&self, name: Name) -> PathBuf {
        match name {
            Name::Log => suffixed(&self.data, ".log"),
            Name::NextLog => suffixed(&self.data, ".log.tmp"),
            Name::DamagedLog => suffixed(&self.data, ".log.damaged"),
            Name::Note => suffixed(&self.data, ".log.synced"),
            Name::Data => self.data.clone(),
            Name::NextData => suffixed(&self.data, ".tmp"),
        }
    }

    /// A handle whose position is the end of the file.
    fn handle(&mut self, name: Name) -> io::Result<&mut File> {
        let path = self.place(name);
        Ok(match self.handles.entry(name) {
            std::collections::btree_map::Entry::Occupied(held) => held.into_mut(),
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(OpenOptions::new().append(true).open(path)?)
            }
        })
    }
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn take(mut file: File) -> io::Result<Flock<File>> {
    let give_up = Instant::now() + LOCK_PATIENCE;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((_, errno)) if Instant::now() >= give_up => return Err(errno.into()),
            Err((unlocked, _)) => file = unlocked,
        }
        std::thread::sleep(LOCK_POLL);
    }
}

impl Storage for Disk {
    fn path(&self, name: Name) -> String {
        self.place(name).display().to_string()
    }

    fn read(&mut self, name: Name) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        match File::open(self.place(name)).and_then(|mut file| file.read_to_end(&mut bytes)) {
            Ok(_) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create(&mut self, name: Name, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::create(self.place(name))?;
        file.write_all(bytes)?;
        self.handles.insert(name, file);
        Ok(())
    }

    fn append(&mut self, name: Name, bytes: &[u8]) -> io::Result<()> {
        self.handle(name)?.write_all(bytes)
    }

    fn overwrite(&mut self, name: Name, bytes: &[u8]) -> io::Result<()> {
        if !self.handles.contains_key(&name) {
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(self.place(name))?;
            self.handles.insert(name, file);
        }
        self.handle(name)?.write_all_at(bytes, 0)
    }

    /// `fdatasync` also writes the metadata that reading needs, the length above all.
    fn sync(&mut self, name: Name) -> io::Result<()> {
        heeded(self.handle(name)?.sync_data())
    }

    fn rename(&mut self, from: Name, to: Name) -> io::Result<()> {
        std::fs::rename(self.place(from), self.place(to))?;
        let handle = self.handles.remove(&from);
        self.handles.remove(&to);
        self.handles.extend(handle.map(|file| (to, file)));
        Ok(())
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        let parent = self.data.parent().filter(|parent| !parent.as_os_str().is_empty());
        heeded(File::open(parent.unwrap_or(Path::new(".")))?.sync_all())
    }
}

/// [`Bug::FsyncIgnored`]: nobody looks at what a sync says.
fn heeded(synced: io::Result<()>) -> io::Result<()> {
    if Bug::FsyncIgnored.is_planted() { Ok(()) } else { synced }
}
