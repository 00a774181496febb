//! Which runs of characters are words, and how their spelling is made equal.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::{NGramConfig, StripAccents};
use crate::text::lower_case_from;

impl NGramConfig {
    /// Numbers, case and accents made equal.
    pub(super) fn fold(&self, token: &str) -> String {
        let mut folded = String::with_capacity(token.len());
        self.fold_into(token, &mut folded);
        folded
    }

    /// Appends the same.
    pub(super) fn fold_into(&self, token: &str, out: &mut String) {
        let start = out.len();
        fold_numbers(token, out);
        if self.lowercase {
            lower_case_from(out, start);
        }
        let Some(strip) = self.strip_accents.filter(|_| !out[start..].is_ascii()) else { return };
        let letters = out[start..].nfkd();
        let stripped: String = match strip {
            StripAccents::Unicode => letters.filter(|c| !is_combining_mark(*c)).collect(),
            StripAccents::Ascii => letters.filter(char::is_ascii).collect(),
        };
        out.replace_range(start.., &stripped);
    }
}

fn is_word(c: char) -> bool {
    regex_syntax::try_is_word_character(c).unwrap_or_else(|_| c.is_alphanumeric())
}

/// Runs of letters, digits, marks and `_`.
pub(super) fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !is_word(c)).filter(|word| !word.is_empty())
}

/// Appends a token, of which every word that is all ASCII digits becomes `__NUMBER__`.
fn fold_numbers(token: &str, out: &mut String) {
    if !token.bytes().any(|byte| byte.is_ascii_digit()) {
        out.push_str(token);
        return;
    }
    let mut rest = token;
    while !rest.is_empty() {
        let in_word = rest.starts_with(is_word);
        let end = rest.find(|c| is_word(c) != in_word).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        let number = in_word && part.bytes().all(|byte| byte.is_ascii_digit());
        out.push_str(if number { "__NUMBER__" } else { part });
        rest = after;
    }
}
