//! The list of known formats: the one place a further one is entered.

use std::path::Path;

use super::{Limits, ReadError, jsonl, rasa};
use crate::data::TrainingData;

/// A format of labelled data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Rasa's YAML with a list `nlu`.
    RasaYaml,
    /// A JSON object a line.
    JsonLines,
}

/// How a format is recognised and read.
pub(super) struct Reader {
    pub(super) format: Format,
    name: &'static str,
    extensions: &'static [&'static str],
    /// Extensions that belong to no other format, so the name alone decides.
    own: &'static [&'static str],
    /// A quick look whether a file of the right extension may hold such data.
    pub(super) recognise: fn(&str) -> bool,
    /// Adds the content of a file to the data.
    pub(super) read: fn(&str, &Path, &Limits, &mut TrainingData) -> Result<(), ReadError>,
}

/// Every format, one line each.
#[rustfmt::skip]
const READERS: &[Reader] = &[
    Reader { format: Format::RasaYaml, name: "Rasa YAML", extensions: &["yml", "yaml"], own: &["yml", "yaml"], recognise: rasa::recognise, read: rasa::read },
    Reader { format: Format::JsonLines, name: "JSON Lines", extensions: &["jsonl", "json"], own: &["jsonl"], recognise: jsonl::recognise, read: jsonl::read },
];

impl Format {
    /// The reader of this format.
    pub(super) fn reader(self) -> &'static Reader {
        READERS.iter().find(|reader| reader.format == self).expect("every format is in the list")
    }
}

impl Reader {
    /// Whether files of this name may be in this format.
    pub(super) fn takes(&self, path: &Path) -> bool {
        has_extension(path, self.extensions)
    }

    /// Whether files of this name can only be in this format.
    pub(super) fn owns(&self, path: &Path) -> bool {
        has_extension(path, self.own)
    }
}

/// The readers that may take a file of this name.
pub(super) fn readers_for(path: &Path) -> impl Iterator<Item = &'static Reader> {
    READERS.iter().filter(move |reader| reader.takes(path))
}

/// The formats and their extensions, for messages.
pub(super) fn known_formats() -> String {
    let described = READERS.iter().map(|reader| {
        let extensions: Vec<String> = reader.extensions.iter().map(|ext| format!(".{ext}")).collect();
        format!("{} ({})", reader.name, extensions.join(", "))
    });
    described.collect::<Vec<_>>().join(", ")
}

fn has_extension(path: &Path, known: &[&str]) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| known.iter().any(|one| one.eq_ignore_ascii_case(extension)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_a_reader_and_a_name() {
        for format in [Format::RasaYaml, Format::JsonLines] {
            assert_eq!(format.reader().format, format);
        }
        assert_eq!(known_formats(), "Rasa YAML (.yml, .yaml), JSON Lines (.jsonl, .json)");
        assert_eq!(readers_for(Path::new("a.YML")).count(), 1);
        assert_eq!(readers_for(Path::new("yml")).count(), 0);
    }
}
