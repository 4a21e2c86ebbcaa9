//! What survives a power failure, case by case, in both models.

use std::ffi::OsStr;
use std::time::SystemTime;

use super::file::Content;
use super::power::{Loss, fail};
use super::tree::{Caller, Durability, Ino, Kind, ROOT, Tree};

const BY: Caller = Caller { uid: 0, gid: 0, now: SystemTime::UNIX_EPOCH };
const BOTH: [Durability; 2] = [Durability::Journal, Durability::Strict];

struct Disk(Tree);

impl Disk {
    fn new(durability: Durability) -> Self {
        Self(Tree::new(durability, BY))
    }

    fn place<'a>(&self, path: &'a str) -> (Ino, &'a OsStr) {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        (self.ino(above), OsStr::new(name))
    }

    fn ino(&self, path: &str) -> Ino {
        let parts = path.split('/').filter(|part| !part.is_empty());
        parts.fold(ROOT, |at, part| self.0.lookup(at, OsStr::new(part)).unwrap())
    }

    fn make(&mut self, path: &str) -> &mut Self {
        let (directory, name) = self.place(path);
        self.0.create(directory, name, Kind::File(Content::default()), 0o644, BY).unwrap();
        self
    }

    fn directory(&mut self, path: &str) -> &mut Self {
        let (directory, name) = self.place(path);
        let kind = Kind::Directory { entries: Default::default(), parent: directory };
        self.0.create(directory, name, kind, 0o755, BY).unwrap();
        self
    }

    fn write(&mut self, path: &str, text: &str) -> &mut Self {
        let ino = self.ino(path);
        let end = self.0.content(ino).unwrap().len() as u64;
        assert_eq!(self.0.write(ino, end, text.as_bytes(), u64::MAX, BY), Ok(text.len()));
        self
    }

    fn sync(&mut self, path: &str) -> &mut Self {
        self.0.sync(self.ino(path)).unwrap();
        self
    }

    fn rename(&mut self, from: &str, to: &str) -> &mut Self {
        let (from, to) = (self.place(from), self.place(to));
        self.0.rename(from, to, (false, false), BY).unwrap();
        self
    }

    fn unlink(&mut self, path: &str) -> &mut Self {
        let (directory, name) = self.place(path);
        self.0.unlink(directory, name, BY).unwrap();
        self
    }

    fn truncate(&mut self, path: &str, length: u64) -> &mut Self {
        self.0.truncate(self.ino(path), length, u64::MAX, BY).unwrap();
        self
    }

    fn fail(&mut self) -> Loss {
        fail(&mut self.0, None)
    }

    /// Every file with its content, such as `a=one d/b=two`.
    fn shown(&self) -> String {
        let mut shown = Vec::new();
        self.walk(ROOT, "", &mut shown);
        shown.join(" ")
    }

    fn walk(&self, directory: Ino, above: &str, shown: &mut Vec<String>) {
        for (name, &ino) in self.0.entries(directory).unwrap().0 {
            let path = format!("{above}{}", name.display());
            match self.0.content(ino) {
                Ok(content) => shown.push(format!("{path}={}", String::from_utf8_lossy(content.bytes()))),
                Err(_) => {
                    shown.push(format!("{path}/"));
                    self.walk(ino, &format!("{path}/"), shown);
                }
            }
        }
    }
}

/// What is left after a failure: in the journal model, in the strict one.
fn ends(steps: impl Fn(&mut Disk)) -> [String; 2] {
    BOTH.map(|durability| {
        let mut disk = Disk::new(durability);
        steps(&mut disk);
        disk.fail();
        disk.shown()
    })
}

#[test]
fn a_new_file_without_any_fsync_is_gone() {
    assert_eq!(
        ends(|disk| {
            disk.make("a").write("a", "x");
        }),
        ["", ""]
    );
}

#[test]
fn the_fsync_of_a_new_file_keeps_its_name_in_a_journal_and_not_by_posix() {
    assert_eq!(
        ends(|disk| {
            disk.make("a").write("a", "x").sync("a");
        }),
        ["a=x", ""]
    );
}

#[test]
fn with_the_directory_synced_too_a_file_survives_in_both() {
    assert_eq!(
        ends(|disk| {
            disk.make("a").write("a", "x").sync("a").sync("");
        }),
        ["a=x", "a=x"]
    );
}

#[test]
fn the_fsync_of_another_file_commits_the_name_but_not_the_data() {
    assert_eq!(
        ends(|disk| {
            disk.make("a").write("a", "x").make("b").sync("b");
        }),
        ["a= b=", ""]
    );
}

#[test]
fn the_fsync_of_the_directory_alone_leaves_an_empty_file() {
    assert_eq!(
        ends(|disk| {
            disk.make("a").write("a", "x").sync("");
        }),
        ["a=", "a="]
    );
}

#[test]
fn an_append_that_was_not_synced_is_gone() {
    let steps = |disk: &mut Disk| {
        disk.make("a").write("a", "one").sync("a").sync("").write("a", "two");
    };
    assert_eq!(ends(steps), ["a=one", "a=one"]);
}

#[test]
fn truncate_and_rewrite_without_fsync_ends_as_it_was() {
    let steps = |disk: &mut Disk| {
        disk.make("a").write("a", "old").sync("a").sync("").truncate("a", 0).write("a", "new!");
    };
    assert_eq!(ends(steps), ["a=old", "a=old"]);
}

#[test]
fn a_rename_over_a_name_that_is_not_committed_leaves_the_old_file() {
    let steps = |disk: &mut Disk| {
        disk.make("a")
            .write("a", "old")
            .sync("a")
            .sync("")
            .make("t")
            .write("t", "new")
            .sync("t")
            .rename("t", "a");
    };
    assert_eq!(ends(steps), ["a=old t=new", "a=old"]);
}

#[test]
fn a_rename_over_a_name_with_the_directory_synced_is_the_new_file() {
    let steps = |disk: &mut Disk| {
        disk.make("a").write("a", "old").sync("a").sync("").make("t").write("t", "new").sync("t");
        disk.rename("t", "a").sync("");
    };
    assert_eq!(ends(steps), ["a=new", "a=new"]);
}

#[test]
fn a_rename_over_a_name_writes_an_unsynced_source_out_in_a_journal_only() {
    let steps = |disk: &mut Disk| {
        disk.make("a")
            .write("a", "old")
            .sync("a")
            .sync("")
            .make("t")
            .write("t", "new")
            .rename("t", "a")
            .sync("");
    };
    assert_eq!(ends(steps), ["a=new", "a="]);
}

#[test]
fn a_rename_to_a_free_name_flushes_nothing() {
    let steps = |disk: &mut Disk| {
        disk.make("t").write("t", "new").rename("t", "a").sync("");
    };
    assert_eq!(ends(steps), ["a=", "a="]);
}

#[test]
fn an_unlink_that_is_not_committed_brings_the_file_back() {
    let steps = |disk: &mut Disk| {
        disk.make("a").write("a", "x").sync("a").sync("").unlink("a");
    };
    assert_eq!(ends(steps), ["a=x", "a=x"]);
    let steps = |disk: &mut Disk| {
        disk.make("a").write("a", "x").sync("a").sync("").unlink("a").sync("");
    };
    assert_eq!(ends(steps), ["", ""]);
}

#[test]
fn a_file_renamed_into_another_directory_is_never_lost_by_a_journal() {
    let moved = |disk: &mut Disk| {
        disk.directory("d").make("a").write("a", "x").sync("a").sync("").sync("d").rename("a", "d/a");
    };
    assert_eq!(ends(moved), ["a=x d/", "a=x d/"]);
    let source = |disk: &mut Disk| {
        moved(disk);
        disk.sync("");
    };
    assert_eq!(ends(source), ["d/ d/a=x", "d/"], "by POSIX the file may be nowhere");
    let target = |disk: &mut Disk| {
        moved(disk);
        disk.sync("d");
    };
    assert_eq!(ends(target), ["d/ d/a=x", "a=x d/ d/a=x"], "or in both places");
}

#[test]
fn a_directory_and_what_is_in_it_go_together() {
    let steps = |disk: &mut Disk| {
        disk.directory("d").make("d/a").write("d/a", "x").sync("d/a");
    };
    assert_eq!(ends(steps), ["d/ d/a=x", ""]);
    let steps = |disk: &mut Disk| {
        disk.directory("d").make("d/a").write("d/a", "x").sync("d/a").sync("d");
    };
    assert_eq!(ends(steps), ["d/ d/a=x", ""]);
    let steps = |disk: &mut Disk| {
        disk.directory("d").sync("").make("d/a").write("d/a", "x").sync("d/a").sync("d");
    };
    assert_eq!(ends(steps), ["d/ d/a=x", "d/ d/a=x"]);
}

#[test]
fn a_name_used_again_means_what_it_meant() {
    let steps = |disk: &mut Disk| {
        disk.make("a").write("a", "1").sync("a").sync("").unlink("a").make("a").write("a", "2");
    };
    assert_eq!(ends(steps), ["a=1", "a=1"]);
}

#[test]
fn the_loss_is_counted() {
    let mut disk = Disk::new(Durability::Journal);
    disk.make("a").write("a", "12345").sync("a").write("a", "678").make("b").write("b", "9");
    assert_eq!(disk.fail(), Loss { bytes: 4, files: 2, names: 1 });
    assert_eq!(disk.shown(), "a=12345");
}

#[test]
fn a_file_that_is_open_though_unlinked_keeps_its_bytes_until_it_is_closed() {
    let mut disk = Disk::new(Durability::Journal);
    disk.make("a").write("a", "x").sync("");
    let ino = disk.ino("a");
    disk.0.open(ino).unwrap();
    disk.unlink("a").sync("");
    assert_eq!(disk.0.content(ino).unwrap().bytes(), b"x");
    disk.0.close(ino);
    assert!(disk.0.content(ino).is_err());
    assert_eq!((disk.0.used(), disk.0.count()), (0, 1));
}

#[test]
fn a_directory_cannot_be_moved_into_itself_nor_over_one_that_is_not_empty() {
    use nix::errno::Errno;
    let mut disk = Disk::new(Durability::Journal);
    disk.directory("d").directory("d/e").directory("f").make("f/a");
    let (from, to) = (disk.place("d"), disk.place("d/e/x"));
    assert_eq!(disk.0.rename(from, to, (false, false), BY), Err(Errno::EINVAL));
    let (from, to) = (disk.place("d"), disk.place("f"));
    assert_eq!(disk.0.rename(from, to, (false, false), BY), Err(Errno::ENOTEMPTY));
    disk.0.rename(from, to, (false, true), BY).unwrap();
    assert_eq!(disk.shown(), "d/ d/a= f/ f/e/");
}

#[test]
fn whatever_a_seed_leaves_lies_between_nothing_and_everything() {
    for seed in 0..500 {
        let mut disk = Disk::new(Durability::Journal);
        disk.make("a").write("a", "one").sync("a");
        for number in 0..4 {
            disk.write("a", "two").make(&format!("b{number}"));
        }
        fail(&mut disk.0, Some(seed));
        let shown = disk.shown();
        let content = shown.split(' ').next().unwrap().trim_start_matches("a=").to_owned();
        let whole = "onetwotwotwotwo";
        assert!(content.starts_with("one"), "{shown}");
        let left = content.trim_end_matches('\0');
        assert!(whole.starts_with(left), "{shown}");
        let names: Vec<&str> = shown.split(' ').skip(1).collect();
        assert_eq!(names, ["b0=", "b1=", "b2=", "b3="][..names.len()], "a prefix of the names");
    }
}

#[test]
fn a_full_disk_takes_what_fits_and_then_nothing() {
    use nix::errno::Errno;
    let mut disk = Disk::new(Durability::Journal);
    disk.make("a");
    let ino = disk.ino("a");
    assert_eq!(disk.0.write(ino, 0, b"12345678", 5, BY), Ok(5));
    assert_eq!(disk.0.write(ino, 5, b"x", 0, BY), Err(Errno::ENOSPC));
    assert_eq!(disk.0.write(ino, 0, b"54321", 0, BY), Ok(5), "what is there can be overwritten");
    assert_eq!(disk.0.write(ino, u64::MAX - 1, b"x", u64::MAX, BY), Err(Errno::ENOSPC));
    assert_eq!(disk.0.truncate(ino, 1 << 40, u64::MAX, BY), Err(Errno::ENOSPC));
}
