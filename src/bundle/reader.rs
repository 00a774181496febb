//! Opening a saved model.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::error::shortened;
use super::limited::{file_size, read_limited};
use super::manifest::{
    BUNDLE_LIMIT, CARD, FileRecord, MANIFEST, Manifest, WEIGHTS, check_json, read_manifest_bytes,
};
use super::place::find;
use super::weights::decode;
use super::{BundleError, Weights};
use crate::numbers::Bytes;

const CARD_LIMIT: u64 = 1 << 20;
/// How often a model is opened again because it was replaced in the meantime.
const ATTEMPTS: usize = 20;

/// A saved model, read and verified.
///
/// Everything is in memory: what was verified is what is used, and replacing the files later changes
/// nothing here. Take out what is needed and drop it.
///
/// # Example
///
/// ```
/// use talkformer::bundle::{Bundle, BundleWriter};
///
/// # let folder = tempfile::tempdir()?;
/// # let place = folder.path().join("my-model");
/// BundleWriter::new("nlu", &serde_json::json!({ "layers": 2 }))?.save(&place)?;
///
/// let bundle = Bundle::open(&place)?;
/// assert_eq!(bundle.kind(), "nlu");
/// assert_eq!(bundle.config::<serde_json::Value>()?["layers"], 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Bundle {
    folder: PathBuf,
    manifest: Manifest,
    parts: BTreeMap<String, Bytes>,
}

impl Bundle {
    /// Reads a model and verifies every part.
    ///
    /// A model that is being replaced opens as the old one or as the new one.
    ///
    /// # Errors
    ///
    /// [`BundleError`] names the file that is missing, incomplete, altered, too large or of a newer
    /// format, or says that there is no model.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, BundleError> {
        Self::open_and(path, |bundle| Ok(bundle.clone()))
    }

    /// The same, and makes something of it while its parts are still being verified. What was made of parts that turn out
    /// to be altered is not handed out.
    pub(crate) fn open_and<T, E: From<BundleError>>(
        path: impl AsRef<Path>,
        make: impl Fn(&Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let path = path.as_ref();
        let mut sight = Sight::of(path);
        for _ in 1..ATTEMPTS {
            let outcome = sight.read(&make);
            let now = Sight::of(path);
            if outcome.is_ok() || now == sight {
                return outcome;
            }
            sight = now;
        }
        sight.read(&make)
    }

    /// Runs `make` while another thread verifies the parts, for both take about as long.
    fn verified<T, E: From<BundleError>>(&self, make: impl Fn(&Self) -> Result<T, E>) -> Result<T, E> {
        std::thread::scope(|scope| {
            let verifying = scope.spawn(|| self.verify());
            let made = make(self);
            // That a part is altered explains whatever else may be wrong.
            verifying.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            made
        })
    }

    /// Whether all parts are what the manifest says.
    fn verify(&self) -> Result<(), BundleError> {
        let altered = |(name, record): &(&String, &FileRecord)| {
            let part = self.parts.get(*name);
            part.is_none_or(|part| FileRecord::of(part) != **record)
        };
        match self.manifest.files.iter().find(altered) {
            Some((name, _)) => Err(BundleError::Altered { path: self.folder.join(name) }),
            None => Ok(()),
        }
    }

    /// The folder it was read from.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What sort of model it is.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.manifest.kind
    }

    /// When it was saved: RFC 3339, UTC, so that texts sort by time.
    #[must_use]
    pub fn created(&self) -> &str {
        &self.manifest.created
    }

    /// The names of its parts, sorted.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.parts.keys().map(String::as_str)
    }

    /// Whether it has a part of this name.
    #[must_use]
    pub fn has(&self, part: &str) -> bool {
        self.parts.contains_key(part)
    }

    /// Its settings.
    ///
    /// # Errors
    ///
    /// [`BundleError::Json`] if they are not what `T` expects.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T, BundleError> {
        let path = || self.folder.join(MANIFEST);
        T::deserialize(&self.manifest.config)
            .map_err(|error| BundleError::Json { path: path(), error: shortened(error) })
    }

    /// A part that is JSON.
    ///
    /// # Errors
    ///
    /// [`BundleError::NoPart`] lists the parts there are; [`BundleError::Json`] if it is not what `T`
    /// expects, [`BundleError::TooLarge`] beyond 256 MiB.
    pub fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, BundleError> {
        let path = || self.folder.join(name);
        let part = self.part(name)?;
        check_json(part, path)?;
        serde_json::from_slice(part)
            .map_err(|error| BundleError::Json { path: path(), error: shortened(error) })
    }

    /// A part that is text.
    ///
    /// # Errors
    ///
    /// [`BundleError::NoPart`] lists the parts there are; [`BundleError::Encoding`] if it is not UTF-8.
    pub fn text(&self, name: &str) -> Result<&str, BundleError> {
        let path = || self.folder.join(name);
        str::from_utf8(self.part(name)?).map_err(|_| BundleError::Encoding { path: path() })
    }

    /// The weights.
    ///
    /// # Errors
    ///
    /// [`BundleError::NoPart`] if the model has none; [`BundleError::Weights`] names a tensor of an unknown
    /// form, one that does not fit its shape, or one that holds a value that is not finite.
    pub fn weights(&self) -> Result<Weights, BundleError> {
        self.tensors(WEIGHTS)
    }

    /// The tensors of a part of this name.
    ///
    /// # Errors
    ///
    /// As [`weights`](Self::weights).
    pub fn tensors(&self, name: &str) -> Result<Weights, BundleError> {
        let path = || self.folder.join(name);
        decode(self.part(name)?).map_err(|problem| BundleError::Weights { path: path(), problem })
    }

    /// A part as it is; it stays in memory as long as this is kept.
    ///
    /// # Errors
    ///
    /// [`BundleError::NoPart`] lists the parts there are.
    pub fn bytes(&self, name: &str) -> Result<Bytes, BundleError> {
        self.part(name).cloned()
    }

    fn part(&self, name: &str) -> Result<&Bytes, BundleError> {
        self.parts.get(name).ok_or_else(|| BundleError::NoPart {
            path: self.folder.clone(),
            name: name.to_owned(),
            present: self.parts().map(str::to_owned).collect(),
        })
    }
}

impl fmt::Debug for Bundle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Bundle");
        shown.field("folder", &self.folder).field("manifest", &self.manifest).finish_non_exhaustive()
    }
}

/// What is at a path at one moment.
#[derive(PartialEq, Eq)]
enum Sight {
    /// A folder with a manifest, of which these are the bytes.
    Bundle { folder: PathBuf, manifest: Vec<u8> },
    /// Anything else, or nothing.
    Other { path: PathBuf },
}

impl Sight {
    /// Looks three times before it concludes that nothing is there: a model may just be being replaced.
    fn of(path: &Path) -> Self {
        let bundle = (0..3).find_map(|_| {
            let folder = find(path).unwrap_or_else(|| path.to_owned());
            read_manifest_bytes(&folder).ok().map(|manifest| Self::Bundle { folder, manifest })
        });
        bundle.unwrap_or_else(|| Self::Other { path: path.to_owned() })
    }

    fn read<T, E: From<BundleError>>(&self, make: impl Fn(&Bundle) -> Result<T, E>) -> Result<T, E> {
        match self {
            Self::Bundle { folder, manifest } => read_bundle(folder, manifest)?.verified(make),
            Self::Other { path } => Err(why_not(path).into()),
        }
    }
}

/// Why there is no manifest to be read at a path.
fn why_not(path: &Path) -> BundleError {
    let found = match read_manifest_bytes(path) {
        Err(BundleError::Missing { .. }) if path.is_dir() => "a folder without config.json",
        Err(BundleError::Missing { .. }) if path.exists() => "this is a file; give its folder",
        Err(BundleError::Missing { .. }) => "there is no such folder",
        Err(error) => return error,
        Ok(_) => "it appeared just now; try again",
    };
    BundleError::NoModel { path: path.to_owned(), found }
}

/// Reads a model, of which nothing but the sizes is verified.
fn read_bundle(folder: &Path, manifest: &[u8]) -> Result<Bundle, BundleError> {
    let manifest = Manifest::parse(manifest, &folder.join(MANIFEST))?;
    let bytes = manifest.files.values().fold(0_u64, |sum, file| sum.saturating_add(file.bytes));
    if bytes > BUNDLE_LIMIT {
        return Err(BundleError::TooLarge { path: folder.to_owned(), bytes, limit: BUNDLE_LIMIT });
    }
    let mut parts = BTreeMap::new();
    for (name, record) in &manifest.files {
        parts.insert(name.clone(), read_part(&folder.join(name), record)?.into());
    }
    if let Ok(card) = read_limited(&folder.join(CARD), CARD_LIMIT) {
        parts.entry(CARD.to_owned()).or_insert(card.into());
    }
    Ok(Bundle { folder: folder.to_owned(), manifest, parts })
}

/// Reads a part once and verifies how long it is.
fn read_part(path: &Path, record: &FileRecord) -> Result<Vec<u8>, BundleError> {
    let size = |found| BundleError::Size { path: path.to_owned(), expected: record.bytes, found };
    let found = file_size(path)?;
    if found != record.bytes {
        return Err(size(found));
    }
    let bytes = read_limited(path, record.bytes)?;
    let read = bytes.len() as u64;
    if read == record.bytes { Ok(bytes) } else { Err(size(read)) }
}
