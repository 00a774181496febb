//! Which runs of characters are words, and how their spelling is made equal.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::{NGramConfig, StripAccents};
use crate::text::lower_case;

impl NGramConfig {
    /// Numbers, case and accents made equal.
    pub(super) fn fold<'t>(&self, token: &'t str) -> Cow<'t, str> {
        let mut text = fold_numbers(token);
        if self.lowercase
            && let Cow::Owned(low) = lower_case(&text)
        {
            text = Cow::Owned(low);
        }
        match self.strip_accents {
            Some(_) if text.is_ascii() => text,
            Some(StripAccents::Unicode) => text.nfkd().filter(|c| !is_combining_mark(*c)).collect(),
            Some(StripAccents::Ascii) => text.nfkd().filter(char::is_ascii).collect(),
            None => text,
        }
    }
}

fn is_word(c: char) -> bool {
    regex_syntax::try_is_word_character(c).unwrap_or_else(|_| c.is_alphanumeric())
}

/// Runs of letters, digits, marks and `_`.
pub(super) fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !is_word(c)).filter(|word| !word.is_empty())
}

/// Every word that is all ASCII digits becomes `__NUMBER__`.
fn fold_numbers(token: &str) -> Cow<'_, str> {
    if !token.bytes().any(|byte| byte.is_ascii_digit()) {
        return Cow::Borrowed(token);
    }
    let mut out = String::with_capacity(token.len());
    let mut rest = token;
    while !rest.is_empty() {
        let in_word = rest.starts_with(is_word);
        let end = rest.find(|c| is_word(c) != in_word).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        let number = in_word && part.bytes().all(|byte| byte.is_ascii_digit());
        out.push_str(if number { "__NUMBER__" } else { part });
        rest = after;
    }
    Cow::Owned(out)
}
