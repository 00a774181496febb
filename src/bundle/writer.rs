//! Collecting the parts of a model and saving them in one step.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;
use serde_json::Value;

use super::clock::rfc3339;
use super::manifest::{
    BUNDLE_LIMIT, CARD, FileRecord, MANIFEST, Manifest, Outline, WEIGHTS, check_json, is_part_name,
};
use super::weights::encode;
use super::{BundleError, Weights};
use crate::files::{NewFolder, Swap, Target, check_replaceable, swap_names};

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
    /// [`BundleError::Encode`] if JSON cannot hold the value, [`BundleError::TooLarge`] beyond 256 MiB, otherwise as
    /// for [`text`](Self::text).
    pub fn json(self, name: &str, value: &(impl Serialize + ?Sized)) -> Result<Self, BundleError> {
        let mut bytes = serde_json::to_vec(value)
            .map_err(|error| BundleError::Encode { name: name.to_owned(), error })?;
        bytes.push(b'\n');
        check_json(&bytes, || name.into())?;
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

    /// Adds a part that is neither JSON nor text nor tensors of ours, byte for byte.
    ///
    /// # Errors
    ///
    /// As for [`text`](Self::text).
    pub fn bytes(self, name: &str, bytes: impl Into<Vec<u8>>) -> Result<Self, BundleError> {
        self.part(name, bytes.into())
    }

    /// Adds the weights, as `model.safetensors`.
    ///
    /// # Errors
    ///
    /// [`BundleError::Weights`] names a tensor whose values do not fit its shape or are not all finite;
    /// [`BundleError::PartTwice`] if weights are there already.
    pub fn weights(self, weights: &Weights) -> Result<Self, BundleError> {
        self.tensors(WEIGHTS, weights)
    }

    /// Adds tensors that are not the model's own, such as those of its encoder.
    ///
    /// # Errors
    ///
    /// As [`weights`](Self::weights), and if the name cannot be that of a part.
    pub fn tensors(self, name: &str, weights: &Weights) -> Result<Self, BundleError> {
        let bytes = encode(weights).map_err(|problem| BundleError::Weights { path: name.into(), problem })?;
        self.part(name, bytes)
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
    /// created. What interrupted saves have left beside the place is deleted.
    ///
    /// # Errors
    ///
    /// [`BundleError::TooLarge`] if all parts together are more than a bundle may hold,
    /// [`BundleError::Occupied`] if something other than a model or an empty folder is there,
    /// [`BundleError::Stranger`] if files lie there that are not the model's, [`BundleError::Io`] if the
    /// system refuses. What was at the place is then still there, and nothing lies beside it; only if the
    /// very last step fails, waiting for the disk to know the new name, is the new model there already.
    pub fn save(&self, place: impl AsRef<Path>) -> Result<PathBuf, BundleError> {
        self.save_by(place.as_ref(), swap_names)
    }

    /// [`save`](Self::save), with a choice of how names are swapped.
    pub(super) fn save_by(&self, place: &Path, swap: Swap) -> Result<PathBuf, BundleError> {
        let bytes = self.parts.values().map(|bytes| bytes.len() as u64).sum();
        if bytes > BUNDLE_LIMIT {
            return Err(BundleError::TooLarge { path: place.to_owned(), bytes, limit: BUNDLE_LIMIT });
        }
        let target = Target::at(place)?;
        check_replaceable::<Outline>(&target.path())?;
        let folder = NewFolder::create(target)?;
        for (name, bytes) in &self.parts {
            folder.write(name, bytes)?;
        }
        folder.write(MANIFEST, &self.manifest().seal()?)?;
        folder.publish::<Outline>(swap)?;
        Ok(place.to_owned())
    }

    fn manifest(&self) -> Manifest {
        let listed = self.parts.iter().filter(|(name, _)| *name != CARD);
        let files = listed.map(|(name, bytes)| (name.clone(), FileRecord::of(bytes))).collect();
        Manifest::new(&self.kind, rfc3339(SystemTime::now()), files, self.config.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io;

    use serde_json::json;

    use super::*;
    use crate::bundle::tests::{TestResult, cannot_swap, names_in};
    use crate::bundle::{Bundle, Weight, WeightError};
    use crate::files::Occupant;

    fn model(label: &str) -> Result<BundleWriter, BundleError> {
        let weight = Weight::f32(vec![2, 3], vec![0.1, -0.2, 0.3, 1e30, -0.0, 1e-40]);
        BundleWriter::new("nlu", &json!({ "layers": 2, "rate": 0.1, "b": 1, "a": null }))?
            .json("labels.json", &[label])?
            .text(CARD, "# A model\n")?
            .weights(&Weights::from([("layer.0.weight".to_owned(), weight)]))
    }

    fn label(place: &Path) -> Result<String, BundleError> {
        Bundle::open(place)?.json::<[String; 1]>("labels.json").map(|[label]| label)
    }

    #[test]
    fn same_model_same_bytes() -> TestResult {
        let folder = tempfile::tempdir()?;
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        model("greet")?.save(&one)?;
        model("greet")?.save(&other)?;
        assert_eq!(names_in(&one)?, [CARD, MANIFEST, "labels.json", WEIGHTS]);
        for name in [CARD, "labels.json", WEIGHTS] {
            assert_eq!(fs::read(one.join(name))?, fs::read(other.join(name))?, "{name}");
        }
        let lines = |place: &Path| fs::read_to_string(place.join(MANIFEST));
        let (one, other) = (lines(&one)?, lines(&other)?);
        let differing: Vec<_> = one.lines().zip(other.lines()).filter(|(one, other)| one != other).collect();
        assert_eq!(differing.len(), 2);
        assert!(differing[0].0.contains("checksum") && differing[1].0.contains("created"));
        Ok(())
    }

    #[test]
    fn a_saved_model_replaces_the_one_before_it() -> TestResult {
        for swap in [swap_names, cannot_swap as Swap] {
            let folder = tempfile::tempdir()?;
            let place = folder.path().join("deep/er/model");
            model("old")?.text("extra.txt", "")?.save_by(&place, swap)?;
            assert_eq!(model("new")?.save_by(&place, swap)?, place);
            assert_eq!(label(&place)?, "new");
            assert!(!place.join("extra.txt").exists(), "nothing of the old one is left");
            assert_eq!(names_in(&folder.path().join("deep/er"))?, ["model"]);
        }
        Ok(())
    }

    #[test]
    fn an_error_midway_leaves_the_old_model_alone() -> TestResult {
        let folder = tempfile::tempdir()?;
        let place = folder.path().join("model");
        model("old")?.save(&place)?;
        let mut broken = model("new")?;
        broken.parts.insert("no/such/folder".to_owned(), Vec::new()); // written last, and impossible
        let error = broken.save(&place).unwrap_err();
        assert!(error.to_string().starts_with("cannot write"), "{error}");
        assert_eq!(label(&place)?, "old");
        assert_eq!(names_in(folder.path())?, ["model"]);
        Ok(())
    }

    #[test]
    fn an_error_while_moving_leaves_the_old_model_alone() -> TestResult {
        let folder = tempfile::tempdir()?;
        let place = folder.path().join("model");
        model("old")?.save(&place)?;
        let blocking = folder.path().join(".model.old");
        fs::create_dir(&blocking)?;
        fs::write(blocking.join("notes.txt"), "mine")?;
        let error = model("new")?.save_by(&place, cannot_swap).unwrap_err();
        assert!(error.to_string().starts_with("cannot move away"), "{error}");
        assert_eq!(label(&place)?, "old");
        assert_eq!(fs::read(blocking.join("notes.txt"))?, b"mine");
        assert_eq!(names_in(folder.path())?, [".model.old", "model"]);
        Ok(())
    }

    #[test]
    fn an_error_between_two_steps_brings_the_old_model_back() -> TestResult {
        let folder = tempfile::tempdir()?;
        let place = folder.path().join("model");
        model("old")?.save(&place)?;
        let lose_the_new_one: Swap =
            |new, _| fs::remove_dir_all(new).and(Err(io::ErrorKind::Unsupported.into()));
        let error = model("new")?.save_by(&place, lose_the_new_one).unwrap_err();
        assert!(error.to_string().starts_with("cannot move what was written to"), "{error}");
        assert_eq!(names_in(folder.path())?, ["model"]);
        assert_eq!(label(&place)?, "old");
        Ok(())
    }

    #[test]
    fn a_save_cut_between_two_steps_is_recovered() -> TestResult {
        let folder = tempfile::tempdir()?;
        let (place, old) = (folder.path().join("model"), folder.path().join(".model.old"));
        model("old")?.save(&place)?;
        fs::rename(&place, &old)?; // here the power failed
        assert_eq!(label(&place)?, "old");
        assert_eq!(Bundle::open(&place)?.folder(), old);
        model("new")?.save(&place)?;
        assert_eq!(label(&place)?, "new");
        assert_eq!(names_in(folder.path())?, ["model"]);
        Ok(())
    }

    #[test]
    fn what_is_not_a_model_is_never_replaced() -> TestResult {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("notes.txt");
        fs::write(&file, "mine")?;
        let others = folder.path().join("others");
        fs::create_dir(&others)?;
        fs::write(others.join(MANIFEST), r#"{ "model_type": "bert" }"#)?;
        for (place, found) in [(&file, Occupant::File), (&others, Occupant::OtherFolder)] {
            let error = model("new")?.save(place).unwrap_err();
            assert!(matches!(error, BundleError::Occupied { found: what, .. } if what == found));
        }
        assert_eq!(fs::read(&file)?, b"mine");
        assert_eq!(names_in(folder.path())?, ["notes.txt", "others"]);
        assert_eq!(names_in(&others)?, [MANIFEST]);
        assert!(matches!(model("new")?.save(Path::new("/")), Err(BundleError::Nameless { .. })));
        Ok(())
    }

    #[test]
    fn files_that_are_not_the_models_are_never_deleted() -> TestResult {
        let folder = tempfile::tempdir()?;
        let place = folder.path().join("model");
        model("old")?.save(&place)?;
        fs::write(place.join("notes.txt"), "mine")?;
        let error = model("new")?.save(&place).unwrap_err();
        assert!(
            matches!(error, BundleError::Stranger { path } if path == place.canonicalize()?.join("notes.txt"))
        );
        assert_eq!(label(&place)?, "old");
        fs::rename(place.join("notes.txt"), place.join(".DS_Store"))?; // not worth keeping
        model("new")?.save(&place)?;
        assert_eq!(label(&place)?, "new");
        Ok(())
    }

    #[test]
    fn an_empty_folder_may_be_replaced() -> TestResult {
        let folder = tempfile::tempdir()?;
        model("new")?.save(folder.path())?;
        assert_eq!(label(folder.path())?, "new");
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_followed_even_when_nothing_is_there_yet() -> TestResult {
        let folder = tempfile::tempdir()?;
        let (link, place) = (folder.path().join("latest"), folder.path().join("runs/one"));
        std::os::unix::fs::symlink("runs/one", &link)?;
        for name in ["first", "second"] {
            model(name)?.save(&link)?;
            assert!(link.is_symlink());
            assert_eq!(label(&place)?, name);
        }
        fs::rename(&place, folder.path().join("runs/.one.old"))?;
        assert_eq!(label(&link)?, "second", "recovered through the link");
        Ok(())
    }

    #[test]
    fn parts_need_names_of_their_own() -> TestResult {
        let twice = model("a")?.text("Labels.JSON", "");
        assert!(matches!(twice, Err(BundleError::PartTwice { name }) if name == "Labels.JSON"));
        for name in ["../a", "config.json", "a/b", ""] {
            assert!(matches!(model("a")?.text(name, ""), Err(BundleError::PartName { .. })), "{name}");
        }
        let keys = std::collections::HashMap::from([((1, 2), 3)]);
        assert!(matches!(model("a")?.json("keys.json", &keys), Err(BundleError::Encode { .. })));
        Ok(())
    }

    #[test]
    fn unusable_weights_are_not_saved() -> TestResult {
        let refusal = |shape: &[usize], values: &[f32]| {
            let weight = Weight::f32(shape.to_vec(), values.to_vec());
            let outcome = BundleWriter::new("nlu", &())?.weights(&Weights::from([("w".to_owned(), weight)]));
            Ok::<_, BundleError>(outcome.expect_err("refused").to_string())
        };
        assert_eq!(
            refusal(&[2, 3], &[0.0; 5])?,
            "model.safetensors: tensor `w` of shape [2, 3] comes with 5 values; their product must be equal"
        );
        assert_eq!(
            refusal(&[2], &[0.0, f32::NEG_INFINITY])?,
            "model.safetensors: tensor `w` holds -inf at position 1; training diverged: lower the learning rate"
        );
        assert!(refusal(&[usize::MAX, 2], &[])?.contains("product"));
        for name in ["__metadata__", "table/rows"] {
            let reserved = Weights::from([(name.to_owned(), Weight::f32(vec![0], vec![]))]);
            let error = BundleWriter::new("nlu", &())?.weights(&reserved).unwrap_err();
            assert!(matches!(error, BundleError::Weights { problem: WeightError::Name { .. }, .. }));
        }
        Ok(())
    }
}
