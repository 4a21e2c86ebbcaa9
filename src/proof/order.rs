//! An order as a file of its own, read and written number by number: what explains a
//! history that is too long to be held.
//!
//! After a line that names the format, for each operation the difference between its
//! number and the successor of the one before it (0 at first), zigzag-coded, seven bits a
//! byte. Must not know which history it is about, nor where it lies.

use std::io::{self, BufRead, Write};

/// The first bytes of such a file.
pub const HEAD: &[u8] = b"rsm-check order 1\n";

/// Writes an order.
#[derive(Debug)]
pub struct OrderWriter<W> {
    to: W,
    expected: i64,
}

impl<W: Write> OrderWriter<W> {
    /// Writes the line that names the format.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin(mut to: W) -> io::Result<Self> {
        to.write_all(HEAD)?;
        Ok(Self { to, expected: 0 })
    }

    /// The order goes on with this operation.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn name(&mut self, number: u32) -> io::Result<()> {
        let step = i64::from(number) - self.expected;
        self.expected = i64::from(number) + 1;
        let mut rest = super::codec::zigzag(step);
        while rest >= 0x80 {
            self.to.write_all(&[rest as u8 | 0x80])?;
            rest >>= 7;
        }
        self.to.write_all(&[rest as u8])
    }

    /// Sees to it that all of it has left this process.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn end(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Reads an order.
#[derive(Debug)]
pub struct OrderReader<R> {
    from: R,
    expected: i64,
    /// Where the next number begins, in bytes.
    at: u64,
}

impl<R: BufRead> OrderReader<R> {
    /// Reads the line that names the format.
    ///
    /// # Errors
    /// It is another one, or nothing can be read; in words.
    pub fn begin(mut from: R) -> Result<Self, String> {
        let mut head = [0; HEAD.len()];
        match from.read_exact(&mut head) {
            Ok(()) if head == HEAD => Ok(Self { from, expected: 0, at: HEAD.len() as u64 }),
            Err(why) if why.kind() != io::ErrorKind::UnexpectedEof => Err(format!("cannot be read: {why}")),
            _ => Err("no order: it does not begin with the line `rsm-check order 1`, as what \
                      `check --stream --witness` writes does"
                .into()),
        }
    }

    /// The next number; `None` at the end.
    ///
    /// # Errors
    /// What is there is no number, or cannot be read; in words, with the place.
    pub fn next_number(&mut self) -> Result<Option<u32>, String> {
        let start = self.at;
        let at = |why: &str| format!("byte {start}: {why}");
        let mut coded = 0;
        for shift in (0..35).step_by(7) {
            let Some(byte) = self.byte().map_err(|why| format!("cannot be read: {why}"))? else {
                return if shift == 0 { Ok(None) } else { Err(at("it ends within a number")) };
            };
            coded |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                let number = u32::try_from(self.expected + super::codec::unzigzag(coded));
                let number = number.map_err(|_| at("a number is below 0 or above 4294967295"))?;
                self.expected = i64::from(number) + 1;
                return Ok(Some(number));
            }
        }
        Err(at("a number has more than five bytes"))
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.from.fill_buf() {
                Ok(bytes) => {
                    let Some(&byte) = bytes.first() else { return Ok(None) };
                    self.from.consume(1);
                    self.at += 1;
                    return Ok(Some(byte));
                }
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(why),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<u32>, String> {
        let mut reader = OrderReader::begin(bytes)?;
        let mut numbers = Vec::new();
        while let Some(number) = reader.next_number()? {
            numbers.push(number);
        }
        Ok(numbers)
    }

    #[test]
    fn what_is_no_order_is_refused_with_its_place() {
        let with = |bytes: &[u8]| read(&[HEAD, bytes].concat());
        assert_eq!(with(&[0, 2, 3]), Ok(vec![0, 2, 1]));
        for (bytes, says) in [
            (&[0, 3][..], "byte 19: a number is below 0"),
            (&[0x80], "byte 18: it ends within a number"),
            (&[0xff; 5], "byte 18: a number has more than five bytes"),
        ] {
            let why = with(bytes).unwrap_err();
            assert!(why.contains(says), "{why}");
        }
        for foreign in [&b""[..], b"{}", b"rsm-check order 2\n"] {
            assert!(read(foreign).unwrap_err().contains("no order"));
        }
    }

    proptest! {
        #[test]
        fn any_order_comes_back(order in proptest::collection::vec(any::<u32>(), 0..200)) {
            let mut file = Vec::new();
            let mut writer = OrderWriter::begin(&mut file).unwrap();
            order.iter().for_each(|&number| writer.name(number).unwrap());
            writer.end().unwrap();
            prop_assert_eq!(read(&file).unwrap(), order);
        }

        #[test]
        fn no_bytes_whatever_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = read(&[HEAD, &bytes].concat());
        }
    }
}
