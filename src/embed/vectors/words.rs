//! The words of a table, found by a hash table that can lie in a file.

use std::borrow::Cow;

use super::blob::{Blob, u32_at, usize_at};
use super::hash;

/// A slot that holds no word.
const EMPTY: u32 = u32::MAX;

/// Numbered words. A lookup touches a slot, two starts and a word, and no other page.
pub(super) struct Words {
    bytes: Blob,  // all words, one behind the other
    starts: Blob, // where each begins, and where the last ends; eight bytes each
    slots: Blob,  // word numbers where their hashes put them; four bytes each
    count: usize,
}

impl Words {
    /// Takes the parts as they stand in a file, if their sizes fit each other.
    ///
    /// Their content is not looked at: a lookup checks what it meets.
    pub(super) fn from_parts(bytes: Blob, starts: Blob, slots: Blob) -> Option<Self> {
        let count = (starts.len() / size_of::<u64>()).checked_sub(1)?;
        let slot_count = slots.len() / size_of::<u32>();
        let ends = (usize_at(&starts, 0)?, usize_at(&starts, count)?);
        let fits = slot_count.is_power_of_two() && slot_count / 2 >= count && ends == (0, bytes.len());
        fits.then_some(Self { bytes, starts, slots, count })
    }

    /// All words, the starts and the slots, as they are to stand in a file.
    pub(super) fn parts(&self) -> [&[u8]; 3] {
        [&self.bytes, &self.starts, &self.slots]
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// A table of the first words alone, in memory.
    pub(super) fn first(&self, count: usize) -> Self {
        let mut words = WordsBuilder::new();
        for number in 0..count {
            words.push(self.get(number).unwrap_or_default());
        }
        words.finish()
    }

    /// The number of a word.
    pub(super) fn find(&self, word: &str) -> Option<usize> {
        match probe(word.as_bytes(), &self.slots, |number| self.get(number))? {
            Probe::Found(number) => Some(number),
            Probe::Free(_) => None,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Cow<'_, str>> {
        (0..self.count).map(|number| String::from_utf8_lossy(self.get(number).unwrap_or_default()))
    }

    fn get(&self, number: usize) -> Option<&[u8]> {
        entry(&self.bytes, &self.starts, number)
    }
}

/// Words while they are collected.
pub(super) struct WordsBuilder {
    bytes: Vec<u8>,
    starts: Vec<u8>,
    slots: Vec<u8>,
}

impl WordsBuilder {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new(), starts: 0_u64.to_le_bytes().to_vec(), slots: empty_slots(2) }
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len() / size_of::<u64>() - 1
    }

    /// Adds a word, or says that it is there already.
    pub(super) fn push(&mut self, word: &[u8]) -> bool {
        if (self.len() + 1) * 2 > self.slots.len() / size_of::<u32>() {
            self.grow();
        }
        let Some(Probe::Free(slot)) = self.probe(word) else {
            return false;
        };
        self.fill(slot, self.len());
        self.bytes.extend_from_slice(word);
        self.starts.extend_from_slice(&(self.bytes.len() as u64).to_le_bytes());
        true
    }

    pub(super) fn finish(mut self) -> Words {
        let count = self.len();
        for part in [&mut self.bytes, &mut self.starts, &mut self.slots] {
            part.shrink_to_fit();
        }
        Words { bytes: self.bytes.into(), starts: self.starts.into(), slots: self.slots.into(), count }
    }

    /// Doubles the slots, so that at least half of them stay empty.
    fn grow(&mut self) {
        self.slots = empty_slots(self.slots.len() / size_of::<u32>() * 2);
        for number in 0..self.len() {
            let word = entry(&self.bytes, &self.starts, number).unwrap_or_default();
            if let Some(Probe::Free(slot)) = self.probe(word) {
                self.fill(slot, number);
            }
        }
    }

    fn probe(&self, word: &[u8]) -> Option<Probe> {
        probe(word, &self.slots, |number| entry(&self.bytes, &self.starts, number))
    }

    fn fill(&mut self, slot: usize, number: usize) {
        let at = slot * size_of::<u32>();
        self.slots[at..at + size_of::<u32>()].copy_from_slice(&(number as u32).to_le_bytes());
    }
}

fn empty_slots(count: usize) -> Vec<u8> {
    EMPTY.to_le_bytes().repeat(count)
}

fn entry<'a>(bytes: &'a [u8], starts: &[u8], number: usize) -> Option<&'a [u8]> {
    bytes.get(usize_at(starts, number)?..usize_at(starts, number.checked_add(1)?)?)
}

/// Where a search in the slots ends.
enum Probe {
    Found(usize),
    Free(usize),
}

/// Searches from the slot of the hash onwards; nothing if all slots hold other words.
fn probe<'a>(word: &[u8], slots: &[u8], get: impl Fn(usize) -> Option<&'a [u8]>) -> Option<Probe> {
    let mask = (slots.len() / size_of::<u32>()).checked_sub(1)?;
    let first = hash::word(word) as usize;
    for slot in (0..=mask).map(|step| first.wrapping_add(step) & mask) {
        match u32_at(slots, slot)? {
            EMPTY => return Some(Probe::Free(slot)),
            number if get(number as usize) == Some(word) => return Some(Probe::Found(number as usize)),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn words_are_found_as_in_a_map(list in prop::collection::vec("[a-cü]{0,3}", 0..200), other in "[a-dü]{0,3}") {
            let (mut builder, mut map) = (WordsBuilder::new(), HashMap::new());
            for word in &list {
                let number = map.len();
                let is_new = *map.entry(word.clone()).or_insert(number) == number;
                prop_assert_eq!(builder.push(word.as_bytes()), is_new);
            }
            let words = builder.finish();
            prop_assert_eq!(words.len(), map.len());
            for word in list.iter().chain([&other]) {
                prop_assert_eq!(words.find(word), map.get(word).copied());
            }
            for (number, word) in words.iter().enumerate() {
                prop_assert_eq!(map[&*word], number);
            }
        }
    }

    #[test]
    fn slots_full_of_nonsense_find_nothing() {
        let starts: Vec<u8> = [0_u64, 9, 1].map(u64::to_le_bytes).as_flattened().to_vec();
        let slots: Vec<u8> = [0_u32, 1, 2, 7].map(u32::to_le_bytes).as_flattened().to_vec();
        let words = Words::from_parts(vec![b'a'].into(), starts.into(), slots.into()).unwrap();
        assert_eq!(words.find("a"), None);
        assert_eq!(words.iter().count(), 2);
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let numbers = |values: &[u64]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
        let words = |bytes: &[u8], starts: &[u64], slots: usize| {
            Words::from_parts(bytes.to_vec().into(), numbers(starts).into(), empty_slots(slots).into())
                .is_some()
        };
        assert!(words(b"ab", &[0, 1, 2], 4));
        assert!(words(b"", &[0], 2));
        assert!(!words(b"ab", &[], 4));
        assert!(!words(b"ab", &[0, 1, 2], 5));
        assert!(!words(b"ab", &[0, 1, 2], 2));
        assert!(!words(b"ab", &[0, 1, 3], 4));
        assert!(!words(b"ab", &[1, 1, 2], 4));
        assert!(!words(b"", &[0], 0));
    }
}
