//! `rsm-check convert`: a history in another format.
//!
//! Line by line, so that a history of any length fits. Judges nothing; only what is
//! no history at all is refused.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;

use super::Failure;
use super::args::{ConvertArgs, Format};
use super::input::{Input, Told};
use crate::history::formats;
use crate::history::formats::write::{Converter, Target, WriteError};
use crate::verdict::Exit;

pub(super) fn convert(args: &ConvertArgs) -> Result<Exit, Failure> {
    let inside = args.input.join("history.jsonl");
    let input = Input::open(if args.input.is_dir() { &inside } else { &args.input }, args.quiet)?;
    match &args.out {
        None => transfer(args, input, BufWriter::new(io::stdout().lock())),
        Some(path) => {
            let file = create(path)?;
            let done = transfer(args, input, BufWriter::new(file));
            if done.is_err() {
                // Half a history would be taken for a whole one; the failure is told anyway.
                let _ = std::fs::remove_file(path);
            }
            done
        }
    }
}

/// The input may be the file that is named: nothing is ever overwritten.
fn create(path: &Path) -> Result<File, Failure> {
    File::create_new(path).map_err(|why| match why.kind() {
        ErrorKind::AlreadyExists => {
            Failure::bad_input(format!("--out {}: it exists, and nothing is overwritten", path.display()))
        }
        _ => Failure::bad_input(format!("--out {}: cannot be created: {why}", path.display())),
    })
}

fn transfer(args: &ConvertArgs, input: Input, out: impl Write) -> Result<Exit, Failure> {
    let (from, told) = input.split();
    let mut lines = formats::lines(from).map_err(|why| told.refused(&why))?;
    let mut converter = Converter::new(target(args.to), out);
    for line in &mut lines {
        let (number, text) = line.map_err(|why| told.refused(&why))?;
        match converter.line(&text) {
            Ok(()) => {}
            Err(WriteError::Malformed(reason)) => return Err(told.refused_line(number, &reason)),
            Err(WriteError::Io(why)) => return unwritable(&told, why),
        }
    }
    told.done();
    lines.warnings().iter().for_each(|warning| told.warn(args.quiet, warning));
    match converter.finish() {
        Ok(0) => Ok(Exit::Pass),
        Ok(count) => {
            told.warn(
                args.quiet,
                &format!("{count} lines are not by clients and have no place in such events"),
            );
            Ok(Exit::Pass)
        }
        Err(why) => unwritable(&told, why),
    }
}

/// A reader that has gone away is no failure of ours.
fn unwritable(told: &Told, why: io::Error) -> Result<Exit, Failure> {
    told.done();
    if why.kind() == ErrorKind::BrokenPipe {
        return Ok(Exit::Pass);
    }
    Err(Failure::infra(format!("the output cannot be written: {why}")))
}

fn target(format: Format) -> Target {
    match format {
        Format::Jsonl => Target::Jsonl,
        Format::Edn => Target::Edn,
        Format::Porcupine => Target::Porcupine,
    }
}
