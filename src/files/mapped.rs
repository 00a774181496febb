//! Files mapped into memory.

#![allow(
    unsafe_code,
    reason = "mapping a file is unsafe; this file holds the one call and the reason it is sound"
)]

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

/// The content of a file, loaded by the system page by page when it is accessed; or bytes that are in memory already,
/// for code that reads either.
///
/// Processes that map the same file share its memory. The file must stay as it is meanwhile: if another
/// program shortens it, touching what was cut off ends this process (`SIGBUS` on Unix); if another program
/// writes into it, the bytes here change. So replace such a file by renaming a new one over it, which
/// leaves the mapped one intact until it is dropped.
pub(crate) struct Mapped {
    content: Content,
}

enum Content {
    Map(Mmap),
    Memory(Box<dyn Deref<Target = [u8]> + Send + Sync>),
}

impl Mapped {
    /// Maps a whole file, which may be empty.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        // SAFETY: the map is private to this type, read only, and lent out as bytes for as long as it lives,
        // so no reference outlasts it. What Rust cannot rule out is another program that changes the file.
        // Every pattern of bits is a valid byte, and callers check each number they read against the length
        // of the slice at every use, so changed content gives other values and no access out of range.
        // A shortened file ends the process, as the type's documentation says.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Self { content: Content::Map(map) })
    }

    /// Bytes that are in memory.
    pub(crate) fn in_memory(bytes: impl Deref<Target = [u8]> + Send + Sync + 'static) -> Self {
        Self { content: Content::Memory(Box::new(bytes)) }
    }

    /// Tells the system that access will be random, so that it does not read ahead.
    pub(crate) fn advise_random(&self) {
        #[cfg(unix)]
        if let Content::Map(map) = &self.content {
            let _ = map.advise(memmap2::Advice::Random); // a hint; without it lookups are only slower
        }
    }
}

impl fmt::Debug for Mapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapped").field("bytes", &self.len()).finish_non_exhaustive()
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.content {
            Content::Map(map) => map,
            Content::Memory(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_mapped_file_is_its_bytes() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("file");
        for content in [&b""[..], b"abc"] {
            fs::write(&path, content)?;
            let mapped = Mapped::open(&path)?;
            mapped.advise_random();
            assert_eq!(&*mapped, content);
            let in_memory = Mapped::in_memory(content.to_vec());
            in_memory.advise_random();
            assert_eq!(&*in_memory, content);
        }
        Ok(())
    }

    #[test]
    fn folders_and_missing_files_are_errors() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        assert!(Mapped::open(folder.path()).is_err());
        let missing = Mapped::open(&folder.path().join("none")).map(|_| ()).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_is_renamed_over_stays_readable() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        fs::write(&old, "old")?;
        fs::write(&new, "new")?;
        let mapped = Mapped::open(&old)?;
        fs::rename(&new, &old)?;
        assert_eq!(&*mapped, b"old");
        Ok(())
    }
}
