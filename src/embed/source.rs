//! The files of an encoder or of word vectors: in the file system, or in memory where a model carries them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::pieces::built_in;
use super::{EmbedError, fingerprint};
use crate::files::Mapped;

/// The most bytes of a file of settings.
pub(super) const MOST_SETTINGS: u64 = 4 << 20;

/// The most bytes of an encoder or of word vectors that a model carries, so that there is room for the rest of it.
const MOST_CARRIED: u64 = 3 << 30;

/// Where the files of an encoder are, or the one of word vectors.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// The folder or the file. Where the files are in memory, they came from there, and errors say so.
    path: PathBuf,
    carried: Option<Carried>,
}

/// Files by their names below the folder, with `/` between; a single file has the empty name.
type Carried = Arc<BTreeMap<String, Arc<Mapped>>>;

impl Source {
    /// A folder or a file, or what comes with the program where the path is the name of that.
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        match built_in(&path) {
            Some(bytes) => Self::carried(path, [(String::new(), Arc::new(Mapped::in_memory(bytes)))].into()),
            None => Self { path, carried: None },
        }
    }

    /// What lay at this path, from memory.
    pub(crate) fn carried(path: impl Into<PathBuf>, files: BTreeMap<String, Arc<Mapped>>) -> Self {
        Self { path: path.into(), carried: Some(Arc::new(files)) }
    }

    /// Reads all files that the [`fingerprint`] covers into memory.
    pub(crate) fn read(path: impl Into<PathBuf>) -> Result<Self, EmbedError> {
        let path = path.into();
        let names = if path.is_dir() { fingerprint::names(&path)? } else { vec![String::new()] };
        let there = Self::at(&path);
        let (mut files, mut room) = (BTreeMap::new(), MOST_CARRIED);
        for name in names {
            let bytes = there.bytes(&name, room)?;
            room -= bytes.len() as u64;
            files.insert(name, Arc::new(Mapped::in_memory(bytes)));
        }
        Ok(Self::carried(path, files))
    }

    /// The files in memory, where they are there.
    pub(crate) fn in_memory(&self) -> Option<&BTreeMap<String, Arc<Mapped>>> {
        self.carried.as_deref()
    }

    /// The folder or the file itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A file of the folder, for reading it and for errors.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        below(&self.path, name)
    }

    /// Whether there is such a file.
    pub(super) fn has(&self, name: &str) -> bool {
        match &self.carried {
            Some(files) => files.contains_key(name),
            None => self.file(name).is_file(),
        }
    }

    /// Whether there is anything.
    pub(super) fn exists(&self) -> bool {
        self.carried.is_some() || self.path.exists()
    }

    /// Whether it is a folder and not a single file.
    pub(super) fn is_folder(&self) -> bool {
        match &self.carried {
            Some(files) => !files.contains_key(""),
            None => self.path.is_dir(),
        }
    }

    /// A file whose content is looked up in place.
    pub(super) fn map(&self, name: &str) -> io::Result<Arc<Mapped>> {
        match &self.carried {
            Some(files) => files.get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into()),
            None => Mapped::open(&self.file(name)).map(Arc::new),
        }
    }

    /// A file that is read from the beginning, and how many bytes it has.
    pub(super) fn open(&self, name: &str) -> io::Result<(Box<dyn Read + '_>, u64)> {
        if let Some(files) = &self.carried {
            let file: &[u8] = files.get(name).ok_or(io::ErrorKind::NotFound)?;
            return Ok((Box::new(file), file.len() as u64));
        }
        let file = File::open(self.file(name))?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok((Box::new(file), metadata.len()))
    }

    /// A file of at most so many bytes.
    pub(super) fn bytes(&self, name: &str, most: u64) -> Result<Vec<u8>, EmbedError> {
        let failed = || EmbedError::io(self.file(name));
        let (file, length) = self.open(name).map_err(failed())?;
        let mut bytes = Vec::new();
        if length <= most {
            file.take(most + 1).read_to_end(&mut bytes).map_err(failed())?;
        }
        if length.max(bytes.len() as u64) > most {
            let problem = format!("longer than {most} bytes, which is too long; is it what its name says?");
            return Err(EmbedError::file(self.file(name), problem));
        }
        Ok(bytes)
    }

    /// A file of settings.
    pub(super) fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, EmbedError> {
        let bytes = self.bytes(name, MOST_SETTINGS)?;
        serde_json::from_slice(&bytes).map_err(|error| EmbedError::file(self.file(name), error))
    }
}

fn below(path: &Path, name: &str) -> PathBuf {
    if name.is_empty() { path.to_owned() } else { path.join(name) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_in_memory_are_those_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("2_Dense")).unwrap();
        for (name, text) in [("config.json", "{}"), ("2_Dense/config.json", "[1]"), ("README.md", "")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let [there, kept] = [Source::at(folder.path()), Source::read(folder.path()).unwrap()];
        drop(folder);
        assert!(there.bytes("config.json", 9).is_err());
        assert!(kept.is_folder() && kept.has("config.json") && !kept.has("README.md"));
        assert_eq!(kept.json::<[u8; 1]>("2_Dense/config.json").unwrap(), [1]);
        assert_eq!(&**kept.map("config.json").unwrap(), b"{}");
        assert!(kept.map("other").is_err());
        let error = kept.bytes("config.json", 1).unwrap_err().to_string();
        assert!(
            error.ends_with("config.json: longer than 1 bytes, which is too long; is it what its name says?"),
            "{error}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn what_never_ends_is_not_read() {
        let error = Source::at("/dev").bytes("zero", 100).unwrap_err();
        assert!(matches!(error, EmbedError::Io { .. }));
    }
}
