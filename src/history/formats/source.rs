//! Takes compression off a stream, told by its first bytes.
//!
//! Everything is decoded as it is asked for: what inflates without end is stopped
//! by whoever counts the bytes of a line. Must not know what the bytes mean.

use std::io::{self, BufRead, BufReader, Cursor, Error, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::head;
use crate::history::read::Failure;

const CHUNK: usize = 1 << 18;
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// A zstd frame may ask for a window of this many bytes; `zstd --long` up to 27 does.
const WINDOW: u64 = 128 << 20;

/// The stream as it was before it was compressed with gzip or zstd; any other
/// stream as it is.
///
/// # Errors
/// The stream fails, or is a broken archive.
pub fn decompressed<'a>(from: impl Read + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
    let mut from = BufReader::with_capacity(CHUNK, from);
    let seen = head(&mut from, |seen| seen.len() >= ZSTD.len()).map_err(|failure| match failure {
        Failure::Io(why) => why,
        Failure::Malformed(why) => Error::other(why),
    })?;
    let (gzip, zstd) = (seen.starts_with(GZIP), seen.starts_with(ZSTD) || is_skippable(&seen));
    let whole = Cursor::new(seen).chain(from);
    Ok(if gzip {
        Box::new(BufReader::with_capacity(CHUNK, Named("gzip", MultiGzDecoder::new(whole))))
    } else if zstd {
        Box::new(BufReader::with_capacity(CHUNK, Named("zstd", Zstd::new(whole))))
    } else {
        Box::new(whole)
    })
}

/// Parallel compressors begin with a frame that holds no data.
fn is_skippable(seen: &[u8]) -> bool {
    matches!(seen, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// Says which decoder an error comes from.
struct Named<R>(&'static str, R);

impl<R: Read> Read for Named<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1.read(buffer).map_err(|why| Error::new(why.kind(), format!("broken {} data: {why}", self.0)))
    }
}

/// All frames of a zstd stream, one after another, with their checksums verified.
struct Zstd<R> {
    from: R,
    decoder: FrameDecoder,
    within: bool,
}

impl<R: BufRead> Zstd<R> {
    fn new(from: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW);
        Self { from, decoder, within: false }
    }

    /// Begins the next frame that holds data; `false` at the end.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.from.fill_buf()?.is_empty() {
            match self.decoder.init(&mut self.from) {
                Ok(()) => {
                    self.within = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => self.skip(u64::from(length))?,
                Err(why) => return Err(Error::other(why)),
            }
        }
        Ok(false)
    }

    fn skip(&mut self, length: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.from.by_ref().take(length), &mut io::sink())?;
        if skipped < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn end(&mut self) -> io::Result<()> {
        self.within = false;
        let (stored, computed) =
            (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum());
        match (stored, computed) {
            (Some(stored), Some(computed)) if stored != computed => {
                Err(Error::other("the checksum does not agree with the data"))
            }
            _ => Ok(()),
        }
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.within && !self.begin()? {
                return Ok(0);
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                self.decoder
                    .decode_blocks(&mut self.from, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(Error::other)?;
            }
            match self.decoder.read(buffer)? {
                0 if self.decoder.is_finished() && self.decoder.can_collect() == 0 => self.end()?,
                count => return Ok(count),
            }
        }
    }
}
