//! Texts in YAML: which may stand as they are, and how to quote the others.

use std::fmt::Write;

/// Whether a text may be a line of a literal block, so that trimming and line breaks leave it alone.
pub(super) fn fits_a_line(text: &str) -> bool {
    let edge = |c: char| c == ' ' || c == '\t';
    !text.is_empty() && !text.starts_with(edge) && !text.ends_with(edge) && text.chars().all(is_plain)
}

/// A name or value: as it is where no reader can misunderstand it, else in double quotes.
pub(super) fn scalar(text: &str) -> String {
    const TYPED: [&str; 10] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan"];
    let simple = text.starts_with(char::is_alphabetic)
        && text.chars().all(|c| is_plain(c) && (c.is_alphanumeric() || "_-+./".contains(c)))
        && !TYPED.iter().any(|typed| typed.eq_ignore_ascii_case(text));
    if simple { text.to_owned() } else { quoted(text) }
}

/// A text in double quotes, on one line.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if is_plain(c) => quoted.push(c),
            // What is not plain has four digits at most.
            c => drop(write!(quoted, "\\u{:04x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether YAML takes a character as it is, everywhere, and never for a line break.
fn is_plain(c: char) -> bool {
    match c {
        '\t' | ' '..='~' => true,
        '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => false,
        c => c >= '\u{a0}',
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_safe_names_go_without_quotes() {
        for plain in ["greet", "ask_time", "größe", "a+b", "query.hotel", "挨拶", "x-1"] {
            assert_eq!(scalar(plain), plain);
        }
        for odd in ["", "yes", "Null", "5", "-", "a b", "a: b", "#x", "a\"b", "[a]", "é\n", "1e5", "_"] {
            assert!(scalar(odd).starts_with('"'), "{odd}");
        }
    }

    #[test]
    fn edges_and_control_characters_need_quotes() {
        for text in ["", " a", "a ", "a\tb\t", "a\nb", "a\u{85}b", "\u{7f}", "a\u{2028}b", "\u{feff}a", "\0"]
        {
            assert!(!fits_a_line(text), "{text:?}");
        }
        for text in ["a", "- a", "a\tb", "# x", "a: b", "\u{a0}a", "👍", "[", "\"", "%", "'", "@"] {
            assert!(fits_a_line(text), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_quoted_comes_back(text in any::<String>()) {
            prop_assert_eq!(serde_saphyr::from_str::<String>(&quoted(&text)).unwrap(), text);
        }

        #[test]
        fn control_characters_come_back(text in "[\\x00-\\x20\u{7f}-\u{a1}\u{2028}\u{feff}\u{1ffff}\"\\\\a]{0,9}") {
            prop_assert_eq!(serde_saphyr::from_str::<String>(&quoted(&text)).unwrap(), text);
        }
    }
}
