//! The hashes that find words and n-grams.

/// The hash of a word in the table of [`Words`](super::words::Words): FNV-1a of 64 bits over its UTF-8, then a
/// mix so that the low bits, which choose the slot, depend on all others.
pub(super) fn word(word: &[u8]) -> u64 {
    let hash = fnv1a(word.iter().copied());
    let hash = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ (hash >> 32)
}

/// The hash of an n-gram in fastText: FNV-1a of 32 bits over its UTF-8.
///
/// fastText widens bytes as signed, so that those from 0x80 flip the upper bits as well. Its models are
/// trained with that, and only the same hash finds their rows.
pub(super) fn fasttext(ngram: &str) -> u32 {
    ngram.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ i32::from(byte.cast_signed()).cast_unsigned()).wrapping_mul(0x0100_0193)
    })
}

/// The hash of an n-gram in finalfusion: FNV-1a of 64 bits over the number of characters, in eight bytes, and
/// the characters, in four bytes each, the low ones first.
pub(super) fn finalfusion(ngram: &str, chars: usize) -> u64 {
    let length = (chars as u64).to_le_bytes();
    fnv1a(length.into_iter().chain(ngram.chars().flat_map(|char| u32::from(char).to_le_bytes())))
}

fn fnv1a(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the web page of the authors of FNV.
    #[test]
    fn published_values_of_fnv1a() {
        assert_eq!(fnv1a("".bytes()), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a("a".bytes()), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a("foobar".bytes()), 0x8594_4171_f739_67e8);
        assert_eq!(fasttext("foobar"), 0xbf9c_f968);
    }

    /// The hash is stored in files, so it must stay the same. The number was computed in Python.
    #[test]
    fn the_hash_of_words_never_changes() {
        assert_eq!(word(b"Berlin"), 0xde59_4fef_0dc0_3afc);
        assert_eq!(fasttext("für"), 0x24cd_c6ac);
    }
}
