//! Why a model could not be saved or opened: which file, what is wrong, and what to do.

use std::io;
use std::path::PathBuf;

use crate::files::{FolderError, Occupant};
use crate::numbers::TableError;

/// A model that cannot be saved, found or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The operating system refuses.
    #[error("cannot {action} {}; check the path, its permissions and the free space", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// The path to save at has no last part, such as `..` or `/`.
    #[error("{}: a model needs a folder of its own; give a path that ends in its name", path.display())]
    Nameless {
        /// The path.
        path: PathBuf,
    },
    /// Something else is where a model should be saved.
    #[error(
        "{}: is {found} and not a talkformer model, so nothing was changed; choose another place or move it \
         away",
        path.display()
    )]
    Occupied {
        /// The place.
        path: PathBuf,
        /// What is there.
        found: Occupant,
    },
    /// The model to be replaced shares its folder with something else.
    #[error(
        "{}: is not part of the model in this folder and would be deleted with it; move it away or choose \
         another place",
        path.display()
    )]
    Stranger {
        /// The file or folder that would be lost.
        path: PathBuf,
    },
    /// No model where one was looked for.
    #[error(
        "{}: no model here ({found}); looked for a `config.json` with \"format\": \"talkformer-bundle\" in \
         this folder and in the folders directly inside it; give the path that training printed",
        path.display()
    )]
    NoModel {
        /// Where.
        path: PathBuf,
        /// What is there instead.
        found: &'static str,
    },
    /// A `config.json` of something else.
    #[error(
        "{}: not the manifest of a talkformer model: \"format\" is not \"talkformer-bundle\"; give the \
         folder of a model that talkformer saved",
        path.display()
    )]
    UnknownFormat {
        /// The manifest.
        path: PathBuf,
    },
    /// A format from the future.
    #[error(
        "{}: written by a newer talkformer, format {found}; this one reads format {supported}: update \
         talkformer or train the model again",
        path.display()
    )]
    NewerFormat {
        /// The manifest.
        path: PathBuf,
        /// The format of the model.
        found: u64,
        /// The format known here.
        supported: u32,
    },
    /// A format from the past.
    #[error(
        "{}: written by an older talkformer, format {found}; this one reads format {supported}: train the \
         model again",
        path.display()
    )]
    OlderFormat {
        /// The manifest.
        path: PathBuf,
        /// The format of the model.
        found: u64,
        /// The format known here.
        supported: u32,
    },
    /// A manifest that cannot be understood.
    #[error("{}: the manifest is not readable; copy or save the model again", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What the parser says.
        #[source]
        error: serde_json::Error,
    },
    /// A manifest that does not match its own checksum.
    #[error(
        "{}: altered since it was saved (its checksum does not fit); copy the model again, and change \
         settings by training, not in this file",
        path.display()
    )]
    ManifestAltered {
        /// The manifest.
        path: PathBuf,
    },
    /// A part with a name that could lead out of the folder, or that not every system can hold.
    #[error(
        "{}: `{name}` cannot be the name of a part; use letters, digits, `.`, `_` and `-`, at most 100, a \
         letter or digit first, other than config.json",
        path.display()
    )]
    PartName {
        /// The manifest or the place.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// Two parts with one name; upper and lower case count as the same.
    #[error("the model has two parts named `{name}`; rename one")]
    PartTwice {
        /// The name of the second.
        name: String,
    },
    /// A part that is not there.
    #[error("{}: missing, but the manifest lists it; copy the model again, with all its files", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A part of another size.
    #[error(
        "{}: {found} bytes, but the manifest says {expected}; the copy is incomplete or mixed up: copy the \
         model again",
        path.display()
    )]
    Size {
        /// The file.
        path: PathBuf,
        /// Bytes according to the manifest.
        expected: u64,
        /// Bytes there.
        found: u64,
    },
    /// A part of the right size with other bytes.
    #[error("{}: altered since it was saved (its SHA-256 does not fit); copy the model again", path.display())]
    Altered {
        /// The file.
        path: PathBuf,
    },
    /// A file, or all files together, beyond what is accepted.
    #[error("{}: {bytes} bytes, and at most {limit} are accepted", path.display())]
    TooLarge {
        /// The file or folder.
        path: PathBuf,
        /// Its bytes, as far as counted.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// A part the model never had.
    #[error("{}: the model has no part `{name}`; it has: {}", path.display(), present.join(", "))]
    NoPart {
        /// The model.
        path: PathBuf,
        /// The part asked for.
        name: String,
        /// Those it has.
        present: Vec<String>,
    },
    /// A part, or the configuration, that is not the JSON asked for.
    #[error("{}: not the JSON this model needs; it is of another kind or version", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        #[source]
        error: serde_json::Error,
    },
    /// A part that is no text.
    #[error("{}: not valid UTF-8, so it is no text", path.display())]
    Encoding {
        /// The file.
        path: PathBuf,
    },
    /// A value that JSON cannot hold, such as a map whose keys are no strings.
    #[error("`{name}` cannot be written as JSON")]
    Encode {
        /// The part.
        name: String,
        /// What the writer says.
        #[source]
        error: serde_json::Error,
    },
    /// Weights that cannot be written or read.
    #[error("{}: {problem}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong with them.
        problem: WeightError,
    },
}

impl BundleError {
    /// For `map_err`: a refusal of the system, with what was tried on which path.
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |error| Self::Io { action, path, error }
    }
}

/// What a parser says, without all of a long text that it repeats from the file.
pub(super) fn shortened(error: serde_json::Error) -> serde_json::Error {
    const LONGEST: usize = 1000;
    let text = error.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => serde::de::Error::custom(text[..end].to_owned() + "…"),
        None => error,
    }
}

impl From<FolderError> for BundleError {
    fn from(error: FolderError) -> Self {
        match error {
            FolderError::Io { action, path, error } => Self::Io { action, path, error },
            FolderError::Nameless { path } => Self::Nameless { path },
            FolderError::Occupied { path, found } => Self::Occupied { path, found },
            FolderError::Stranger { path } => Self::Stranger { path },
        }
    }
}

/// Weights that no model can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WeightError {
    /// The shape does not go with the number of values.
    #[error("tensor `{tensor}` of shape {shape:?} comes with {values} values; their product must be equal")]
    Shape {
        /// The tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
        /// How many values it has.
        values: usize,
    },
    /// Not a number, or infinite.
    #[error(
        "tensor `{tensor}` holds {value} at position {position}; training diverged: lower the learning rate"
    )]
    NotFinite {
        /// The tensor.
        tensor: String,
        /// The index of the first such value.
        position: usize,
        /// What it is: `NaN`, `inf` or `-inf`.
        value: String,
    },
    /// A name the file format keeps for itself.
    #[error("a tensor cannot be named `{tensor}`; rename it")]
    Name {
        /// The tensor.
        tensor: String,
    },
    /// Another number type.
    #[error("tensor `{tensor}` is {dtype}, which cannot be read here; copy or train the model again")]
    Type {
        /// The tensor.
        tensor: String,
        /// Its number type.
        dtype: String,
    },
    /// A table whose parts do not fit each other.
    #[error("table `{tensor}`: {problem}")]
    Table {
        /// The tensor.
        tensor: String,
        /// What is wrong.
        #[source]
        problem: TableError,
    },
    /// Bytes that are no safetensors file.
    #[error("not a safetensors file: {reason}")]
    Format {
        /// What is wrong.
        reason: String,
    },
}
