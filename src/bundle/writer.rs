//! Collecting the parts of a model and saving them in one step.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::clock::Moment;
use super::disk::{create_folders, sync_folder, write_synced};
use super::manifest::{CARD, FileRecord, MANIFEST, Manifest, WEIGHTS, is_part_name};
use super::publish::{Swap, occupant, publish, swap_names};
use super::staging::{Staging, Target, clear_abandoned};
use super::weights::encode;
use super::{BundleError, Weights};

/// A model about to be saved.
///
/// Parts are held in memory until [`save`](Self::save), which may be called again, for another place or
/// after an error.
///
/// # Example
///
/// ```
/// use std::collections::BTreeMap;
/// use talkformer::bundle::{Bundle, BundleWriter};
///
/// # let folder = tempfile::tempdir()?;
/// let words = BTreeMap::from([("hello", 0), ("world", 1)]);
/// let model = BundleWriter::new("nlu", &serde_json::json!({ "layers": 2 }))?
///     .json("words.json", &words)?
///     .text("README.md", "# My first model\n")?;
/// let place = model.save(&folder.path().join("my-model"))?;
/// assert_eq!(Bundle::open(&place)?.text("README.md")?, "# My first model\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct BundleWriter {
    kind: String,
    config: Value,
    parts: BTreeMap<String, Vec<u8>>,
}

impl BundleWriter {
    /// Begins a model of a kind, such as `nlu`, with its settings.
    ///
    /// # Errors
    ///
    /// [`BundleError::Encode`] if JSON cannot hold the settings.
    pub fn new(kind: &str, config: &impl Serialize) -> Result<Self, BundleError> {
        let config = serde_json::to_value(config)
            .map_err(|error| BundleError::Encode { name: MANIFEST.to_owned(), error })?;
        Ok(Self { kind: kind.to_owned(), config, parts: BTreeMap::new() })
    }

    /// Adds a part as JSON on one line.
    ///
    /// Same model, same bytes: keep maps in a `BTreeMap`, since a `HashMap` has another order each time.
    ///
    /// # Errors
    ///
    /// [`BundleError::Encode`] if JSON cannot hold the value, otherwise as for [`text`](Self::text).
    pub fn json(self, name: &str, value: &(impl Serialize + ?Sized)) -> Result<Self, BundleError> {
        let mut bytes = serde_json::to_vec(value)
            .map_err(|error| BundleError::Encode { name: name.to_owned(), error })?;
        bytes.push(b'\n');
        self.part(name, bytes)
    }

    /// Adds a part as it is. `README.md` is the model card, which people may edit later.
    ///
    /// # Errors
    ///
    /// [`BundleError::PartName`] if not every system takes the name, [`BundleError::PartTwice`] if it is
    /// taken.
    pub fn text(self, name: &str, text: impl Into<String>) -> Result<Self, BundleError> {
        self.part(name, text.into().into_bytes())
    }

    /// Adds the weights, as `model.safetensors`.
    ///
    /// # Errors
    ///
    /// [`BundleError::Weights`] names a tensor whose values do not fit its shape or are not all finite;
    /// [`BundleError::PartTwice`] if weights are there already.
    pub fn weights(self, weights: &Weights) -> Result<Self, BundleError> {
        let bytes =
            encode(weights).map_err(|problem| BundleError::Weights { path: WEIGHTS.into(), problem })?;
        self.part(WEIGHTS, bytes)
    }

    fn part(mut self, name: &str, bytes: Vec<u8>) -> Result<Self, BundleError> {
        if !is_part_name(name) {
            return Err(BundleError::PartName { path: MANIFEST.into(), name: name.to_owned() });
        }
        if self.parts.keys().any(|taken| taken.eq_ignore_ascii_case(name)) {
            return Err(BundleError::PartTwice { name: name.to_owned() });
        }
        self.parts.insert(name.to_owned(), bytes);
        Ok(self)
    }

    /// Saves the model so that `place` is its folder, and returns `place`.
    ///
    /// A model that is there already is replaced in one step; a link is followed. Folders above are
    /// created. What saves cut short have left behind beside the place is cleared away.
    ///
    /// # Errors
    ///
    /// [`BundleError::Occupied`] if something other than a model or an empty folder is there,
    /// [`BundleError::Stranger`] if files lie there that are not the model's, [`BundleError::Io`] if the
    /// system refuses. What was at the place is then still there, and nothing lies beside it.
    pub fn save(&self, place: &Path) -> Result<PathBuf, BundleError> {
        self.save_by(place, swap_names)
    }

    /// [`save`](Self::save), with a choice of how an old model makes room.
    pub(super) fn save_by(&self, place: &Path, swap: Swap) -> Result<PathBuf, BundleError> {
        let target = Target::at(place)?;
        occupant(&target.path())?;
        create_folders(target.parent())?;
        clear_abandoned(target.parent());
        let staging = Staging::create(&target)?;
        self.write_into(staging.path())?;
        publish(&staging, &target, swap)?;
        Ok(place.to_owned())
    }

    fn write_into(&self, folder: &Path) -> Result<(), BundleError> {
        for (name, bytes) in &self.parts {
            write_synced(&folder.join(name), bytes)?;
        }
        write_synced(&folder.join(MANIFEST), &self.manifest().seal()?)?;
        sync_folder(folder)
    }

    fn manifest(&self) -> Manifest {
        let listed = self.parts.iter().filter(|(name, _)| *name != CARD);
        let files = listed.map(|(name, bytes)| (name.clone(), FileRecord::of(bytes))).collect();
        Manifest::new(&self.kind, Moment::now().rfc3339(), files, self.config.clone())
    }
}
