//! Downloads one file, completely or not at all.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::HubError;
use super::request::{Announced, Hub};
use crate::files::{AtomicFile, hex};

/// Where the files go.
pub(super) struct Folder<'a> {
    hub: &'a Hub,
    to: &'a Path,
    progress: &'a mut dyn FnMut(&str, u64),
}

impl<'a> Folder<'a> {
    pub(super) fn new(hub: &'a Hub, to: &'a Path, progress: &'a mut dyn FnMut(&str, u64)) -> Self {
        Self { hub, to, progress }
    }

    /// Where a file comes from.
    pub(super) fn url(&self, file: &str) -> String {
        self.hub.url(file)
    }

    /// Where a file goes.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.to.join(file)
    }

    /// Downloads a file of at most so many bytes, unless it is there already; returns whether the repository has it.
    pub(super) fn fetch(&mut self, file: &str, most: u64) -> Result<bool, HubError> {
        let path = self.path(file);
        if let Ok(there) = fs::metadata(&path)
            && there.is_file()
            && there.len() <= most
            && is_whole(&path, there.len(), &self.hub.announced(file)?)?
        {
            (self.progress)(file, there.len());
            return Ok(true);
        }
        let Some((announced, body)) = self.hub.open(file)? else {
            return Ok(false);
        };
        if announced.length.is_some_and(|length| length > most) {
            return Err(HubError::TooLarge { url: self.url(file), most });
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(HubError::io(folder))?;
        }
        let mut out = AtomicFile::create(&path).map_err(HubError::io(&path))?;
        self.write(file, body, &announced, most, &mut out)?;
        out.commit().map_err(HubError::io(&path))?;
        Ok(true)
    }

    /// Streams a body to the disk and compares it with what was announced.
    fn write(
        &mut self,
        file: &str,
        mut body: impl Read,
        announced: &Announced,
        most: u64,
        out: &mut AtomicFile,
    ) -> Result<(), HubError> {
        let url = self.url(file);
        let (mut hash, mut found, mut buffer) = (Sha256::new(), 0_u64, vec![0; 1 << 17]);
        loop {
            let read = match body.read(&mut buffer) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // The connection was closed too early; the error about the length is clearer.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && announced.length.is_some() => 0,
                Err(error) => return Err(HubError::Network { url, error }),
            };
            if read == 0 {
                break;
            }
            found += read as u64;
            if found > most {
                return Err(HubError::TooLarge { url, most });
            }
            hash.update(&buffer[..read]);
            out.write_all(&buffer[..read]).map_err(HubError::io(&self.path(file)))?;
            (self.progress)(file, found);
        }
        if let Some(expected) = announced.length.filter(|expected| *expected != found) {
            return Err(HubError::Length { url, expected, found });
        }
        let sha256 = hex(hash);
        if let Some(expected) = announced.sha256.clone().filter(|expected| *expected != sha256) {
            return Err(HubError::Hash { url, expected, found: sha256 });
        }
        Ok(())
    }
}

/// Whether a file on the disk is what was announced.
fn is_whole(path: &Path, length: u64, announced: &Announced) -> Result<bool, HubError> {
    if announced.length != Some(length) {
        return Ok(false);
    }
    let Some(expected) = &announced.sha256 else {
        return Ok(true);
    };
    // Two revisions of the same model have weights of the same length.
    let mut file = File::open(path).map_err(HubError::io(path))?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 17]);
    loop {
        match file.read(&mut buffer).map_err(HubError::io(path))? {
            0 => return Ok(hex(hash) == *expected),
            read => hash.update(&buffer[..read]),
        }
    }
}
