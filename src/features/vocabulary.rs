//! Strings and their columns: found by a text, saved by what neighbours share.

use std::collections::HashMap;

use super::FeatureError;

/// Where each of these names was among the earlier ones.
pub(crate) fn name_origins<S: AsRef<str>>(now: &[S], earlier: &[S]) -> Vec<Option<u32>> {
    let places: HashMap<&str, u32> = earlier.iter().map(AsRef::as_ref).zip(0..).collect();
    now.iter().map(|name| places.get(name.as_ref()).copied()).collect()
}

/// Distinct strings in alphabetical order; the place of each is its column.
///
/// All of them lie in one text, and a table of hashes says where. Saved, each is written as how many characters it
/// shares with the one before, how many follow, and those; see [`Vocabulary::to_text`].
#[derive(Clone, Debug, Default)]
pub(super) struct Vocabulary {
    text: String,
    /// Where each string ends.
    ends: Vec<usize>,
    /// Columns by hash, [`EMPTY`] where there is none; at least half of it is empty.
    slots: Vec<u32>,
}

const EMPTY: u32 = u32::MAX;

/// How many bytes all strings may have, for each byte of the text that they are saved as, and beside that. A few bytes could
/// otherwise ask for any amount of memory.
const MOST_PER_BYTE: usize = 32;
const MOST_ANYWAY: usize = 1 << 16;

impl Vocabulary {
    /// These strings, which are sorted and distinct.
    pub(super) fn new<S: AsRef<str>>(strings: impl IntoIterator<Item = S>) -> Self {
        let mut vocabulary = Self::default();
        for string in strings {
            vocabulary.text.push_str(string.as_ref());
            vocabulary.ends.push(vocabulary.text.len());
        }
        vocabulary.index();
        vocabulary
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The column of a string.
    #[inline]
    pub(super) fn get(&self, string: &str) -> Option<u32> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut slot = hash(string) as usize & mask;
        loop {
            let column = self.slots[slot];
            if column == EMPTY {
                return None;
            }
            if self.string(column as usize) == string {
                return Some(column);
            }
            slot = (slot + 1) & mask;
        }
    }

    /// The strings in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|column| self.string(column))
    }

    fn string(&self, column: usize) -> &str {
        let start = column.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[column]]
    }

    fn index(&mut self) {
        let size = (2 * self.len()).next_power_of_two();
        self.slots = vec![EMPTY; size];
        for column in 0..self.len() {
            let mut slot = hash(self.string(column)) as usize & (size - 1);
            while self.slots[slot] != EMPTY {
                slot = (slot + 1) & (size - 1);
            }
            self.slots[slot] = column as u32;
        }
    }

    /// For each string the number of characters it shares with the one before, the number of those that follow,
    /// and these: `ab`, `abc`, `b` is `02ab21c01b`.
    ///
    /// Numbers have the digits `0` to `O` (base 32) and, where another digit follows, `` ` `` to DEL.
    pub(super) fn to_text(&self) -> String {
        let mut out = String::new();
        let (mut before, mut length) = ("", 0);
        for string in self.iter() {
            length += string.len();
            let shared = string.chars().zip(before.chars()).take_while(|(a, b)| a == b);
            let (count, bytes) =
                shared.fold((0, 0), |(count, bytes), (c, _)| (count + 1, bytes + c.len_utf8()));
            // Long strings that share nearly all are written in full now and then, or they would not be read again.
            let (count, bytes) = if length > most_bytes(out.len()) { (0, 0) } else { (count, bytes) };
            write_number(count, &mut out);
            write_number(string[bytes..].chars().count(), &mut out);
            out.push_str(&string[bytes..]);
            before = string;
        }
        out
    }

    /// Reads what [`to_text`](Self::to_text) wrote.
    pub(super) fn from_text(text: &str) -> Result<Self, FeatureError> {
        let cut = || FeatureError::Vocabulary { problem: "one is cut off" };
        let most = most_bytes(text.len());
        let mut vocabulary = Self::default();
        let mut chars = text.chars();
        let mut start = 0;
        while !chars.as_str().is_empty() {
            let shared = read_number(&mut chars).ok_or_else(cut)?;
            let more = read_number(&mut chars).ok_or_else(cut)?;
            let before = start..vocabulary.text.len();
            start = before.end;
            let ends = vocabulary.text[before.clone()].char_indices().map(|(at, _)| before.start + at);
            let end = ends.chain([before.end]).nth(shared).ok_or_else(cut)?;
            if vocabulary.text.len() + (end - before.start) > most {
                return Err(FeatureError::Vocabulary { problem: "they are longer than their text allows" });
            }
            vocabulary.text.extend_from_within(before.start..end);
            let rest = chars.as_str();
            let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            let (own, rest) = rest.split_at(ends.into_iter().nth(more).ok_or_else(cut)?);
            vocabulary.text.push_str(own);
            chars = rest.chars();
            let in_order = vocabulary.text[before] < vocabulary.text[start..] || vocabulary.ends.is_empty();
            if !in_order {
                return Err(FeatureError::Vocabulary { problem: "they are not in order" });
            }
            vocabulary.ends.push(vocabulary.text.len());
        }
        vocabulary.index();
        Ok(vocabulary)
    }
}

/// The most bytes that all strings may have which are saved as so many.
fn most_bytes(saved: usize) -> usize {
    saved.saturating_mul(MOST_PER_BYTE).saturating_add(MOST_ANYWAY)
}

fn write_number(number: usize, out: &mut String) {
    if number >= 32 {
        write_more_digits(number / 32, out);
    }
    out.push(char::from(b'0' + (number % 32) as u8));
}

fn write_more_digits(number: usize, out: &mut String) {
    if number >= 32 {
        write_more_digits(number / 32, out);
    }
    out.push(char::from(b'`' + (number % 32) as u8));
}

fn read_number(chars: &mut std::str::Chars<'_>) -> Option<usize> {
    let mut number = 0_usize;
    loop {
        let digit = u32::from(chars.next()?);
        let (value, last) = match digit {
            0x30..0x50 => (digit - 0x30, true),
            0x60..0x80 => (digit - 0x60, false),
            _ => return None,
        };
        number = number.checked_mul(32)?.checked_add(value as usize)?;
        if last {
            return Some(number);
        }
    }
}

/// Eight bytes at a time, each folded in by one wide product, as in `wyhash`. Whoever sends messages cannot make
/// them slow with it: only the words of the training data are ever in a table.
#[inline]
fn hash(string: &str) -> u64 {
    let fold = |hash: u64, bytes: u64| {
        let product = u128::from(hash ^ bytes ^ 0x2d35_8dcc_aa6c_78a5) * 0x8bb8_4b93_962e_acc9_u128;
        (product >> 64) as u64 ^ product as u64
    };
    let (words, rest) = string.as_bytes().as_chunks::<8>();
    let hash = words.iter().fold(0, |hash, word| fold(hash, u64::from_le_bytes(*word)));
    let last = rest.iter().rev().fold(string.len() as u64, |word, byte| word << 8 | u64::from(*byte));
    fold(hash, last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn written_by_what_neighbours_share() {
        let vocabulary = Vocabulary::new(["ab", "abc", "b", "äö", "äü"]);
        assert_eq!(vocabulary.to_text(), "02ab21c01b02äö11ü");
        let long = "x".repeat(1100);
        let text = Vocabulary::new([&long]).to_text();
        assert_eq!(text, format!("0ab<{long}"));
        assert_eq!(Vocabulary::from_text(&text).unwrap().get(&long), Some(0));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["0", "02a", "11a", "x", "02ab02ab", "01b01a", "01a12", "o", "ooooooooooooooooo"] {
            assert!(Vocabulary::from_text(text).is_err(), "{text}");
        }
        assert_eq!(Vocabulary::from_text("").unwrap().len(), 0);
        assert_eq!(Vocabulary::default().get("a"), None);
    }

    /// Every string takes three bytes and is longer than the one before.
    #[test]
    fn a_short_text_does_not_become_any_amount_of_memory() {
        let mut bomb = "01a".to_owned();
        for shared in 1..400_000 {
            write_number(shared, &mut bomb);
            bomb.push_str("1a");
        }
        let error = Vocabulary::from_text(&bomb).unwrap_err().to_string();
        assert!(error.contains("longer than their text allows"), "{error}");
        // Such strings come back all the same where they are real.
        let strings: Vec<String> = (1..2000).map(|length| "a".repeat(length)).collect();
        let text = Vocabulary::new(&strings).to_text();
        assert!(Vocabulary::from_text(&text).unwrap().iter().eq(strings.iter()));
    }

    proptest! {
        #[test]
        fn every_string_is_found_and_nothing_else(
            strings in prop::collection::btree_set(".{0,40}", 0..60),
            other in ".{0,12}",
        ) {
            let vocabulary = Vocabulary::from_text(&Vocabulary::new(&strings).to_text()).unwrap();
            prop_assert_eq!(vocabulary.iter().collect::<Vec<_>>(), strings.iter().collect::<Vec<_>>());
            for (column, string) in strings.iter().enumerate() {
                prop_assert_eq!(vocabulary.get(string), Some(column as u32));
            }
            prop_assert_eq!(vocabulary.get(&other).is_some(), strings.contains(&other));
        }

        #[test]
        fn any_text_is_refused_or_sound(text in "[0-9`-d]{0,3}.{0,20}") {
            let _ = Vocabulary::from_text(&text);
        }
    }
}
