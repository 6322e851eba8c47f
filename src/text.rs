//! Shortens texts from clients and files, so that messages and records stay bounded.

use std::borrow::Cow;

/// Returns the first `max_chars` characters of `text`, or all of it.
#[must_use]
pub fn truncate(text: &str, max_chars: usize) -> &str {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// Returns `text` without the byte order mark with which some editors and libraries begin a text in UTF-8.
#[must_use]
pub fn without_bom(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// Returns `text` without a byte order mark, as [`without_bom`] does.
#[must_use]
pub fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Returns `text`, or its first `max_chars` characters and `…` if it is longer.
#[must_use]
pub fn ellipsize(text: &str, max_chars: usize) -> Cow<'_, str> {
    let start = truncate(text, max_chars);
    if start.len() == text.len() {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("{start}…"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters_and_only_if_they_are_longer() {
        for (text, max_chars, start, shown) in [
            ("", 0, "", ""),
            ("abc", 3, "abc", "abc"),
            ("abcd", 3, "abc", "abc…"),
            ("äöü", 2, "äö", "äö…"),
            ("äöü", 3, "äöü", "äöü"),
            ("a", 0, "", "…"),
        ] {
            assert_eq!(truncate(text, max_chars), start, "{text:?}");
            assert_eq!(ellipsize(text, max_chars), shown, "{text:?}");
        }
    }
}
