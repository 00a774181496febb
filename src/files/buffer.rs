//! Memory for the content of a file.

#![cfg_attr(
    target_os = "linux",
    allow(
        unsafe_code,
        reason = "advice on memory is unsafe; this file holds the one call and the reason it is sound"
    )
)]

use std::collections::TryReserveError;

/// An empty buffer with room for so many bytes.
///
/// A large one is in large pages, where the system has any: to get thousands of small ones takes longer than to read the
/// file.
pub(crate) fn buffer(bytes: usize) -> Result<Vec<u8>, TryReserveError> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(bytes)?;
    #[cfg(target_os = "linux")]
    in_large_pages(&mut buffer);
    Ok(buffer)
}

/// Asks for large pages where they lie in the buffer as a whole, so that it takes no more memory than without.
#[cfg(target_os = "linux")]
fn in_large_pages(buffer: &mut Vec<u8>) {
    use rustix::mm::{Advice, madvise};

    /// The size of a large page, and a multiple of that of any other.
    const LARGE: usize = 2 << 20;
    let room = buffer.spare_capacity_mut();
    let start = room.as_ptr().align_offset(LARGE).min(room.len());
    let large = &mut room[start..];
    let length = large.len() / LARGE * LARGE;
    if length > 0 {
        // SAFETY: a hint about pages that are wholly ours; what they hold does not change. A system that does not know it
        // refuses, and all is as before.
        let _ = unsafe { madvise(large.as_mut_ptr().cast(), length, Advice::LinuxHugepage) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_what_was_asked_for() {
        for bytes in [0, 1, 5 << 20] {
            let mut room = buffer(bytes).unwrap();
            assert!(room.is_empty() && room.capacity() >= bytes);
            room.resize(bytes, 7);
            assert!(room.iter().all(|byte| *byte == 7));
        }
        assert!(buffer(usize::MAX).is_err());
    }
}
