//! Cuts up writing that puts no blanks between words.
//!
//! Chinese, Japanese, Thai, Lao, Khmer and Burmese leave a whole clause between two blanks. Finding
//! their words takes a dictionary; a self-attention model does well with less. So a token is cut where
//! the script changes, and each extended grapheme cluster (what a reader takes for one letter,
//! [UAX 29](https://www.unicode.org/reports/tr29/)) of these scripts becomes a token of its own. Katakana
//! spells loan words, which belong together, and Latin words and numbers inside stay whole as well.
//!
//! Nothing gets lost: the pieces of a token, put side by side, are the token.

use unicode_segmentation::UnicodeSegmentation;

use super::Span;
use super::scan::is_word_character;

/// What a grapheme cluster does with its neighbours of the same kind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Han, Hiragana, Thai, Lao, Khmer, Myanmar: each cluster stands alone.
    Alone,
    /// Katakana with its long-vowel mark: neighbours join.
    Katakana,
    /// Marks between clauses, brackets, full-width punctuation: neighbours join.
    Punctuation,
    /// Every other writing, and digits: neighbours join.
    Word,
}

/// Below stand the alphabets of Europe, the Middle East and India: nothing to look up.
const FIRST_WITHOUT_BLANKS: char = '\u{e01}';

/// Appends the pieces of the token `span` of `text` to `pieces`.
pub(super) fn split(text: &str, span: Span, pieces: &mut Vec<Span>) {
    let token = span.of(text);
    if token.chars().all(|c| c < FIRST_WITHOUT_BLANKS || kind_of(c) == Kind::Word) {
        pieces.push(span);
        return;
    }
    let mut open: Option<(Span, Kind)> = None;
    for (at, cluster) in token.grapheme_indices(true) {
        let kind = cluster.chars().next().map_or(Kind::Word, kind_of);
        let here = Span::new(span.start + at, span.start + at + cluster.len());
        open = Some(match open {
            Some((piece, same)) if same == kind && kind != Kind::Alone => {
                (Span::new(piece.start, here.end), kind)
            }
            before => {
                pieces.extend(before.map(|(piece, _)| piece));
                (here, kind)
            }
        });
    }
    pieces.extend(open.map(|(piece, _)| piece));
}

/// Whether `c` can only go on with the cluster before it: a combining mark, a joiner, an emoji modifier.
pub(super) fn continues_cluster(c: char) -> bool {
    if c.is_ascii() {
        return false;
    }
    let mut bytes = [b'x'; 5];
    let end = 1 + c.encode_utf8(&mut bytes[1..]).len();
    std::str::from_utf8(&bytes[..end]).is_ok_and(|pair| pair.graphemes(true).count() == 1)
}

/// The kind of a cluster that begins with `c`. Ranges are Unicode blocks, narrowed to their letters.
fn kind_of(c: char) -> Kind {
    match c {
        // Thai without ฿, Lao, Myanmar and its extensions, Khmer. Their digits form numbers.
        '\u{e01}'..='\u{e3a}'
        | '\u{e40}'..='\u{eff}'
        | '\u{1000}'..='\u{109f}'
        | '\u{1780}'..='\u{17ff}'
        | '\u{a9e0}'..='\u{a9ff}'
        | '\u{aa60}'..='\u{aa7f}' => {
            if c.is_numeric() {
                Kind::Word
            } else {
                Kind::Alone
            }
        }
        // Katakana, its phonetic extensions, its half-width forms.
        '\u{30a1}'..='\u{30fa}'
        | '\u{30fc}'..='\u{30ff}'
        | '\u{31f0}'..='\u{31ff}'
        | '\u{ff66}'..='\u{ff9f}' => Kind::Katakana,
        // Han radicals, 々〆〇, Hangzhou numerals, Hiragana, Han and its compatibility and later planes.
        '\u{2e80}'..='\u{2fdf}'
        | '\u{3005}'..='\u{3007}'
        | '\u{3021}'..='\u{3029}'
        | '\u{3038}'..='\u{303c}'
        | '\u{3041}'..='\u{309f}'
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{1b000}'..='\u{1b16f}'
        | '\u{20000}'..='\u{3ffff}' => Kind::Alone,
        '\u{3000}'..='\u{303f}' | '\u{30a0}' | '\u{30fb}' | '\u{ff00}'..='\u{ff65}'
            if !is_word_character(c) =>
        {
            Kind::Punctuation
        }
        _ => Kind::Word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pieces(token: &str) -> Vec<&str> {
        let mut spans = Vec::new();
        split(token, Span::new(0, token.len()), &mut spans);
        spans.into_iter().map(|span| span.of(token)).collect()
    }

    #[test]
    fn cuts_where_the_script_changes() {
        let table: &[(&str, &[&str])] = &[
            ("state-of-the-art", &["state-of-the-art"]),
            ("नमस्ते", &["नमस्ते"]),
            ("안녕하세요", &["안녕하세요"]),
            ("東京タワーへ", &["東", "京", "タワー", "へ"]),
            ("ｶﾞｲﾄﾞ付き", &["ｶﾞｲﾄﾞ", "付", "き"]),
            ("か\u{3099}く", &["か\u{3099}", "く"]),
            ("3月5日iPhone15を", &["3", "月", "5", "日", "iPhone15", "を"]),
            ("人々〇〆", &["人", "々", "〇", "〆"]),
            ("価格：100円", &["価", "格", "：", "100", "円"]),
            ("「5", &["「", "5"]),
            ("สวัสดี", &["ส", "วั", "ส", "ดี"]),
            ("ราคา๑๒๓บาท", &["ร", "า", "ค", "า", "๑๒๓", "บ", "า", "ท"]),
            ("ສະບາຍດີ", &["ສ", "ະ", "ບ", "າ", "ຍ", "ດີ"]),
            ("𠮷野家", &["𠮷", "野", "家"]),
            ("葛\u{e0100}城", &["葛\u{e0100}", "城"]),
        ];
        for (token, wanted) in table {
            assert_eq!(&pieces(token), wanted, "{token}");
        }
    }

    #[test]
    fn knows_what_leans_on_the_character_before() {
        for c in ['\u{301}', '\u{200d}', '\u{fe0f}', '🏻', 'ำ', '\u{3099}', '\u{93f}'] {
            assert!(continues_cluster(c), "{c:?}");
        }
        for c in ['a', '5', '語', 'ー', '👍', '🇩', 'é', '\u{600}'] {
            assert!(!continues_cluster(c), "{c:?}");
        }
    }

    proptest! {
        #[test]
        fn the_pieces_are_the_token_and_keep_clusters_whole(
            token in "[a-c5%。：ー々ァ-ンぁ-ん一-十ก-๛ກ-ໜក-៹က-႟\u{301}\u{3099}\u{200d}👍🏻]{1,16}",
        ) {
            let found = pieces(&token);
            prop_assert_eq!(found.concat(), token.as_str());
            let borders: Vec<usize> = token.grapheme_indices(true).map(|(at, _)| at).collect();
            let mut at = 0;
            for piece in found {
                prop_assert!(!piece.is_empty() && borders.contains(&at));
                at += piece.len();
            }
        }
    }
}
