//! Text from outside, made fit to be shown.
//!
//! Account names, replies, log lines and file contents come from programs under
//! test. Markup is escaped where it is written (maud, quick-junit); here go the
//! characters that mislead the eye or a terminal whatever surrounds them.

/// Without control characters and those that turn the direction of writing
/// around; line breaks and tabs stay.
pub fn clean(text: &str) -> String {
    text.chars().map(|letter| if misleads(letter) { '\u{fffd}' } else { letter }).collect()
}

fn misleads(letter: char) -> bool {
    let control = letter.is_control() && letter != '\n' && letter != '\t';
    control || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The same on one line.
pub fn one_line(text: &str) -> String {
    let blank = |letter: char| if letter.is_control() { ' ' } else { letter };
    clean(&text.chars().map(blank).collect::<String>())
}

/// At most `most` characters, and a sign that there was more.
pub fn shorten(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_misleads_is_replaced_and_what_is_long_is_cut() {
        assert_eq!(clean("a\u{1b}[2J\u{202e}b\n"), "a\u{fffd}[2J\u{fffd}b\n");
        assert_eq!(one_line("a\nb\u{7}"), "a b ");
        assert_eq!((shorten("äöü", 2).as_str(), shorten("äöü", 3).as_str()), ("äö...", "äöü"));
    }
}
