//! What a message shows of a text that may be of any length.
//!
//! A refusal quotes what was found, and what was found may fill the whole file. Must not
//! know whose text it is.

use std::borrow::Cow;

/// The text, or where it has more than `most` characters its beginning and its end: what
/// is wrong stands at the one, what would be accepted often at the other.
pub fn excerpt(text: &str, most: usize) -> Cow<'_, str> {
    let letters = text.chars().count();
    if letters <= most {
        return text.into();
    }
    let half = most.saturating_sub(3) / 2;
    let place = |letter: usize| text.char_indices().nth(letter).map_or(text.len(), |(at, _)| at);
    format!("{}...{}", &text[..place(half)], &text[place(letters - half)..]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_long_text_is_left_out() {
        assert_eq!(excerpt("short", 5), "short");
        assert_eq!(excerpt("\u{e9}23456789\u{e9}", 7), "\u{e9}2...9\u{e9}");
        assert_eq!(excerpt("123456", 0), "...");
        assert_eq!(excerpt(&"x".repeat(1 << 20), 100).len(), 99);
    }
}
