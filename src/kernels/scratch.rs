//! Memory that is used again.

/// The first `len` numbers of a buffer, which grows if it is shorter; whatever it held before is still there.
pub(crate) fn grow(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    &mut buffer[..len]
}
