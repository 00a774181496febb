//! One pass over a text that finds the words between the blanks and the punctuation.
//!
//! Rasa describes its words by a regular expression whose every match turns into a blank. Three
//! alternatives are tried in this order at each character from left to right, and the first that matches
//! wins. With `loose` for a character that is no word character and none of `# @ &`, and `exotic` for one
//! that is no word character and none of the URL characters `. _ ~ : / ? # [ ] ( ) @ ! $ & * + , ; = -`:
//!
//! 1. a run of loose characters before a blank or the end: `what?!` → `what`;
//! 2. the start or a blank, then a run of loose characters before something that is neither a digit nor
//!    a blank: `"quoted` → `quoted`, but `$5` and `-3` keep their sign;
//! 3. a run of exotic characters between two characters that are each neither a digit nor a blank:
//!    `don't` → `don`, `t`, while `a/b`, `me@mail.org` and `10'000` stay whole.
//!
//! Runs are greedy and give characters back until what follows them fits. Tried literally, that costs a
//! quadratic number of steps on a long row of `!`. Instead, note that a blank is loose and an exotic
//! character is loose, hence every match lies inside one longest run of loose characters, and what
//! happens in there depends on four facts only: where the run ends, where its last blank and its last
//! character are, and whether digits touch it. [`Run`] gathers them once, so the scan is linear. The
//! literal version lives in the tests, as the yardstick.
//!
//! "Word character" is `\w` of [UTS 18](https://www.unicode.org/reports/tr18/#Compatibility_Properties),
//! which counts combining marks and joiners; a digit is one of `0` to `9`.

use super::Span;

/// The spans of the words of `text`, in order.
pub(super) fn words(text: &str) -> Vec<Span> {
    let mut cutter = Cutter { text, words: Vec::with_capacity(text.len() / 6 + 1), word_start: 0 };
    let mut at = 0;
    while let Some(run) = Run::find(text, at) {
        cutter.cut_run(&run);
        at = run.end;
    }
    cutter.end_word(text.len());
    cutter.words
}

/// Neither a word character nor one of `# @ &`.
const LOOSE: u8 = 1;
/// Neither a word character nor one that URLs are made of. Exotic characters are loose.
const EXOTIC: u8 = 2;
/// White space. Blanks are loose and exotic.
const BLANK: u8 = 4;

const ASCII_CLASSES: [u8; 128] = {
    let mut classes = [0; 128];
    let mut byte = 0_u8;
    while byte < 128 {
        classes[byte as usize] = ascii_class(byte);
        byte += 1;
    }
    classes
};

const fn ascii_class(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_' | b'#' | b'@' | b'&' => 0,
        b'\t'..=b'\r' | b' ' => LOOSE | EXOTIC | BLANK,
        b'.' | b'~' | b':' | b'/' | b'?' | b'[' | b']' | b'(' | b')' | b'!' | b'$' | b'*' | b'+' | b','
        | b';' | b'=' | b'-' => LOOSE,
        _ => LOOSE | EXOTIC,
    }
}

fn wide_class(c: char) -> u8 {
    if c.is_whitespace() {
        LOOSE | EXOTIC | BLANK
    } else if is_word_character(c) {
        0
    } else {
        LOOSE | EXOTIC
    }
}

/// Whether `\w` matches, with all of Unicode in view.
pub(super) fn is_word_character(c: char) -> bool {
    regex_syntax::try_is_word_character(c).expect("regex-syntax is built with its `unicode-perl` tables")
}

/// Class and width in bytes of the character that begins at byte `at`, or `None` at the end.
#[inline]
fn class_at(text: &str, at: usize) -> Option<(u8, usize)> {
    let first = *text.as_bytes().get(at)?;
    if first.is_ascii() {
        return Some((ASCII_CLASSES[usize::from(first)], 1));
    }
    let c = text[at..].chars().next()?;
    Some((wide_class(c), c.len_utf8()))
}

/// A longest run of loose characters, and all that the three alternatives ask about it.
struct Run {
    start: usize,
    end: usize,
    /// Where its last character begins.
    last: usize,
    /// Where its last blank ends, if it has one.
    after_blank: Option<usize>,
}

impl Run {
    /// The next run that begins at byte `from` or later.
    fn find(text: &str, from: usize) -> Option<Self> {
        let mut start = from;
        loop {
            let (class, width) = class_at(text, start)?;
            if class & LOOSE != 0 {
                return Some(Self::measure(text, start));
            }
            start += width;
        }
    }

    fn measure(text: &str, start: usize) -> Self {
        let mut run = Self { start, end: start, last: start, after_blank: None };
        while let Some((class, width)) = class_at(text, run.end)
            && class & LOOSE != 0
        {
            run.last = run.end;
            run.end += width;
            if class & BLANK != 0 {
                run.after_blank = Some(run.end);
            }
        }
        run
    }
}

/// Cuts ranges out of a text; what stays between two cuts is a word.
struct Cutter<'a> {
    text: &'a str,
    words: Vec<Span>,
    word_start: usize,
}

impl Cutter<'_> {
    /// Cuts what the three alternatives match inside `run`, and its blanks.
    fn cut_run(&mut self, run: &Run) {
        if run.end == self.text.len() {
            self.cut(run.start, run.end); // alternative 1, up to the end of the text
        } else if let Some(after_blank) = run.after_blank {
            self.cut(run.start, after_blank); // alternative 1, up to the last blank
            self.cut_before_word(run, after_blank);
        } else if run.start == 0 {
            self.cut_before_word(run, 0);
        } else {
            self.cut_inside_word(run);
        }
    }

    /// Alternative 2 on the characters `from..run.end`, which stand between a blank and a word.
    ///
    /// Before a digit the last character is given back: then *it* is what follows the run.
    fn cut_before_word(&mut self, run: &Run, from: usize) {
        let end = if self.is_digit(run.end) { run.last } else { run.end };
        self.cut(from, end);
    }

    /// Alternative 3 on a run without blanks inside a word.
    fn cut_inside_word(&mut self, run: &Run) {
        let mut at = run.start;
        if self.is_digit(run.start - 1) {
            at += class_at(self.text, at).map_or(0, |(_, width)| width); // follows a digit: it stays
        }
        while at < run.end {
            at = self.skip(at, run.end, |class| class & EXOTIC == 0);
            let end = self.skip(at, run.end, |class| class & EXOTIC != 0);
            self.cut(at, if end == run.end && self.is_digit(end) { run.last } else { end });
            at = end;
        }
    }

    /// Moves from `at` over the characters whose class is `wanted`, not past `end`.
    fn skip(&self, mut at: usize, end: usize, wanted: impl Fn(u8) -> bool) -> usize {
        while at < end
            && let Some((class, width)) = class_at(self.text, at)
            && wanted(class)
        {
            at += width;
        }
        at
    }

    fn cut(&mut self, from: usize, to: usize) {
        if from < to {
            self.end_word(from);
            self.word_start = to;
        }
    }

    fn end_word(&mut self, end: usize) {
        if self.word_start < end {
            self.words.push(Span::new(self.word_start, end));
        }
    }

    /// Whether byte `at` is `0` to `9`; such a byte is never part of a wider character.
    fn is_digit(&self, at: usize) -> bool {
        self.text.as_bytes().get(at).is_some_and(u8::is_ascii_digit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fast(text: &str) -> Vec<&str> {
        words(text).into_iter().map(|span| span.of(text)).collect()
    }

    /// The substitution as the page above words it: try, give back, move on. Quadratic and plain.
    mod literal {
        fn is_word(c: char) -> bool {
            super::is_word_character(c)
        }

        fn is_loose(c: char) -> bool {
            !is_word(c) && !"#@&".contains(c)
        }

        fn is_exotic(c: char) -> bool {
            !is_word(c) && !"._~:/?#[]()@!$&*+,;=-".contains(c)
        }

        fn neither_digit_nor_blank(c: char) -> bool {
            !c.is_ascii_digit() && !c.is_whitespace()
        }

        /// The end of the longest run from `from` that `follows` accepts, giving back one at a time.
        fn run(
            text: &[char],
            from: usize,
            inside: fn(char) -> bool,
            follows: impl Fn(Option<char>) -> bool,
        ) -> Option<usize> {
            let mut end = from;
            while end < text.len() && inside(text[end]) {
                end += 1;
            }
            (from + 1..=end).rev().find(|&end| follows(text.get(end).copied()))
        }

        fn first(text: &[char], at: usize) -> Option<usize> {
            run(text, at, is_loose, |next| next.is_none_or(char::is_whitespace))
        }

        fn second(text: &[char], at: usize) -> Option<usize> {
            let follows = |next: Option<char>| next.is_some_and(neither_digit_nor_blank);
            let after_blank =
                if text[at].is_whitespace() { run(text, at + 1, is_loose, follows) } else { None };
            after_blank.or_else(|| if at == 0 { run(text, 0, is_loose, follows) } else { None })
        }

        fn third(text: &[char], at: usize) -> Option<usize> {
            if at == 0 || !neither_digit_nor_blank(text[at - 1]) {
                return None;
            }
            run(text, at, is_exotic, |next| next.is_some_and(neither_digit_nor_blank))
        }

        pub(super) fn words(text: &str) -> Vec<String> {
            let chars: Vec<char> = text.chars().collect();
            let mut out = String::new();
            let mut at = 0;
            while at < chars.len() {
                let end = first(&chars, at).or_else(|| second(&chars, at)).or_else(|| third(&chars, at));
                out.push(if end.is_some() { ' ' } else { chars[at] });
                at = end.unwrap_or(at + 1);
            }
            out.split_whitespace().map(str::to_owned).collect()
        }
    }

    #[test]
    fn gives_one_character_back_before_a_digit() {
        assert_eq!(fast("...5"), [".5"]);
        assert_eq!(fast("a --5"), ["a", "-5"]);
        assert_eq!(fast("a%%5"), ["a", "%5"]);
        assert_eq!(fast("5%%a"), ["5%", "a"]);
        assert_eq!(fast("!"), Vec::<&str>::new());
        assert_eq!(fast(""), Vec::<&str>::new());
    }

    #[test]
    fn a_megabyte_of_punctuation_is_one_pass() {
        for mark in ["!", "%", "!%", " !", "! "] {
            let text = mark.repeat(1 << 20) + "5";
            let found = fast(&text);
            assert!(found.len() == 1 && found[0].len() <= 2, "`{mark}` left {} words", found.len());
            assert_eq!(fast(&format!("a{text}")).first().map(|word| &word[..1]), Some("a"));
        }
    }

    const ALPHABET: &[&str] = &[
        "!", "%", "'", "\"", "-", ".", "/", "#", "@", "&", "_", "$", "€", "~", "<", "0", "5", "٣", " ", " ",
        "\n", "\t", "\u{a0}", "\u{3000}", "a", "B", "é", "\u{301}", "\u{20e3}", "क्या", "語", "の", "ー", "ก",
        "ำ", "。", "「", "👍", "🏻", "👩", "🇩", "\u{200d}", "\u{200c}", "\u{fe0f}", "\u{feff}",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn agrees_with_the_literal_substitution(
            pieces in prop::collection::vec(prop::sample::select(ALPHABET), 0..16),
        ) {
            let text = pieces.concat();
            prop_assert_eq!(fast(&text), literal::words(&text));
        }

        #[test]
        fn agrees_on_any_text(text in "\\PC{0,24}") {
            prop_assert_eq!(fast(&text), literal::words(&text));
        }
    }
}
