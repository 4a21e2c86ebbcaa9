//! A file system in memory that forgets what was not synced.
//!
//! Content is durable up to the last `sync`, names up to the last `sync_dir`; a killed process
//! loses neither, a power failure keeps a seeded part of the rest: a prefix, holes included. It
//! also fails in the middle of an operation when told to. It must not know what is stored.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use crate::chance::Chance;
use crate::replica::storage::{Name, Storage};

#[derive(Clone, Debug, Default)]
struct File {
    durable: Vec<u8>,
    current: Vec<u8>,
}

/// A change of names: this name now means that file, or nothing.
type Naming = (Name, Option<usize>);

/// One replica's disk; it outlives the process.
#[derive(Debug, Default)]
pub struct Disk {
    files: Vec<File>,
    names: BTreeMap<Name, usize>,
    durable_names: BTreeMap<Name, usize>,
    unsynced_namings: Vec<Naming>,
    /// Operations until the process dies in the middle of one.
    pub operations_left: Option<u64>,
}

impl Disk {
    /// The power fails: what was not synced is lost, or kept in part.
    pub fn lose_power(&mut self, chance: &mut Chance) {
        let kept = chance.below(self.unsynced_namings.len() as u64 + 1) as usize;
        for (name, file) in self.unsynced_namings.drain(..).take(kept) {
            set(&mut self.durable_names, name, file);
        }
        self.names = self.durable_names.clone();
        for file in &mut self.files {
            file.durable = survivors(file, chance);
            file.current = file.durable.clone();
        }
    }

    /// Every file is gone, for good.
    pub fn wipe(&mut self) {
        *self = Self::default();
    }

    /// One file loses its end, for good.
    pub fn cut_off_end(&mut self, chance: &mut Chance) {
        if let Some(file) = self.draw_file(chance) {
            let length = file.current.len() as u64;
            file.current.truncate(chance.below(length) as usize);
            file.durable.clone_from(&file.current);
        }
    }

    /// One bit of one file is wrong, for good.
    pub fn flip_a_bit(&mut self, chance: &mut Chance) {
        if let Some(file) = self.draw_file(chance) {
            let bit = chance.below(file.current.len() as u64 * 8);
            file.current[(bit / 8) as usize] ^= 1 << (bit % 8);
            file.durable.clone_from(&file.current);
        }
    }

    fn draw_file(&mut self, chance: &mut Chance) -> Option<&mut File> {
        let full: Vec<usize> =
            self.names.values().copied().filter(|&file| !self.files[file].current.is_empty()).collect();
        let drawn = full.get(chance.below(full.len() as u64) as usize)?;
        self.files.get_mut(*drawn)
    }

    /// What a reader of the file sees now.
    pub fn content(&self, name: Name) -> Option<&[u8]> {
        self.names.get(&name).map(|&file| &self.files[file].current[..])
    }

    fn name(&mut self, name: Name, file: Option<usize>) {
        set(&mut self.names, name, file);
        self.unsynced_namings.push((name, file));
    }

    /// Whether the process survives this operation.
    fn spend(&mut self) -> io::Result<()> {
        match &mut self.operations_left {
            Some(0) => Err(io::Error::other("the process died here")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn file(&mut self, name: Name) -> io::Result<&mut File> {
        let found = self.names.get(&name).and_then(|&file| self.files.get_mut(file));
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn set(names: &mut BTreeMap<Name, usize>, name: Name, file: Option<usize>) {
    match file {
        Some(file) => drop(names.insert(name, file)),
        None => drop(names.remove(&name)),
    }
}

/// The synced content, the latest, or a part of what was added, perhaps with a page of zeros.
fn survivors(file: &File, chance: &mut Chance) -> Vec<u8> {
    if chance.one_in(3) || !file.current.starts_with(&file.durable) {
        let keep_latest = chance.one_in(2);
        return if keep_latest { file.current.clone() } else { file.durable.clone() };
    }
    let synced = file.durable.len();
    let added = (file.current.len() - synced) as u64;
    let mut kept = file.current[..synced + chance.below(added + 1) as usize].to_vec();
    let hole = synced + chance.below(added + 1) as usize;
    if chance.one_in(2) && hole < kept.len() {
        kept[hole..].iter_mut().take(16).for_each(|byte| *byte = 0);
    }
    kept
}

/// A process's hold on its disk.
#[derive(Clone, Debug, Default)]
pub struct Mount(pub Rc<RefCell<Disk>>);

impl Storage for Mount {
    fn path(&self, name: Name) -> String {
        format!("{name:?}")
    }

    fn read(&mut self, name: Name) -> io::Result<Option<Vec<u8>>> {
        let mut disk = self.0.borrow_mut();
        disk.spend()?;
        Ok(disk.content(name).map(<[u8]>::to_vec))
    }

    fn create(&mut self, name: Name, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        disk.spend()?;
        let current = bytes.to_vec();
        disk.files.push(File { durable: Vec::new(), current });
        let file = disk.files.len() - 1;
        disk.name(name, Some(file));
        Ok(())
    }

    /// A process that dies here has written half.
    fn append(&mut self, name: Name, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        let alive = disk.spend();
        let written = if alive.is_ok() { bytes } else { &bytes[..bytes.len() / 2] };
        if alive.is_ok() || disk.operations_left == Some(0) {
            disk.file(name)?.current.extend_from_slice(written);
        }
        alive
    }

    fn overwrite(&mut self, name: Name, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        disk.spend()?;
        if disk.content(name).is_none() {
            disk.files.push(File::default());
            let file = disk.files.len() - 1;
            disk.name(name, Some(file));
        }
        let current = &mut disk.file(name)?.current;
        let kept = bytes.len().max(current.len());
        current.resize(kept, 0);
        current[..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self, name: Name) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        disk.spend()?;
        let file = disk.file(name)?;
        file.durable = file.current.clone();
        Ok(())
    }

    fn rename(&mut self, from: Name, to: Name) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        disk.spend()?;
        let file = disk.names.get(&from).copied().ok_or(io::ErrorKind::NotFound)?;
        disk.name(to, Some(file));
        disk.name(from, None);
        Ok(())
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        disk.spend()?;
        disk.durable_names = disk.names.clone();
        disk.unsynced_namings.clear();
        Ok(())
    }
}
