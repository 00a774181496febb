//! Which folder is meant: where a new model goes, and which saved one to open.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::BundleError;
use super::clock::stamp;
use super::manifest::{MANIFEST, Outline, is_part_name};
use crate::files::{NewFolder, Occupant, Target, check_replaceable};

/// The folder for a new model, for `--out OUT`.
///
/// | `OUT` is | the model goes to |
/// | --- | --- |
/// | not there yet | `OUT` |
/// | a model | `OUT`, replacing it |
/// | another folder | `OUT/STEM-YYYYMMDD-HHMMSS`, with `-2`, `-3`, … if taken; the time is UTC |
///
/// Nothing is created. Call it just before saving, so that runs which end in the same second do not
/// choose the same folder.
///
/// # Errors
///
/// [`BundleError::Occupied`] if `OUT` is a file, [`BundleError::PartName`] if `stem` is no plain name.
///
/// # Example
///
/// ```
/// use talkformer::bundle::choose_place;
///
/// # let folder = tempfile::tempdir()?;
/// # let models = folder.path();
/// assert_eq!(choose_place(&models.join("mine"), "nlu")?, models.join("mine"));
/// let dated = choose_place(models, "nlu")?; // models/nlu-20260131-235959
/// assert!(dated.starts_with(models) && dated != models);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn choose_place(out: impl AsRef<Path>, stem: &str) -> Result<PathBuf, BundleError> {
    let out = out.as_ref();
    if !is_folder_of_others(out)? {
        return Ok(out.to_owned());
    }
    let name = format!("{stem}-{}", stamp(SystemTime::now()));
    if !is_part_name(&name) {
        return Err(BundleError::PartName { path: out.to_owned(), name });
    }
    let later = (2..).map(|count| format!("{name}-{count}"));
    let mut names = std::iter::once(name.clone()).chain(later);
    let free = names.find(|name| !Target::named(out, name).is_taken());
    Ok(out.join(free.unwrap_or(name)))
}

/// Finds out before hours of training whether a model can be saved for `--out OUT`.
///
/// Creates the folders above, then creates and deletes a hidden folder where the model would be written.
///
/// # Errors
///
/// Whatever would keep [`BundleWriter::save`](super::BundleWriter::save) from saving there:
/// [`BundleError::Occupied`], [`BundleError::Stranger`], [`BundleError::Io`].
///
/// # Example
///
/// ```
/// use talkformer::bundle::check_writable;
///
/// # let folder = tempfile::tempdir()?;
/// check_writable(&folder.path().join("models/mine"))?;
///
/// std::fs::write(folder.path().join("notes.txt"), "")?;
/// assert!(check_writable(&folder.path().join("notes.txt")).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn check_writable(out: impl AsRef<Path>) -> Result<(), BundleError> {
    let out = out.as_ref();
    if is_folder_of_others(out)? {
        NewFolder::create(Target::named(out, "check"))?;
        return Ok(());
    }
    let target = Target::at(out)?;
    check_replaceable::<Outline>(&target.path())?;
    NewFolder::create(target)?;
    Ok(())
}

/// Whether a path is a folder but not a model.
fn is_folder_of_others(out: &Path) -> Result<bool, BundleError> {
    match fs::metadata(out) {
        Ok(metadata) if metadata.is_dir() => Ok(Outline::read(out).is_none()),
        Ok(_) => Err(BundleError::Occupied { path: out.to_owned(), found: Occupant::File }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(BundleError::io("reach", out)(error)),
    }
}

/// The model that `--model PATH` means: `PATH` itself, or the newest in that folder.
///
/// The newest is the one `created` last; of two at the same moment, the one whose name sorts last.
/// Hidden folders are ignored, except for a model left as `.NAME.old` by a save that was cut short: it
/// counts as `NAME`, and [`Bundle::open`](super::Bundle::open) finds it there.
///
/// # Errors
///
/// [`BundleError::NoModel`] if there is none, [`BundleError::Io`] if the folder cannot be listed.
///
/// # Example
///
/// ```
/// use talkformer::bundle::{BundleWriter, resolve};
///
/// # let folder = tempfile::tempdir()?;
/// # let models = folder.path();
/// let model = BundleWriter::new("nlu", &())?;
/// model.save(&models.join("monday"))?;
/// model.save(&models.join("friday"))?;
/// assert_eq!(resolve(models)?, models.join("friday"));
/// assert_eq!(resolve(&models.join("monday"))?, models.join("monday"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn resolve(path: impl AsRef<Path>) -> Result<PathBuf, BundleError> {
    let path = path.as_ref();
    if find(path).is_some() {
        return Ok(path.to_owned());
    }
    if let Some(newest) = newest_in(path)? {
        return Ok(newest);
    }
    if path.join(MANIFEST).exists() {
        return Ok(path.to_owned()); // opening it will say what is wrong with it
    }
    Err(BundleError::NoModel { path: path.to_owned(), found: what_is(path) })
}

fn what_is(path: &Path) -> &'static str {
    match path {
        path if path.is_dir() => "a folder without models",
        path if path.exists() => "this is a file; give its folder",
        _ => "there is no such folder",
    }
}

/// The folder that holds the model of a place: the place, or `.NAME.old` if the place is empty.
pub(super) fn find(place: &Path) -> Option<PathBuf> {
    if Outline::read(place).is_some() {
        return Some(place.to_owned());
    }
    let old = Target::at(place).ok()?.old();
    (!place.exists() && Outline::read(&old).is_some()).then_some(old)
}

fn newest_in(folder: &Path) -> Result<Option<PathBuf>, BundleError> {
    let mut names = BTreeSet::new();
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        outcome => outcome.map_err(BundleError::io("list", folder))?,
    };
    for entry in entries {
        let entry = entry.map_err(BundleError::io("list", folder))?;
        names.extend(place_name(entry.file_name()));
    }
    let dated = names.into_iter().filter_map(|name| Some((created(&folder.join(&name))?, name)));
    Ok(dated.max().map(|(_, name)| folder.join(name)))
}

/// The place an entry of a folder speaks for: itself, or `NAME` for `.NAME.old`.
fn place_name(entry: OsString) -> Option<OsString> {
    match entry.to_string_lossy().strip_prefix('.') {
        Some(hidden) => hidden.strip_suffix(".old").map(OsString::from),
        None => Some(entry),
    }
}

fn created(place: &Path) -> Option<String> {
    Outline::read(&find(place)?).map(|outline| outline.created().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::tests::{TestResult, names_in};
    use crate::bundle::{Bundle, BundleWriter};

    fn save(place: &Path) -> TestResult {
        BundleWriter::new("nlu", &())?.save(place)?;
        Ok(())
    }

    #[test]
    fn a_new_model_goes_to_out_or_beside_what_is_there() -> TestResult {
        let folder = tempfile::tempdir()?;
        let out = folder.path().join("model");
        assert_eq!(choose_place(&out, "nlu")?, out, "nothing there");
        save(&out)?;
        assert_eq!(choose_place(&out, "nlu")?, out, "a model");
        let dated = choose_place(folder.path(), "nlu")?;
        let name = dated.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        assert_eq!(dated.parent(), Some(folder.path()));
        assert!(name.len() == "nlu-20260131-235959".len() && name.starts_with("nlu-2"), "{name}");
        assert!(matches!(choose_place(folder.path(), "../nlu"), Err(BundleError::PartName { .. })));
        let file = out.join(MANIFEST);
        assert!(matches!(choose_place(&file, "nlu"), Err(BundleError::Occupied { .. })));
        Ok(())
    }

    #[test]
    fn places_chosen_in_one_second_differ() -> TestResult {
        let folder = tempfile::tempdir()?;
        let mut places = BTreeSet::new();
        for _ in 0..3 {
            let place = choose_place(folder.path(), "nlu")?;
            save(&place)?;
            places.insert(place);
        }
        let chosen = choose_place(folder.path(), "nlu")?;
        let target = |path: &Path| Target::at(path).map_err(BundleError::from);
        let _saving = NewFolder::create(target(&chosen)?).map_err(BundleError::from)?; // by another process
        let cut_short = choose_place(folder.path(), "nlu")?;
        save(&cut_short)?;
        fs::rename(&cut_short, target(&cut_short)?.old())?;
        places.extend([chosen, cut_short, choose_place(folder.path(), "nlu")?]);
        assert_eq!(places.len(), 6);
        Ok(())
    }

    #[test]
    fn a_place_that_cannot_be_written_is_noticed_early() -> TestResult {
        let folder = tempfile::tempdir()?;
        let out = folder.path().join("new/model");
        check_writable(&out)?;
        assert!(!out.exists() && out.parent().is_some_and(Path::exists));
        check_writable(folder.path())?;
        save(&out)?;
        check_writable(&out)?;
        fs::write(out.join("notes.txt"), "")?;
        assert!(matches!(check_writable(&out), Err(BundleError::Stranger { .. })));
        let file = out.join(MANIFEST);
        assert!(matches!(check_writable(&file), Err(BundleError::Occupied { .. })));
        assert!(matches!(check_writable(file.join("model")), Err(BundleError::Io { .. })));
        assert_eq!(names_in(folder.path())?, ["new"], "nothing is left behind");
        Ok(())
    }

    #[test]
    fn the_newest_model_of_a_folder_is_meant() -> TestResult {
        let folder = tempfile::tempdir()?;
        let place = |name: &str| folder.path().join(name);
        for name in ["b", "c", "a", ".hidden"] {
            save(&place(name))?;
        }
        fs::create_dir(place("z"))?;
        fs::write(place("z").join(MANIFEST), r#"{ "model_type": "bert" }"#)?;
        assert_eq!(resolve(folder.path())?, place("a"));
        assert_eq!(resolve(place("b"))?, place("b"));

        fs::rename(place("a"), place(".a.old"))?; // a save was cut short
        assert_eq!(resolve(folder.path())?, place("a"));
        assert_eq!(resolve(place("a"))?, place("a"));
        assert_eq!(Bundle::open(place("a"))?.folder(), place(".a.old"));
        Ok(())
    }

    #[test]
    fn of_two_models_of_one_moment_the_last_name_is_meant() -> TestResult {
        let folder = tempfile::tempdir()?;
        for name in ["b", "a"] {
            save(&folder.path().join(name))?;
        }
        fs::copy(folder.path().join("a").join(MANIFEST), folder.path().join("b").join(MANIFEST))?;
        assert_eq!(resolve(folder.path())?, folder.path().join("b"));
        Ok(())
    }

    #[test]
    fn where_no_model_is_the_error_says_what_is() -> TestResult {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("notes.txt");
        fs::write(&file, "")?;
        for (path, says) in [
            (folder.path().to_owned(), "(a folder without models)"),
            (folder.path().join("none"), "(there is no such folder)"),
            (file, "(this is a file; give its folder)"),
        ] {
            let error = resolve(&path).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("config.json"), "{error}");
            let error = Bundle::open(&path).unwrap_err().to_string();
            assert!(error.contains("no model here"), "{error}");
        }
        Ok(())
    }

    #[test]
    fn a_model_that_is_damaged_or_too_new_is_not_passed_over() -> TestResult {
        let folder = tempfile::tempdir()?;
        let newer =
            r#"{ "format": "talkformer-bundle", "format_version": 5, "created": "9999", "files": [] }"#;
        save(&folder.path().join("old"))?;
        fs::create_dir(folder.path().join("new"))?;
        fs::write(folder.path().join("new").join(MANIFEST), newer)?;
        assert_eq!(resolve(folder.path())?, folder.path().join("new"));
        fs::write(folder.path().join("new").join(MANIFEST), "{")?;
        assert_eq!(resolve(folder.path().join("new"))?, folder.path().join("new"));
        Ok(())
    }
}
