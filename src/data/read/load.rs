//! From a path to data: a file, or all files of a folder.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::format::{Reader, readers_for};
use super::{Format, Limits, ReadError};
use crate::data::{Source, TrainingData};

/// Reads labelled data from a file or a folder, within the default [`Limits`].
///
/// A file is taken by its extension; one named `.json` must hold JSON Lines. A folder is read with all
/// folders in it, in order of the names; hidden files, files of other kinds, YAML files without `nlu`
/// (domain, stories, configuration) and `.json` files of other content are passed over, but for the responses
/// of a domain to retrieval intents. Links are followed, nothing is read twice.
///
/// # Errors
///
/// [`ReadError`] names file, line and fix.
///
/// # Example
///
/// ```no_run
/// let data = talkformer::data::read("data/nlu.yml")?;
/// for (intent, examples) in data.intents() {
///     println!("{intent}: {examples}");
/// }
/// # Ok::<(), talkformer::data::ReadError>(())
/// ```
pub fn read(path: impl AsRef<Path>) -> Result<TrainingData, ReadError> {
    read_with(path, &Limits::default())
}

/// [`read`] within other limits.
///
/// # Errors
///
/// As [`read`].
pub fn read_with(path: impl AsRef<Path>, limits: &Limits) -> Result<TrainingData, ReadError> {
    let path = path.as_ref();
    let mut data = TrainingData::default();
    if path.is_dir() {
        let mut folder = Folder { limits, visited: HashSet::new(), files: 0, data: &mut data };
        folder.read(path)?;
        if folder.files == 0 {
            return Err(ReadError::EmptyFolder { path: path.to_owned() });
        }
        return Ok(data);
    }
    let text = text_of(path, limits)?;
    let reader = readers_for(path).find(|reader| reader.owns(path) || (reader.recognise)(&text));
    let reader = reader.ok_or_else(|| ReadError::UnknownFormat { path: path.to_owned() })?;
    read_text(reader, &text, path, limits, &mut data)?;
    Ok(data)
}

/// Reads labelled data that is in memory already; `name` stands for the file in messages.
///
/// # Errors
///
/// As [`read`].
///
/// # Example
///
/// ```
/// use talkformer::data::{Format, read_str};
///
/// let text = "nlu:\n- intent: book\n  examples: |\n    - a table in [Rome](city)\n";
/// let data = read_str(Format::RasaYaml, text, "built in")?;
/// assert_eq!(data.utterances[0].text, "a table in Rome");
/// assert_eq!(data.utterances[0].source.to_string(), "built in:4");
/// # Ok::<(), talkformer::data::ReadError>(())
/// ```
pub fn read_str(format: Format, text: &str, name: &str) -> Result<TrainingData, ReadError> {
    let mut data = TrainingData::default();
    read_text(format.reader(), text, Path::new(name), &Limits::default(), &mut data)?;
    Ok(data)
}

/// A walk through a folder.
struct Folder<'a> {
    limits: &'a Limits,
    /// Real paths, so that links neither loop nor repeat.
    visited: HashSet<PathBuf>,
    /// How many files had data.
    files: usize,
    data: &'a mut TrainingData,
}

impl Folder<'_> {
    fn read(&mut self, folder: &Path) -> Result<(), ReadError> {
        for path in sorted_entries(folder)? {
            let Ok(metadata) = fs::metadata(&path) else { continue }; // a link to nowhere
            let known = metadata.is_dir() || metadata.is_file() && readers_for(&path).next().is_some();
            if !known || !self.visited.insert(fs::canonicalize(&path).map_err(io_error(&path))?) {
                continue;
            }
            if metadata.is_dir() {
                self.read(&path)?;
            } else {
                self.read_file(&path)?;
            }
        }
        Ok(())
    }

    fn read_file(&mut self, path: &Path) -> Result<(), ReadError> {
        let text = text_of(path, self.limits)?;
        let Some(reader) = readers_for(path).find(|reader| (reader.recognise)(&text)) else { return Ok(()) };
        match read_text(reader, &text, path, self.limits, self.data) {
            Ok(()) => self.files += 1,
            Err(ReadError::NoNlu { .. } | ReadError::Empty { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// The paths in a folder that are not hidden, in order of their names.
fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let entries = fs::read_dir(folder).map_err(io_error(folder))?;
    let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
    let mut names = names.collect::<io::Result<Vec<_>>>().map_err(io_error(folder))?;
    names.retain(|name| !name.as_encoded_bytes().starts_with(b"."));
    names.sort();
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// The content of a file, checked for length and encoding.
fn text_of(path: &Path, limits: &Limits) -> Result<String, ReadError> {
    let file = fs::File::open(path).map_err(io_error(path))?;
    let mut bytes = Vec::new();
    file.take(limits.bytes as u64 + 1).read_to_end(&mut bytes).map_err(io_error(path))?;
    if bytes.len() <= limits.bytes {
        return String::from_utf8(bytes).map_err(|error| {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = good.split(|&byte| byte == b'\n').count();
            ReadError::Encoding { at: Source::new(path, line) }
        });
    }
    Err(too_long(path, limits))
}

fn too_long(path: &Path, limits: &Limits) -> ReadError {
    ReadError::TooLarge { at: Source::new(path, 0), reason: format!("{} bytes", limits.bytes) }
}

fn read_text(
    reader: &Reader,
    text: &str,
    path: &Path,
    limits: &Limits,
    data: &mut TrainingData,
) -> Result<(), ReadError> {
    if text.len() > limits.bytes {
        return Err(too_long(path, limits));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    (reader.read)(text, path, limits, data)
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> ReadError {
    let path = path.to_owned();
    |error| ReadError::Io { path, error }
}

#[cfg(test)]
mod tests {
    use tempfile::{TempDir, tempdir};

    use super::*;

    const NLU: &str = "nlu:\n- intent: greet\n  examples: |\n    - hi\n";

    fn folder(files: &[(&str, &[u8])]) -> TempDir {
        let folder = tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        folder
    }

    fn message(path: &Path) -> String {
        read(path).unwrap_err().to_string()
    }

    #[test]
    fn a_folder_is_read_in_order_of_names_without_its_other_files() {
        let folder = folder(&[
            ("b.yml", b"nlu:\n- intent: two\n  examples: |\n    - b\n"),
            ("a/c.yaml", NLU.as_bytes()),
            ("z.jsonl", br#"{"text": "last"}"#),
            ("y.json", br#"{"text": "before"}"#),
            ("domain.yml", b"intents: [nlu, greet]\n"),
            ("faq.yml", b"responses:\n  utter_faq/a:\n  - text: A\n"),
            ("stories.yml", b"stories:\n- steps: {{ broken\n"),
            ("empty.yml", b"# nlu\n"),
            ("package.json", b"{\n\"name\": 1}"),
            ("notes.txt", b"\xff"),
            (".hidden.yml", b"nlu: broken"),
            (".git/x.yml", b"nlu: broken"),
        ]);
        let data = read(folder.path()).unwrap();
        let texts: Vec<_> = data.utterances.iter().map(|utterance| utterance.text.as_str()).collect();
        assert_eq!(texts, ["hi", "b", "before", "last"]);
        assert_eq!(data.responses["utter_faq/a"][0]["text"], "A");
        assert!(data.utterances[0].source.to_string().ends_with("a/c.yaml:4"));
    }

    #[test]
    fn a_folder_without_data_says_what_was_looked_for() {
        let folder = folder(&[("domain.yml", b"intents: [a]"), ("x/readme.md", b"# nlu")]);
        let message = message(folder.path());
        assert!(
            message.contains("no training data in this folder; looked for Rasa YAML (.yml, .yaml)"),
            "{message}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_neither_loop_nor_repeat() {
        use std::os::unix::fs::symlink;
        let folder = folder(&[("a/nlu.yml", NLU.as_bytes())]);
        symlink(folder.path(), folder.path().join("a/loop")).unwrap();
        symlink(folder.path().join("a/nlu.yml"), folder.path().join("again.yml")).unwrap();
        symlink("nowhere", folder.path().join("broken.yml")).unwrap();
        assert_eq!(read(folder.path()).unwrap().utterances.len(), 1);
        let linked = folder.path().join("again.yml");
        assert_eq!(read(&linked).unwrap().utterances.len(), 1);
    }

    #[test]
    fn one_bad_file_in_a_folder_is_an_error_with_its_place() {
        let folder = folder(&[("a.yml", NLU.as_bytes()), ("b.yml", b"nlu:\n- intent: x\n  examples: \"a\n")]);
        let message = message(folder.path());
        assert!(message.contains("b.yml:3: not valid YAML"), "{message}");
    }

    #[test]
    fn bad_bytes_are_found_by_line() {
        let folder = folder(&[("a.yml", b"nlu:\n- intent: x\n  examples: |\n    - caf\xe9\n")]);
        let message = message(&folder.path().join("a.yml"));
        assert!(message.ends_with("a.yml:4: not valid UTF-8; save the file as UTF-8"), "{message}");
    }

    #[test]
    fn unknown_files_are_answered_with_the_known_formats() {
        let folder = folder(&[("a.md", b"## intent:x"), ("b.json", b"{\"rasa_nlu_data\": {}}"), ("c", b"")]);
        for name in ["a.md", "b.json", "c"] {
            let message = message(&folder.path().join(name));
            assert!(message.contains("bring one of: Rasa YAML (.yml, .yaml), JSON Lines"), "{message}");
        }
        let missing = message(&folder.path().join("missing.yml"));
        assert!(missing.contains("cannot read") && missing.contains("missing.yml"), "{missing}");
    }

    #[test]
    fn a_byte_order_mark_is_no_text() {
        let folder = folder(&[("a.jsonl", "\u{feff}{\"text\": \"a\"}".as_bytes())]);
        assert_eq!(read(folder.path().join("a.jsonl")).unwrap().utterances[0].text, "a");
        let yaml = read_str(Format::RasaYaml, &format!("\u{feff}{NLU}"), "x").unwrap();
        assert_eq!(yaml.utterances[0].source.to_string(), "x:4");
    }

    #[test]
    fn limits_hold() {
        let folder = folder(&[("a.yml", NLU.as_bytes())]);
        let small = Limits { bytes: 10, ..Limits::default() };
        let message = read_with(folder.path(), &small).unwrap_err().to_string();
        assert!(message.contains("over the limit of what is accepted (10 bytes)"), "{message}");
        let few = Limits { nodes: 3, ..Limits::default() };
        assert!(matches!(read_with(folder.path(), &few), Err(ReadError::TooLarge { .. })));
    }
}
