//! The vDSO of one process: found, patched, and its skew changed.
//!
//! Everything is read from the process itself, nothing is assumed of the kernel's
//! version: where the image lies, its symbols, how much of its last page is free.
//! Whatever does not fit is an error in words, and the process is left as it was.
//! Knows no tracing; whoever calls [`Patched::install`] holds the process still.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use nix::unistd::Pid;

use super::skew::Skew;

/// The wrapper's code, and where in it something begins, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blob {
    pub code: &'static [u8],
    /// The data: see [`Data`].
    pub data: usize,
    pub entries: [Entry; 3],
}

/// A function of the wrapper and the symbol that it stands for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub name: &'static str,
    pub offset: usize,
}

/// Offsets within the wrapper's data.
struct Data;

impl Data {
    const CLOCK_GETTIME: usize = 0;
    const GETTIMEOFDAY: usize = 8;
    const GENERATION: u64 = 16;
    const SLOTS: u64 = 24;
    const SLOT: u64 = 24;
}

/// A process whose clock can be changed.
#[derive(Debug)]
pub(super) struct Patched {
    /// Its memory; writing fails once it has executed another program.
    memory: File,
    /// Address of the wrapper's data.
    data: u64,
}

/// Why a process was not reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It has ended, or ends and runs no instruction of its own any more.
    Ended,
    /// It has executed another program since.
    AnotherProgram,
    /// Anything else, in words.
    Failed(String),
}

impl<T: Into<String>> From<T> for Trouble {
    fn from(why: T) -> Self {
        Self::Failed(why.into())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ended => "it has ended",
            Self::AnotherProgram => "it runs another program now",
            Self::Failed(why) => why,
        })
    }
}

/// An image is two pages on most machines; more than this is none.
const LARGEST: u64 = 1 << 20;

/// Which symbols are wrapped: each has a second name.
const PREFIX: &str = "__vdso_";

/// The wrapper begins at a multiple of this, in bytes.
const ALIGNMENT: usize = 64;

impl Patched {
    /// Writes the wrapper into a process that runs a new program and has not run an
    /// instruction of it yet.
    pub(super) fn install(pid: Pid, blob: &Blob) -> Result<Self, Trouble> {
        let memory = open(pid)?;
        let (begin, mut image) = read_image(pid, &memory)?;
        let symbols = symbols(&image)?;
        let place = free_place(&image, blob.code.len())?;
        let mut code = blob.code.to_vec();
        let original = |name: &str| {
            let found = symbols.iter().find(|symbol| symbol.name == name);
            found.map(|symbol| begin + symbol.value).ok_or_else(|| format!("its vDSO has no `{name}`"))
        };
        let originals = [(Data::CLOCK_GETTIME, "clock_gettime"), (Data::GETTIMEOFDAY, "gettimeofday")];
        for (offset, name) in originals {
            put(&mut code, blob.data + offset, &original(name)?.to_le_bytes())?;
        }
        let right = Skew::default().to_bytes();
        for slot in 0..2 {
            put(&mut code, blob.data + (Data::SLOTS + slot * Data::SLOT) as usize, &right)?;
        }
        put(&mut image, place, &code)?;
        for symbol in &symbols {
            let plain = symbol.name.strip_prefix(PREFIX).unwrap_or(&symbol.name);
            if let Some(entry) = blob.entries.iter().find(|entry| entry.name == plain) {
                put(&mut image, symbol.at + VALUE, &((place + entry.offset) as u64).to_le_bytes())?;
            }
        }
        write(&memory, begin, &image)?;
        let mut back = vec![0; image.len()];
        read(&memory, begin, &mut back)?;
        if back != image {
            return Err("what was written into its vDSO was not read back".into());
        }
        Ok(Self { memory, data: begin + (place + blob.data) as u64 })
    }

    /// A process that came to be by fork and has its parent's vDSO.
    pub(super) fn inherited(pid: Pid, blob: &Blob) -> Result<Self, Trouble> {
        let memory = open(pid)?;
        let (begin, image) = read_image(pid, &memory)?;
        let head = &blob.code[..blob.data];
        let place = (0..image.len()).step_by(ALIGNMENT).find(|&place| image[place..].starts_with(head));
        let place = place.ok_or("the program from which it was forked had no changed vDSO")?;
        Ok(Self { memory, data: begin + (place + blob.data) as u64 })
    }

    /// Changes what the process sees, and reads it back.
    pub(super) fn set(&self, skew: Skew) -> Result<(), Trouble> {
        let generation = self.generation()?;
        let next = generation.wrapping_add(1);
        let slot = self.data + Data::SLOTS + u64::from(next & 1) * Data::SLOT;
        // The slot that nobody reads first, then the byte that makes it the one.
        write(&self.memory, slot, &skew.to_bytes())?;
        write(&self.memory, self.data + Data::GENERATION, &[next])?;
        let mut back = [0; Data::SLOT as usize];
        read(&self.memory, slot, &mut back)?;
        if self.generation()? != next || back != skew.to_bytes() {
            return Err("the change was not read back".into());
        }
        Ok(())
    }

    /// Whether the process of this number, whatever program it runs by now, shows this
    /// skew. Where the wrapper's data was is something else once it runs another one.
    pub(super) fn shows(&self, pid: Pid, skew: Skew) -> Result<(), Trouble> {
        let now = Self { memory: open(pid)?, data: self.data };
        let elsewhere = |_| Trouble::AnotherProgram;
        let generation = now.generation().map_err(elsewhere)?;
        let slot = self.data + Data::SLOTS + u64::from(generation & 1) * Data::SLOT;
        let mut back = [0; Data::SLOT as usize];
        read(&now.memory, slot, &mut back).map_err(elsewhere)?;
        if back == skew.to_bytes() { Ok(()) } else { Err(Trouble::AnotherProgram) }
    }

    /// Read each time: two entries may share one memory (vfork).
    fn generation(&self) -> Result<u8, Trouble> {
        let mut byte = [0];
        read(&self.memory, self.data + Data::GENERATION, &mut byte)?;
        Ok(byte[0])
    }
}

fn open(pid: Pid) -> Result<File, Trouble> {
    let path = format!("/proc/{pid}/mem");
    File::options().read(true).write(true).open(&path).map_err(|why| match why.raw_os_error() {
        Some(libc::ESRCH | libc::ENOENT) => Trouble::Ended,
        _ => format!("{path} cannot be opened: {why}").into(),
    })
}

/// Where the image begins, and its pages.
fn read_image(pid: Pid, memory: &File) -> Result<(u64, Vec<u8>), Trouble> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))
        .map_err(|why| format!("its mappings cannot be read: {why}"))?;
    let range = maps.lines().find_map(|line| line.strip_suffix("[vdso]")?.split_once(' ')?.0.split_once('-'));
    let (from, to) = range.ok_or("it has no vDSO")?;
    let address = |text| u64::from_str_radix(text, 16).ok();
    let (begin, end) = address(from).zip(address(to)).ok_or("its mappings cannot be understood")?;
    let length = end.checked_sub(begin).filter(|&length| length <= LARGEST).ok_or("its vDSO is too large")?;
    let mut image = vec![0; length as usize];
    read(memory, begin, &mut image)?;
    Ok((begin, image))
}

fn read(memory: &File, at: u64, into: &mut [u8]) -> Result<(), Trouble> {
    memory.read_exact_at(into, at).map_err(|why| trouble(&why, "read"))
}

fn write(memory: &File, at: u64, bytes: &[u8]) -> Result<(), Trouble> {
    memory.write_all_at(bytes, at).map_err(|why| trouble(&why, "written"))
}

/// A read or write of nothing means that the program is another one by now.
fn trouble(why: &io::Error, done: &str) -> Trouble {
    match why.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::WriteZero => Trouble::AnotherProgram,
        _ => format!("its memory cannot be {done}: {why}").into(),
    }
}

fn put(image: &mut [u8], at: usize, bytes: &[u8]) -> Result<(), String> {
    let place = at.checked_add(bytes.len()).and_then(|end| image.get_mut(at..end));
    place.ok_or("its vDSO is cut short")?.copy_from_slice(bytes);
    Ok(())
}

/// The last page's end, after everything that the image holds.
fn free_place(image: &[u8], needed: usize) -> Result<usize, String> {
    let used = image.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    // What is described by the headers counts too, should it end in zeros.
    let described = u64_at(image, HEADER_SECTIONS)
        .zip(u16_at(image, HEADER_SECTION_COUNT))
        .map_or(0, |(at, count)| (at as usize).saturating_add(usize::from(count) * SECTION));
    let place = used.max(described).saturating_add(ALIGNMENT).next_multiple_of(ALIGNMENT);
    if place.saturating_add(needed) > image.len() {
        let free = image.len().saturating_sub(place);
        return Err(format!("its vDSO leaves {free} bytes free, {needed} are needed"));
    }
    Ok(place)
}

/// A symbol of the image.
#[derive(Debug, PartialEq, Eq)]
struct Symbol {
    name: String,
    /// Address relative to the image, which is linked at 0.
    value: u64,
    /// Where its entry lies in the image.
    at: usize,
}

// ELF-64, as the System V ABI lays it out.
const HEADER_SECTIONS: usize = 0x28;
const HEADER_SECTION_COUNT: usize = 0x3c;
const HEADER_SEGMENTS: usize = 0x20;
const HEADER_SEGMENT_COUNT: usize = 0x38;
const SECTION: usize = 64;
const SEGMENT: usize = 56;
const SEGMENT_DYNAMIC: u32 = 2;
const SYMBOL: usize = 24;
const VALUE: usize = 8;
const TAG_STRINGS: u64 = 5;
const TAG_SYMBOLS: u64 = 6;

/// The dynamic symbols. Their number is not told anywhere plainly; the linker puts
/// their names right behind them.
fn symbols(image: &[u8]) -> Result<Vec<Symbol>, String> {
    if !image.starts_with(b"\x7fELF\x02\x01") {
        return Err("its vDSO is no 64-bit ELF image: only 64-bit programs are supported".into());
    }
    let strange = || "its vDSO is laid out in a way that is not known".to_owned();
    let tag = |wanted| dynamic(image, wanted).ok_or_else(strange);
    let (table, strings) = (tag(TAG_SYMBOLS)?, tag(TAG_STRINGS)?);
    if table >= strings || strings > image.len() {
        return Err(strange());
    }
    let mut symbols = Vec::new();
    for at in (table..strings).step_by(SYMBOL) {
        let name = u32_at(image, at).ok_or_else(strange)? as usize;
        let text = image.get(strings + name..).ok_or_else(strange)?;
        let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
        let value = u64_at(image, at + VALUE).ok_or_else(strange)?;
        symbols.push(Symbol { name: String::from_utf8_lossy(text).into_owned(), value, at });
    }
    Ok(symbols)
}

/// The value of a tag in the dynamic segment.
fn dynamic(image: &[u8], wanted: u64) -> Option<usize> {
    let segments = u64_at(image, HEADER_SEGMENTS)? as usize;
    let count = usize::from(u16_at(image, HEADER_SEGMENT_COUNT)?);
    let segment = (0..count)
        .filter_map(|number| segments.checked_add(number * SEGMENT))
        .find(|&at| u32_at(image, at) == Some(SEGMENT_DYNAMIC))?;
    let (begin, length) = (u64_at(image, segment + 8)? as usize, u64_at(image, segment + 40)? as usize);
    let entries = (begin..begin.checked_add(length)?).step_by(16);
    let mut tagged = entries.filter(|&at| u64_at(image, at) == Some(wanted));
    Some(u64_at(image, tagged.next()? + 8)? as usize)
}

fn bytes_at<const N: usize>(image: &[u8], at: usize) -> Option<[u8; N]> {
    image.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u16_at(image: &[u8], at: usize) -> Option<u16> {
    bytes_at(image, at).map(u16::from_le_bytes)
}

fn u32_at(image: &[u8], at: usize) -> Option<u32> {
    bytes_at(image, at).map(u32::from_le_bytes)
}

fn u64_at(image: &[u8], at: usize) -> Option<u64> {
    bytes_at(image, at).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own_image() -> Vec<u8> {
        let pid = Pid::this();
        read_image(pid, &open(pid).unwrap()).unwrap().1
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_clock_functions_of_this_kernels_vdso_are_found_by_both_names() {
        let symbols = symbols(&own_image()).unwrap();
        for name in ["clock_gettime", "gettimeofday", "time"] {
            let value = |name: &str| symbols.iter().find(|symbol| symbol.name == name).unwrap().value;
            assert_eq!(value(name), value(&format!("{PREFIX}{name}")));
        }
    }

    #[test]
    fn a_full_page_is_refused_with_what_is_missing() {
        let mut image = own_image();
        let last = image.len() - 100;
        image[last] = 1;
        assert!(free_place(&image, 400).unwrap_err().contains("400 are needed"));
    }

    #[test]
    fn an_image_cut_anywhere_is_an_error_and_never_a_panic() {
        let image = own_image();
        for length in 0..image.len() {
            let _ = symbols(&image[..length]);
            let _ = free_place(&image[..length], 400);
        }
        for flipped in 0..2048.min(image.len()) {
            let mut image = image.clone();
            image[flipped] ^= 0xff;
            let _ = symbols(&image);
            let _ = free_place(&image, 400);
        }
    }
}
