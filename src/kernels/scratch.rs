//! Memory that is used again.

/// The first `len` numbers of a buffer, which grows if it is shorter; whatever it held before is still there.
pub(crate) fn grow(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    &mut buffer[..len]
}

/// Memory for `len` numbers, all of it spare. Debug builds fill it with NaN, so that tests notice a number that is not written.
pub(crate) fn unwritten(len: usize) -> Vec<f32> {
    let mut memory = Vec::with_capacity(len);
    if cfg!(debug_assertions) {
        memory.resize(len, f32::NAN);
        memory.clear();
    }
    memory
}
