//! Where a disk appears, and for whom.
//!
//! The mount lies in the mount namespace of this process alone, so that it ends with
//! it, whatever kills it. Knows the kernel's interface, not what is served.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread::JoinHandle;

use fuser::{Config, Session, SessionACL};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getgid, getuid};

use super::fuse::Served;
use super::tree::{Ino, Kind, ROOT, Tree};

const DEVICE: &str = "/dev/fuse";

/// Why disks cannot be mounted here, in words, with what would help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub String);

static PRIVATE: OnceLock<Result<(), String>> = OnceLock::new();

/// Gives this process a mount namespace of its own. Call it while there is a single
/// thread: each thread has a namespace, and new ones take over that of their maker.
pub fn own_namespace() {
    let made = enter_namespace();
    PRIVATE.get_or_init(|| made);
}

fn enter_namespace() -> Result<(), String> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(|why| format!("no mount namespace: {why}"))?;
    // What is mounted here must not appear elsewhere; what appears elsewhere may
    // appear here.
    let flags = MsFlags::MS_REC | MsFlags::MS_SLAVE;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)
        .map_err(|why| format!("the mount namespace cannot be made private: {why}"))
}

/// Whether disks can be mounted here.
///
/// # Errors
/// Why not.
pub fn usable() -> Result<(), Unusable> {
    match PRIVATE.get() {
        Some(Ok(())) => {}
        Some(Err(why)) => {
            return Err(Unusable(format!(
                "{why}; needs root, or user namespaces (sysctl user.max_user_namespaces, \
                 kernel.unprivileged_userns_clone)"
            )));
        }
        None => return Err(Unusable("no mount namespace was asked for at the start".into())),
    }
    open_device().map(drop).map_err(|why| {
        Unusable(format!("{DEVICE} cannot be opened: {why}; load the module `fuse` and allow this user to read and write it"))
    })
}

fn open_device() -> io::Result<File> {
    File::options().read(true).write(true).custom_flags(libc::O_CLOEXEC).open(DEVICE)
}

/// A mount that is there.
pub(super) struct Mount {
    place: PathBuf,
    there: bool,
    server: Option<JoinHandle<io::Result<()>>>,
}

impl Mount {
    pub(super) fn over(place: &Path, served: Served) -> io::Result<Self> {
        let place = place.canonicalize()?;
        let device = open_device()
            .map_err(|why| io::Error::new(why.kind(), format!("{DEVICE} cannot be opened: {why}")))?;
        let options = format!(
            "fd={},rootmode=40000,user_id={},group_id={},default_permissions",
            device.as_raw_fd(),
            getuid(),
            getgid()
        );
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some("rsm-check"), &place, Some("fuse.rsm-check"), flags, Some(options.as_str())).map_err(
            |why| io::Error::other(format!("no disk can be mounted over {}: {why}", place.display())),
        )?;
        let mut mounted = Self { place, there: true, server: None };
        let session = Session::from_fd(served, OwnedFd::from(device), SessionACL::Owner, Config::default())?;
        let serve = std::thread::Builder::new().name("disk".into()).spawn(move || session.run())?;
        mounted.server = Some(serve);
        Ok(mounted)
    }

    /// Detaches it at once; the server ends when nobody uses it any more.
    pub(super) fn take_away(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.there) {
            umount2(&self.place, MntFlags::MNT_DETACH)?;
        }
        Ok(())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Nothing can be done about a mount that stays; it ends with this process.
        let _ = self.take_away();
    }
}

/// Writes a tree's files below a directory. Special files are left out.
pub(super) fn keep(tree: &Tree, place: &Path) -> io::Result<()> {
    keep_directory(tree, ROOT, place)
}

fn keep_directory(tree: &Tree, ino: Ino, place: &Path) -> io::Result<()> {
    let (entries, _) = tree.entries(ino)?;
    for (name, &ino) in entries {
        let path = place.join(name);
        let inode = tree.inode(ino)?;
        match &inode.kind {
            Kind::File(content) => {
                fs::write(&path, content.bytes())?;
                fs::set_permissions(&path, fs::Permissions::from_mode(inode.mode & 0o777 | 0o400))?;
            }
            Kind::Directory { .. } => {
                if let Err(why) = fs::create_dir(&path)
                    && why.kind() != io::ErrorKind::AlreadyExists
                {
                    return Err(why);
                }
                keep_directory(tree, ino, &path)?;
            }
            Kind::Link(target) => symlink(target, &path)?,
            Kind::Special { .. } => {}
        }
    }
    Ok(())
}
