//! The content of `config.json`, and the checksum that it has of itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::BundleError;
use super::error::shortened;
use super::limited::read_limited;
use crate::files::{Contents, hex};

/// The format that is read and written.
///
/// 1: all weights in `f32`. 2: tables in five bits, matrices in `bf16`, n-grams written by what they share.
/// 3: the ensemble weights for intents, and the linear path. 4: confidence settings for use without the
/// linear path, and complete settings for several intents in one message.
pub const FORMAT_VERSION: u32 = 4;

/// The manifest's file name.
pub(super) const MANIFEST: &str = "config.json";
/// The model card's file name. People may edit it: it is neither listed nor verified.
pub(super) const CARD: &str = "README.md";
/// The weights' file name.
pub(super) const WEIGHTS: &str = "model.safetensors";

/// The most bytes of all parts together, which is room for a billion weights.
pub(super) const BUNDLE_LIMIT: u64 = 4 << 30;

const FORMAT: &str = "talkformer-bundle";
const MANIFEST_LIMIT: u64 = 4 << 20;
/// The most bytes of a part that is JSON: read into memory, it takes many times as much.
const JSON_LIMIT: u64 = 256 << 20;
const CHECKSUM_DIGITS: usize = 64;
/// How every manifest begins; the checksum follows.
const OPENING: &[u8] = b"{\n  \"checksum\": \"";

/// The content of `config.json`. The order here is the order there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    /// SHA-256 of this file with nothing between these quotes.
    checksum: String,
    /// Always [`FORMAT`].
    format: String,
    /// [`FORMAT_VERSION`].
    format_version: u32,
    /// What sort of model, such as `nlu`.
    pub(super) kind: String,
    /// RFC 3339, UTC, with nine digits of the second.
    pub(super) created: String,
    /// Program and version.
    created_by: String,
    /// Every verified part.
    pub(super) files: BTreeMap<String, FileRecord>,
    /// The model's own settings.
    pub(super) config: Value,
}

/// Size and hash of a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileRecord {
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

impl FileRecord {
    pub(super) fn of(content: &[u8]) -> Self {
        Self { bytes: content.len() as u64, sha256: hex(Sha256::new_with_prefix(content)) }
    }
}

/// As much of a manifest as every format, past or future, is expected to have.
#[derive(Deserialize)]
pub(super) struct Outline {
    format: String,
    #[serde(default)]
    created: Value,
    #[serde(default)]
    files: Value,
}

impl Outline {
    /// What the manifest in a folder says of itself; `None` if it is not one of ours.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        let bytes = read_manifest_bytes(folder).ok()?;
        serde_json::from_slice(&bytes).ok().filter(|outline: &Self| outline.format == FORMAT)
    }

    pub(super) fn created(&self) -> &str {
        self.created.as_str().unwrap_or_default()
    }
}

impl Contents for Outline {
    fn of(folder: &Path) -> Option<Self> {
        Self::read(folder)
    }

    fn includes(&self, file: &str) -> bool {
        [MANIFEST, CARD].contains(&file) || self.files.get(file).is_some()
    }
}

/// Refuses JSON that would take too much memory.
pub(super) fn check_json(json: &[u8], path: impl FnOnce() -> PathBuf) -> Result<(), BundleError> {
    let bytes = json.len() as u64;
    if bytes > JSON_LIMIT {
        Err(BundleError::TooLarge { path: path(), bytes, limit: JSON_LIMIT })
    } else {
        Ok(())
    }
}

/// The bytes of the manifest in a folder.
pub(super) fn read_manifest_bytes(folder: &Path) -> Result<Vec<u8>, BundleError> {
    read_limited(&folder.join(MANIFEST), MANIFEST_LIMIT)
}

impl Manifest {
    pub(super) fn new(
        kind: &str,
        created: String,
        files: BTreeMap<String, FileRecord>,
        config: Value,
    ) -> Self {
        Self {
            checksum: String::new(),
            format: FORMAT.to_owned(),
            format_version: FORMAT_VERSION,
            kind: kind.to_owned(),
            created,
            created_by: concat!("talkformer ", env!("CARGO_PKG_VERSION")).to_owned(),
            files,
            config,
        }
    }

    /// The bytes of `config.json`, with the checksum in its place.
    pub(super) fn seal(&self) -> Result<Vec<u8>, BundleError> {
        let mut bytes = serde_json::to_vec_pretty(self)
            .map_err(|error| BundleError::Encode { name: MANIFEST.to_owned(), error })?;
        bytes.push(b'\n');
        let length = (bytes.len() + CHECKSUM_DIGITS) as u64;
        if length > MANIFEST_LIMIT {
            return Err(BundleError::TooLarge {
                path: MANIFEST.into(),
                bytes: length,
                limit: MANIFEST_LIMIT,
            });
        }
        let checksum = hex(Sha256::new_with_prefix(&bytes));
        bytes.splice(OPENING.len()..OPENING.len(), checksum.into_bytes());
        Ok(bytes)
    }

    /// Reads the bytes of `config.json` at `path`.
    pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Self, BundleError> {
        let broken = |error| BundleError::Manifest { path: path.to_owned(), error: shortened(error) };
        check_format(&serde_json::from_slice(bytes).map_err(broken)?, path)?;
        if !is_sealed(bytes) {
            return Err(BundleError::ManifestAltered { path: path.to_owned() });
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(broken)?;
        match manifest.files.keys().find(|name| !is_part_name(name)) {
            Some(name) => Err(BundleError::PartName { path: path.to_owned(), name: name.clone() }),
            None => Ok(manifest),
        }
    }
}

/// Checks the format before anything else, so that the message is about the format.
fn check_format(value: &Value, path: &Path) -> Result<(), BundleError> {
    if value.get("format").and_then(Value::as_str) != Some(FORMAT) {
        return Err(BundleError::UnknownFormat { path: path.to_owned() });
    }
    match value.get("format_version").and_then(Value::as_u64) {
        Some(found) if found > u64::from(FORMAT_VERSION) => {
            Err(BundleError::NewerFormat { path: path.to_owned(), found, supported: FORMAT_VERSION })
        }
        Some(found) if found < u64::from(FORMAT_VERSION) => {
            Err(BundleError::OlderFormat { path: path.to_owned(), found, supported: FORMAT_VERSION })
        }
        _ => Ok(()),
    }
}

/// Whether the checksum fits the rest, byte for byte.
///
/// Comparing the parsed values is not enough: a parser may round a number, and its text would then differ.
fn is_sealed(bytes: &[u8]) -> bool {
    let Some((checksum, rest)) =
        bytes.strip_prefix(OPENING).and_then(|bytes| bytes.split_at_checked(CHECKSUM_DIGITS))
    else {
        return false;
    };
    hex(Sha256::new_with_prefix(OPENING).chain_update(rest)).as_bytes() == checksum
}

/// Whether a part may have this name: one that stays in its folder on every system.
pub(super) fn is_part_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    name.len() <= 100
        && name.bytes().all(plain)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && !name.ends_with('.')
        && !name.eq_ignore_ascii_case(MANIFEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_stay_in_the_folder_are_parts() {
        for name in ["labels.json", "a", "0.b_c-d", "README.md"] {
            assert!(is_part_name(name), "{name}");
        }
        let long = "a".repeat(101);
        for name in [
            "", ".", "..", "../a", "a/b", "a\\b", "/etc/passwd", "C:a", "a\0", "a ", "a.", ".hidden", "-a",
            "ä", "config.json", "Config.JSON", &long,
        ] {
            assert!(!is_part_name(name), "{name:?}");
        }
    }

    #[test]
    fn a_sealed_manifest_is_read_back_with_any_config() -> Result<(), BundleError> {
        // 0.1 + 0.2 and its like are where parsers of numbers err by one unit in the last place
        let config =
            serde_json::json!({ "rate": 0.1 + 0.2, "names": ["ä", "\"checksum\": \""], "none": null });
        let files = BTreeMap::from([("labels.json".to_owned(), FileRecord::of(b"[]"))]);
        let bytes = Manifest::new("nlu", "2026-01-01".to_owned(), files, config).seal()?;
        let manifest = Manifest::parse(&bytes, Path::new(MANIFEST))?;
        assert_eq!(manifest.checksum.len(), CHECKSUM_DIGITS);
        assert_eq!(manifest.config["names"][0], "ä");
        Ok(())
    }
}
