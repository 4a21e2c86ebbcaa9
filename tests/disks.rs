//! Disks as programs see them: real mounts, real system calls, SQLite.

mod support;

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rsm_check::cluster::disk::{Disk, DiskFault, Durability, Failing, own_namespace, usable};

/// A mounted disk and the directory that it hides.
struct Stage {
    disk: Disk,
    dir: tempfile::TempDir,
}

impl Stage {
    /// `None` where the machine offers no disks, or to root alone: mounts of a test belong
    /// to its thread, and only root can have them there. Whole runs show the rest.
    fn new(durability: Durability) -> Option<Self> {
        own_namespace();
        if let Err(why) = usable() {
            assert!(support::lacks("disk") || !nix::unistd::Uid::effective().is_root(), "{why}");
            eprintln!("skipped: {why}");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        Some(Self { disk: Disk::mount(dir.path(), durability).unwrap(), dir })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn make(&self, name: &str, text: &str) -> File {
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn sync_names(&self) {
        File::open(self.dir.path()).unwrap().sync_all().unwrap();
    }
}

fn errno<T: std::fmt::Debug>(done: std::io::Result<T>) -> i32 {
    done.unwrap_err().raw_os_error().unwrap()
}

#[test]
fn files_behave_as_on_any_disk_and_are_kept_when_it_is_closed() {
    let Some(stage) = Stage::new(Durability::Journal) else { return };
    let mut file = stage.make("a", "hello");
    file.seek(SeekFrom::Start(1)).unwrap();
    let mut rest = String::new();
    file.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "ello");
    fs::create_dir_all(stage.path("d/e")).unwrap();
    fs::rename(stage.path("a"), stage.path("d/e/b")).unwrap();
    fs::hard_link(stage.path("d/e/b"), stage.path("c")).unwrap();
    std::os::unix::fs::symlink("d/e/b", stage.path("l")).unwrap();
    assert_eq!(stage.text("l"), "hello");
    assert_eq!(errno(fs::remove_dir(stage.path("d/e"))), libc::ENOTEMPTY);
    for number in 0..1_000 {
        stage.make(&format!("many-{number}"), "");
    }
    let mut names: Vec<_> =
        fs::read_dir(stage.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 1_003);
    names.sort();
    for entry in fs::read_dir(stage.dir.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with("many") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    fs::write(stage.path("big"), vec![7; 3_000_000]).unwrap();
    assert_eq!(fs::metadata(stage.path("big")).unwrap().len(), 3_000_000);
    drop(file);
    let Stage { disk, dir } = stage;
    assert_eq!(disk.counts().syncs, 0);
    disk.close().unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("d/e/b")).unwrap(), "hello");
    assert_eq!(fs::read(dir.path().join("big")).unwrap(), vec![7; 3_000_000]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
}

#[test]
fn after_a_power_failure_what_was_open_gets_eio_and_what_was_synced_is_there() {
    let Some(stage) = Stage::new(Durability::Journal) else { return };
    let mut file = stage.make("log", "one ");
    file.sync_data().unwrap();
    file.write_all(b"two").unwrap();
    stage.make("never", "x");
    assert_eq!(stage.text("log"), "one two");
    let loss = stage.disk.fail_power(None);
    assert_eq!((loss.bytes, loss.files, loss.names), (4, 2, 1));
    assert_eq!(stage.text("log"), "one ");
    assert!(!stage.path("never").exists());
    assert_eq!(errno(file.write_all(b"late")), libc::EIO);
    assert_eq!(errno(file.sync_all()), libc::EIO);
    assert_eq!(errno(file.read_at(&mut [0; 8192], 4096)), libc::EIO);
    stage.make("log", "three").sync_all().unwrap();
    stage.disk.fail_power(None);
    assert_eq!(stage.text("log"), "one three");
}

#[test]
fn a_write_through_o_dsync_or_a_synced_mapping_survives() {
    let Some(stage) = Stage::new(Durability::Journal) else { return };
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .custom_flags(libc::O_DSYNC)
        .open(stage.path("a"))
        .unwrap();
    file.write_all(b"through").unwrap();
    let mapped = stage.make("m", &"-".repeat(8192));
    mapped.sync_all().unwrap();
    #[allow(unsafe_code)]
    // SAFETY: a mapping of an open file of that length, unmapped below.
    unsafe {
        use std::os::fd::AsRawFd;
        let flags = libc::PROT_READ | libc::PROT_WRITE;
        let at = libc::mmap(std::ptr::null_mut(), 8192, flags, libc::MAP_SHARED, mapped.as_raw_fd(), 0);
        assert_ne!(at, libc::MAP_FAILED);
        at.cast::<u8>().copy_from(b"synced".as_ptr(), 6);
        assert_eq!(libc::msync(at, 8192, libc::MS_SYNC), 0);
        at.cast::<u8>().add(4096).copy_from(b"not".as_ptr(), 3);
        libc::munmap(at, 8192);
    }
    stage.disk.fail_power(None);
    assert_eq!(stage.text("a"), "through");
    let text = stage.text("m");
    assert!(text.starts_with("synced--") && text[4096..].starts_with("---"), "{}", &text[4090..4110]);
}

#[test]
fn a_rename_over_a_name_needs_the_directory_synced_in_the_strict_model() {
    for (durability, left) in [(Durability::Journal, "new"), (Durability::Strict, "old")] {
        let Some(stage) = Stage::new(durability) else { return };
        stage.make("a", "old").sync_all().unwrap();
        stage.sync_names();
        stage.make("t", "new").sync_all().unwrap();
        fs::rename(stage.path("t"), stage.path("a")).unwrap();
        stage.make("other", "").sync_all().unwrap();
        stage.disk.fail_power(None);
        assert_eq!(stage.text("a"), left);
    }
}

/// Every file below a directory with what it holds, in order.
fn shown(dir: &Path, above: &str) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    let mut shown = Vec::new();
    for name in names {
        let (path, called) = (dir.join(&name), format!("{above}{}", name.to_string_lossy()));
        if path.is_dir() {
            shown.push(format!("{called}/"));
            shown.extend(self::shown(&path, &format!("{called}/")));
        } else {
            shown.push(format!("{called}={}", fs::read_to_string(path).unwrap()));
        }
    }
    shown
}

/// A program for one of the cases: words that are system calls.
fn carry_out(stage: &Stage, steps: &str) {
    for step in steps.split("; ") {
        let words: Vec<&str> = step.split(' ').collect();
        let open = |flags: i32| {
            let mut options = OpenOptions::new();
            options.write(true).create(true).custom_flags(flags).open(stage.path(words[1])).unwrap()
        };
        match words[..] {
            ["write", _, text] => open(libc::O_TRUNC).write_all(text.as_bytes()).unwrap(),
            ["append", _, text] => open(libc::O_APPEND).write_all(text.as_bytes()).unwrap(),
            ["over", _, text] => open(0).write_all(text.as_bytes()).unwrap(),
            ["dsync", _, text] => open(libc::O_APPEND | libc::O_DSYNC).write_all(text.as_bytes()).unwrap(),
            ["cut", _, length] => open(0).set_len(length.parse().unwrap()).unwrap(),
            ["fsync", _] => open(0).sync_all().unwrap(),
            ["fdatasync", _] => open(0).sync_data().unwrap(),
            ["fsyncdir", name] => File::open(stage.path(name)).unwrap().sync_all().unwrap(),
            ["rename", from, to] => fs::rename(stage.path(from), stage.path(to)).unwrap(),
            ["link", from, to] => fs::hard_link(stage.path(from), stage.path(to)).unwrap(),
            ["unlink", name] => fs::remove_file(stage.path(name)).unwrap(),
            ["mkdir", name] => fs::create_dir(stage.path(name)).unwrap(),
            ["rmdir", name] => fs::remove_dir(stage.path(name)).unwrap(),
            ["syncfs"] => nix::unistd::syncfs(File::open(stage.dir.path()).unwrap()).unwrap(),
            _ => panic!("no such step: {step}"),
        }
    }
}

/// What is done; what is left after a power failure in the journal model, in the strict one.
/// `OLD` is a file that is entirely on disk.
const CASES: [(&str, &str, &str); 26] = [
    ("write a x", "", ""),
    ("write a x; fsync a", "a=x", ""),
    ("write a x; fdatasync a", "a=x", ""),
    ("write a x; fsync a; fsyncdir .", "a=x", "a=x"),
    ("write a x; write b y; fsync b", "a= b=y", ""),
    ("write a x; fsyncdir .", "a=", "a="),
    ("write a x; syncfs", "", ""),
    ("OLD; append a two", "a=old", "a=old"),
    ("OLD; append a two; fsync a; append a three", "a=oldtwo", "a=oldtwo"),
    ("OLD; dsync a two", "a=oldtwo", "a=oldtwo"),
    ("OLD; over a XY", "a=old", "a=old"),
    ("OLD; write a new!", "a=old", "a=old"),
    ("OLD; write a new!; fsync a", "a=new!", "a=new!"),
    ("OLD; cut a 1", "a=old", "a=old"),
    ("OLD; cut a 1; fsync a", "a=o", "a=o"),
    ("OLD; write t new; fsync t; rename t a", "a=old t=new", "a=old"),
    ("OLD; write t new; fsync t; rename t a; fsyncdir .", "a=new", "a=new"),
    ("OLD; write t new; rename t a; fsyncdir .", "a=new", "a="),
    ("write t new; rename t a; fsyncdir .", "a=", "a="),
    ("OLD; unlink a", "a=old", "a=old"),
    ("OLD; unlink a; fsyncdir .", "", ""),
    ("OLD; unlink a; write a 2", "a=old", "a=old"),
    ("OLD; link a b; fsync a", "a=old b=old", "a=old"),
    ("OLD; mkdir d; fsyncdir .; rename a d/a; fsyncdir .", "d/ d/a=old", "d/"),
    ("OLD; mkdir d; fsyncdir .; rename a d/a; fsyncdir d", "d/ d/a=old", "a=old d/ d/a=old"),
    ("mkdir d; fsyncdir .; rmdir d; write a x; fsync a", "a=x", "d/"),
];

#[test]
fn a_power_failure_leaves_in_every_case_exactly_what_the_model_says() {
    for (durability, column) in [(Durability::Journal, 0), (Durability::Strict, 1)] {
        for (steps, journal, strict) in CASES {
            let Some(stage) = Stage::new(durability) else { return };
            carry_out(&stage, &steps.replace("OLD", "write a old; fsync a; fsyncdir ."));
            stage.disk.fail_power(None);
            let left = shown(stage.dir.path(), "").join(" ");
            assert_eq!(left, [journal, strict][column], "{durability:?}: {steps}");
        }
    }
}

const ALWAYS: Failing = Failing { reads: false, writes: false, syncs: false, per_million: 1_000_000 };

#[test]
fn after_an_fsync_that_failed_later_ones_succeed_and_the_bytes_are_lost_at_the_power_failure() {
    let Some(stage) = Stage::new(Durability::Journal) else { return };
    let mut file = stage.make("log", "");
    stage.sync_names();
    stage.disk.set_fault(Some(DiskFault::Errors(Failing { syncs: true, ..ALWAYS })), 1);
    file.write_all(b"lost").unwrap();
    assert_eq!(errno(file.sync_all()), libc::EIO);
    assert_eq!(stage.disk.felt().failed_syncs, 1);
    stage.disk.set_fault(None, 0);
    file.sync_all().unwrap();
    assert_eq!(stage.text("log"), "lost");
    file.write_all(b"kept").unwrap();
    file.sync_all().unwrap();
    stage.disk.fail_power(None);
    assert_eq!(stage.text("log"), "\0\0\0\0kept");
}

#[test]
fn a_full_disk_cuts_a_write_short_and_then_refuses() {
    let Some(stage) = Stage::new(Durability::Journal) else { return };
    let mut file = stage.make("log", "12345");
    stage.disk.set_fault(Some(DiskFault::Full { after: 3 }), 0);
    assert_eq!(file.write(b"6789").unwrap(), 3);
    assert_eq!(errno(file.write(b"9")), libc::ENOSPC);
    assert_eq!(errno(File::create(stage.path("other"))), libc::ENOSPC);
    assert_eq!(stage.disk.felt().cut_short, 1);
    assert!(stage.disk.felt().failed >= 2);
    stage.disk.set_fault(None, 0);
    file.write_all(b"9").unwrap();
    assert_eq!(stage.text("log"), "123456789");
}

#[test]
fn a_read_only_disk_can_be_read_and_errors_come_as_often_as_asked() {
    let Some(stage) = Stage::new(Durability::Journal) else { return };
    let mut file = stage.make("a", "text");
    stage.disk.set_fault(Some(DiskFault::ReadOnly), 0);
    assert_eq!(errno(file.write(b"x")), libc::EROFS);
    assert_eq!(errno(fs::remove_file(stage.path("a"))), libc::EROFS);
    assert_eq!(stage.text("a"), "text");
    stage
        .disk
        .set_fault(Some(DiskFault::Errors(Failing { writes: true, per_million: 300_000, ..ALWAYS })), 7);
    let failed = (0..1_000).filter(|_| file.write(b"x").is_err()).count();
    assert!((200..400).contains(&failed), "{failed}");
    assert_eq!(stage.disk.felt().failed, failed as u64);
}

#[test]
fn a_slow_fsync_goes_on_at_once_when_the_disk_is_healed() {
    let Some(stage) = Stage::new(Durability::Journal) else { return };
    let file = stage.make("a", "x");
    let forever = Duration::from_secs(100_000);
    stage.disk.set_fault(Some(DiskFault::Slow { write: Duration::ZERO, sync: forever }), 0);
    let syncing = std::thread::spawn(move || file.sync_all());
    while stage.disk.felt().slowed == 0 {
        std::thread::yield_now();
    }
    assert_eq!(stage.disk.counts().syncs, 0);
    stage.disk.set_fault(None, 0);
    syncing.join().unwrap().unwrap();
    assert_eq!(stage.disk.counts().syncs, 1);
}

/// Inserts rows, telling each number once it was committed, until it is killed.
const ROWS: &str = "import sqlite3, sys
base = sqlite3.connect(sys.argv[1], isolation_level=None)
base.execute('PRAGMA journal_mode=' + sys.argv[3])
base.execute('PRAGMA synchronous=' + sys.argv[2])
base.execute('CREATE TABLE IF NOT EXISTS rows (number INTEGER)')
for number in range(1000000):
    base.execute('INSERT INTO rows VALUES (?)', (number,))
    print(number, flush=True)";

const COUNT: &str = "import sqlite3, sys
try: print(sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM rows').fetchone()[0])
except sqlite3.DatabaseError as why: print(-1)";

/// Rows acknowledged before, and rows found after, a power failure.
fn sqlite(synchronous: &str, journal: &str, durability: Durability, seed: Option<u64>) -> Option<(i64, i64)> {
    use std::io::BufRead;
    let stage = Stage::new(durability)?;
    let base = stage.path("base");
    let python = |code: &str| {
        let mut command = Command::new("python3");
        command.args(["-c", code]).arg(&base);
        command
    };
    let mut rows = python(ROWS).args([synchronous, journal]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(rows.stdout.take().unwrap()).lines();
    let mut acknowledged: i64 = 0;
    while acknowledged < 50 {
        acknowledged = lines.next().unwrap().unwrap().parse::<i64>().unwrap() + 1;
    }
    rows.kill().unwrap();
    rows.wait().unwrap();
    acknowledged += lines.map_while(Result::ok).count() as i64;
    stage.disk.fail_power(seed);
    let found = python(COUNT).output().unwrap();
    Some((acknowledged, String::from_utf8_lossy(&found.stdout).trim().parse().unwrap()))
}

#[test]
fn sqlite_keeps_every_acknowledged_row_in_extra_and_loses_rows_when_it_does_not_sync() {
    for journal in ["DELETE", "WAL"] {
        for durability in [Durability::Journal, Durability::Strict] {
            for seed in [None, Some(1), Some(2)] {
                let Some((acknowledged, found)) = sqlite("EXTRA", journal, durability, seed) else { return };
                assert!(
                    found >= acknowledged && found <= acknowledged + 1,
                    "{journal} {durability:?} {seed:?}: {found} of {acknowledged}"
                );
            }
        }
        let Some((acknowledged, found)) = sqlite("OFF", journal, Durability::Journal, None) else { return };
        assert!(found < acknowledged, "{found} of {acknowledged}");
    }
}

#[test]
fn a_mount_is_seen_by_nobody_else_and_ends_with_its_disk() {
    let Some(stage) = Stage::new(Durability::Journal) else { return };
    stage.make("a", "x");
    let place = stage.dir.path().to_owned();
    let mounts = |who: &str| fs::read_to_string(format!("/proc/{who}/mounts")).unwrap();
    let named = |mounts: &str| mounts.contains(place.to_str().unwrap());
    assert!(named(&mounts("thread-self")));
    assert!(!named(&mounts("1")));
    let Stage { disk, dir } = stage;
    drop(disk);
    assert!(!named(&mounts("thread-self")));
    assert!(!Path::new(&dir.path().join("a")).exists());
}
