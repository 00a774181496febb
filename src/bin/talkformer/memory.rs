//! The allocator.

/// Faster than the system's allocator, which returns the memory of each large tensor to the system.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Gives memory that is free back to the system: what is done next needs it in other sizes.
#[allow(unsafe_code, reason = "the allocator offers this in C alone")]
pub(crate) fn give_back() {
    // SAFETY: this is how mimalloc declares it (`mimalloc.h`), and the crate above links it.
    unsafe extern "C" {
        fn mi_collect(force: bool);
    }
    // SAFETY: a call without conditions; only memory that nobody holds changes.
    unsafe { mi_collect(true) };
}
