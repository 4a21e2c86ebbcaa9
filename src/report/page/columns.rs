//! Numbers as bytes: LEB128 columns behind a head of JSON, deflated, in base64.
//!
//! The page decodes the same with `DecompressionStream`. A column of a hundred
//! thousand times or outcomes takes a fraction of what its text would. Must not know
//! what is in a column.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde_json::{Map, Value, json};

/// One column under way.
#[derive(Debug, Default)]
pub struct Column {
    bytes: Vec<u8>,
    last: i128,
}

impl Column {
    /// A number as it is.
    pub fn put(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    /// A number with a sign, zigzag-coded.
    pub fn put_signed(&mut self, number: i64) {
        self.put(((number << 1) ^ (number >> 63)) as u64);
    }

    /// The difference from the number before; 0 comes before the first. What does not
    /// fit is cut to the greatest difference that does.
    pub fn put_step(&mut self, number: u64) {
        let step = i128::from(number) - self.last;
        let step = step.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
        self.last += step;
        self.put_signed(step as i64);
    }
}

/// Named columns behind a head.
#[derive(Debug, Default)]
pub struct Columns {
    lengths: Map<String, Value>,
    bytes: Vec<u8>,
}

impl Columns {
    /// Adds a column; names are given once.
    pub fn add(&mut self, name: &str, column: Column) {
        self.lengths.insert(name.into(), json!([self.bytes.len(), column.bytes.len()]));
        self.bytes.extend(column.bytes);
    }

    /// The text that the page decodes: four bytes with the length of the head, the
    /// head, the columns; deflated, in base64.
    pub fn pack(self, mut head: Map<String, Value>) -> String {
        head.insert("columns".into(), Value::Object(self.lengths));
        let head = Value::Object(head).to_string();
        let length = u32::try_from(head.len()).unwrap_or(u32::MAX).to_le_bytes();
        let mut packer = DeflateEncoder::new(Vec::new(), Compression::default());
        let parts = [&length[..], head.as_bytes(), &self.bytes];
        // Writing into memory cannot fail; if it did, the page says that it cannot decode.
        let written = parts.iter().try_for_each(|part| packer.write_all(part));
        STANDARD.encode(written.and_then(|()| packer.finish()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn head_and_columns_come_back_as_they_were() {
        let mut column = Column::default();
        [5, 3, 1_000_000].into_iter().for_each(|number| column.put_step(number));
        column.put_signed(i64::MIN);
        let mut columns = Columns::default();
        columns.add("time", column);
        let text = columns.pack(Map::from_iter([("name".into(), json!("</script>"))]));
        assert!(!text.contains('<'));
        let mut bytes = Vec::new();
        flate2::read::DeflateDecoder::new(STANDARD.decode(text).unwrap().as_slice())
            .read_to_end(&mut bytes)
            .unwrap();
        let length = u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize;
        let head: Value = serde_json::from_slice(&bytes[4..4 + length]).unwrap();
        assert_eq!((&head["name"], &head["columns"]["time"]), (&json!("</script>"), &json!([0, 15])));
        assert_eq!(bytes[4 + length..][..2], [10, 3], "5, then 2 less");
    }
}
