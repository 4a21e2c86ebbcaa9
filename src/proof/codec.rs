//! How an order is written as a text: what differs from counting upwards, as
//! variable-length numbers, deflated, in base64.
//!
//! An order is nearly the identity, so most numbers follow the one before them and
//! become a byte 0. Unpacking takes no more memory than an order of the history at
//! hand needs, whatever the text says. Must not know what is ordered.

use std::io::{BufReader, Bytes, Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

/// Packs an order.
pub(super) fn encode(order: &[u32]) -> String {
    let mut bytes = Vec::with_capacity(order.len());
    let mut expected = 0;
    for &number in order {
        varint(&mut bytes, zigzag(i64::from(number) - expected));
        expected = i64::from(number) + 1;
    }
    let mut packer = DeflateEncoder::new(Vec::new(), Compression::best());
    // Writing into memory cannot fail; if it did, the proof would not decode and be refused.
    let packed = packer.write_all(&bytes).and_then(|()| packer.finish()).unwrap_or_default();
    STANDARD.encode(packed)
}

/// Unpacks orders of altogether at most `most` numbers. One number more is taken, and
/// what comes after it left: such orders list something twice or what does not exist,
/// so whoever looks at them refuses them all the same.
pub(super) fn decode_all(texts: &[String], most: usize) -> Result<Vec<Vec<u32>>, String> {
    let mut room = most.saturating_add(1);
    let mut orders = Vec::new();
    for (at, text) in texts.iter().enumerate() {
        let order = decode(text, room).map_err(|why| format!("order {at} of `witness`: {why}"))?;
        room -= order.len();
        orders.push(order);
    }
    Ok(orders)
}

fn decode(text: &str, room: usize) -> Result<Vec<u32>, String> {
    let packed = STANDARD.decode(text).map_err(|why| format!("no base64: {why}"))?;
    let mut bytes = BufReader::new(DeflateDecoder::new(packed.as_slice())).bytes();
    let (mut order, mut expected) = (Vec::new(), 0i64);
    while order.len() < room {
        let Some(step) = next_varint(&mut bytes)? else { break };
        let number = expected.checked_add(unzigzag(step)).and_then(|number| u32::try_from(number).ok());
        let number = number.ok_or("a number is below 0 or above 4294967295")?;
        order.push(number);
        expected = i64::from(number) + 1;
    }
    Ok(order)
}

pub(super) fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

pub(super) fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
fn varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// `None` at the end.
fn next_varint(bytes: &mut Bytes<impl Read>) -> Result<Option<u64>, String> {
    let mut number = 0;
    for shift in (0..35).step_by(7) {
        let byte = match bytes.next() {
            Some(byte) => byte.map_err(|why| format!("not deflated: {why}"))?,
            None if shift == 0 => return Ok(None),
            None => return Err("it ends within a number".into()),
        };
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(Some(number));
        }
    }
    Err("a number has more than five bytes".into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn through(order: &[u32]) -> Vec<u32> {
        decode(&encode(order), order.len() + 1).unwrap()
    }

    #[test]
    fn the_identity_takes_nearly_nothing() {
        let order: Vec<u32> = (0..100_000).collect();
        assert_eq!(through(&order), order);
        assert!(encode(&order).len() < 400, "{}", encode(&order).len());
    }

    #[test]
    fn a_small_text_that_unpacks_to_very_much_is_read_only_as_far_as_there_is_room() {
        let text = encode(&(0..1_000_000).collect::<Vec<u32>>());
        assert!(text.len() < 4000);
        let orders = decode_all(&[text.clone(), text], 10).unwrap();
        assert_eq!((orders[0].len(), orders[1].len()), (11, 0));
    }

    #[test]
    fn what_is_packed_in_no_known_way_is_refused() {
        let packed = |bytes: &[u8]| {
            let mut packer = DeflateEncoder::new(Vec::new(), Compression::best());
            packer.write_all(bytes).unwrap();
            STANDARD.encode(packer.finish().unwrap())
        };
        assert_eq!(decode(&packed(&[0, 2]), 9), Ok(vec![0, 2]));
        for (bytes, says) in
            [(&[1u8][..], "below 0"), (&[0x80], "within a number"), (&[0xff; 5], "five bytes")]
        {
            let why = decode(&packed(bytes), 9).unwrap_err();
            assert!(why.contains(says), "{why}");
        }
        assert!(decode("?", 9).unwrap_err().contains("no base64"));
        assert!(decode("////", 9).unwrap_err().contains("not deflated"));
    }

    proptest! {
        #[test]
        fn any_order_comes_back(order in proptest::collection::vec(any::<u32>(), 0..200)) {
            prop_assert_eq!(through(&order), order);
        }

        #[test]
        fn no_text_whatever_makes_it_panic(text in "[A-Za-z0-9+/=]{0,80}", room in 0usize..50) {
            if let Ok(order) = decode(&text, room) {
                prop_assert!(order.len() <= room);
            }
        }
    }
}
