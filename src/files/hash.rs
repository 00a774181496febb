//! SHA-256 as text.

use sha2::{Digest as _, Sha256};

/// The hash as 64 hexadecimal digits, as `sha256sum` prints it.
pub(crate) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_one_sha256sum_prints() {
        let hash = Sha256::new_with_prefix(b"abc"); // the first example of FIPS 180-4
        assert_eq!(hex(hash), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
