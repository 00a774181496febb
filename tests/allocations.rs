//! Once buffers have grown, a message is answered in memory that is there already: all that is asked for is the answer.

#![allow(
    unsafe_code,
    reason = "an allocator that counts is one; it hands everything on to that of the system"
)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use talkformer::pipeline::Nlu;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: each call is handed on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `work` returns, and how often it asked for memory on this thread.
fn counted<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = COUNT.get();
    let result = work();
    (result, COUNT.get() - before)
}

/// What a message may ask for beside its answer: a list of tokens before they are cut, one of entities by their tags, one of
/// them as tokens, and each of the two layers the memory that attention works in, of five kinds.
const BESIDE: usize = 3 + 2 * 5;

/// What each entity may ask for: how it is spelled where synonyms are looked up.
const PER_ENTITY: usize = 4;

#[test]
fn a_message_is_answered_in_memory_that_is_there() {
    let model: Nlu = common::train(&common::config(), &common::data(), 1);
    let texts = [
        "please cancel",
        "from Rome to Milan",
        "ÜBER 2 tables in ZÜRICH for 10:30",
        "xyzzy, and all the rest",
        "",
    ];
    for text in texts.iter().chain(&texts) {
        model.parse(text).unwrap();
    }
    for text in texts {
        let (answer, asked) = counted(|| model.parse(text).unwrap());
        let (_copy, owned) = counted(|| answer.clone());
        let beside = BESIDE + PER_ENTITY * answer.entities.len();
        assert!(asked <= owned + beside, "{text}: {asked} for an answer of {owned}");
    }
}
