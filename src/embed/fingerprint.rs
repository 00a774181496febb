//! A fingerprint that tells one encoder from another.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::EmbedError;
use super::pieces::built_in;
use crate::files::hex;

/// Bytes that are hashed at the beginning and at the end of each file. Encoders are large, and no two agree there.
const EDGE: u64 = 1 << 20;

/// Tells one encoder from another: a hash of the sizes of its files, and of their beginnings and ends.
///
/// # Errors
///
/// If a file cannot be read.
pub fn fingerprint(path: impl AsRef<Path>) -> Result<String, EmbedError> {
    let path = path.as_ref();
    let mut hash = Sha256::new();
    if let Some(bytes) = built_in(path) {
        hash.update(bytes);
    } else if path.is_dir() {
        for name in names(path)? {
            hash.update(&name);
            hash_edges(&path.join(&name), &mut hash)?;
        }
    } else {
        hash_edges(path, &mut hash)?;
    }
    Ok(hex(hash))
}

/// The most files that count, and how deep they may lie below the folder: no module of an encoder lies deeper.
const MOST_FILES: usize = 1000;
const LEVELS: usize = 3;

/// The files of a folder that count, sorted: settings and weights.
pub(super) fn names(folder: &Path) -> Result<Vec<String>, EmbedError> {
    let names = names_below(folder, "", LEVELS)?;
    if names.len() > MOST_FILES {
        let problem = format!("{} files of settings and weights are too many for an encoder", names.len());
        return Err(EmbedError::file(folder, problem));
    }
    Ok(names)
}

fn names_below(folder: &Path, prefix: &str, levels: usize) -> Result<Vec<String>, EmbedError> {
    let failed = || EmbedError::io(folder);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let (path, name) = (entry.path(), format!("{prefix}{}", entry.file_name().to_string_lossy()));
        if name.starts_with('.') || name.contains("/.") {
            continue; // what other programs keep for themselves
        }
        if path.is_dir() && levels > 0 {
            found.extend(names_below(&path, &format!("{name}/"), levels - 1)?);
        } else if path.is_file() && path.extension().is_some_and(|end| end == "safetensors" || end == "json")
        {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

fn hash_edges(path: &Path, hash: &mut Sha256) -> Result<(), EmbedError> {
    let read = || -> io::Result<Vec<u8>> {
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        let mut bytes = size.to_le_bytes().to_vec();
        file.by_ref().take(EDGE).read_to_end(&mut bytes)?;
        file.seek(SeekFrom::Start(size.saturating_sub(EDGE)))?;
        file.take(EDGE).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    hash.update(read().map_err(EmbedError::io(path))?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_files_decides_and_where_they_are_does_not() {
        let [one, other] = [(), ()].map(|()| tempfile::tempdir().unwrap());
        for folder in [&one, &other] {
            std::fs::write(folder.path().join("config.json"), "{}").unwrap();
            std::fs::write(folder.path().join("model.safetensors"), vec![7; 3 << 20]).unwrap();
            std::fs::write(folder.path().join("README.md"), folder.path().display().to_string()).unwrap();
        }
        let [first, second] = [&one, &other].map(|folder| fingerprint(folder.path()).unwrap());
        assert_eq!(first, second);
        std::fs::write(other.path().join("config.json"), "{ }").unwrap();
        assert_ne!(first, fingerprint(other.path()).unwrap());
        assert!(fingerprint(one.path().join("nothing")).is_err());
    }
}
