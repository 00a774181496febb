//! Errors of downloads.

use std::io;
use std::path::{Path, PathBuf};

/// An encoder cannot be downloaded. Every message names the address or the file and says what to do.
///
/// Addresses are those of the hub, never the signed ones that it redirects to, and no message holds the token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// No name of a repository.
    #[error(
        "`{repository}` is no name of a repository; write `name` or `owner/name`, of letters, digits, `-`, `_` and `.`"
    )]
    Repository {
        /// What was given.
        repository: String,
    },
    /// No name of a branch, tag or commit.
    #[error("`{revision}` is no revision; write a branch such as `main`, a tag or a commit")]
    Revision {
        /// What was given.
        revision: String,
    },
    /// No address of a hub.
    #[error(
        "`{endpoint}` is no address of a hub; write it as `https://huggingface.co`, without a name, password or query"
    )]
    Endpoint {
        /// What was given, without any name and password.
        endpoint: String,
    },
    /// The token is empty or has characters that no token has. It is not shown.
    #[error(
        "the token is empty, or has a space, a line break or another character that no token has; copy it again"
    )]
    Token,
    /// No such repository, or no encoder in it.
    #[error(
        "{url}: not found; check the name of the repository and the revision, and that it holds an encoder of its own"
    )]
    NotFound {
        /// The address.
        url: String,
    },
    /// The hub requires access rights.
    #[error(
        "{url}: the hub refuses it (status {status}); check the name of the repository, or use a token that may read it, after accepting its terms on its page"
    )]
    Denied {
        /// The address.
        url: String,
        /// 401 or 403.
        status: u16,
    },
    /// Any other answer than the file.
    #[error("{url}: the server answers with status {status} instead of the file; try again later")]
    Status {
        /// The address.
        url: String,
        /// What it answers.
        status: u16,
    },
    /// A file that the encoder needs is not in the repository.
    #[error("{url}: there is no such file; {hint}")]
    Missing {
        /// The address.
        url: String,
        /// What to do.
        hint: &'static str,
    },
    /// Weights in no format that is opened here.
    #[error(
        "{repository} has no safetensors weights; convert them, in Python: \
         `from transformers import AutoModel; AutoModel.from_pretrained('{repository}').save_pretrained(FOLDER, safe_serialization=True)`, \
         and save its tokenizer to the same folder"
    )]
    NoSafetensors {
        /// The repository.
        repository: String,
    },
    /// No connection, or it broke off or fell silent.
    #[error("{url}: cannot be reached; check the network and start again, whole files are kept")]
    Network {
        /// The address.
        url: String,
        /// What happened.
        #[source]
        error: io::Error,
    },
    /// A redirect that is not followed.
    #[error("{url}: the server sends us on to `{to}`, and {problem}; check the address of the hub")]
    Redirect {
        /// The address.
        url: String,
        /// Where it leads, without its query.
        to: String,
        /// Why not.
        problem: &'static str,
    },
    /// More or fewer bytes than announced.
    #[error("{url}: {found} bytes came instead of {expected}; start again, whole files are kept")]
    Length {
        /// The address.
        url: String,
        /// What was announced.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// Larger than this file may be.
    #[error("{url}: larger than the limit of {most} bytes; raise it if you trust the repository")]
    TooLarge {
        /// The address.
        url: String,
        /// The limit.
        most: u64,
    },
    /// Other bytes than announced.
    #[error(
        "{url}: the SHA-256 is {found} instead of {expected}; the file was changed on its way, start again or use another endpoint"
    )]
    Hash {
        /// The address.
        url: String,
        /// What was announced.
        expected: String,
        /// What came.
        found: String,
    },
    /// A file of the repository is invalid.
    #[error("{}: {problem}; the repository is damaged or no encoder", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A file cannot be written.
    #[error("{}: cannot be written; check the space and the rights there", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
}

impl HubError {
    /// `error` about this file.
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |error| Self::Io { path, error }
    }

    /// A file is invalid.
    pub(super) fn file(path: &Path, problem: impl ToString) -> Self {
        Self::File { path: path.to_owned(), problem: problem.to_string() }
    }
}
