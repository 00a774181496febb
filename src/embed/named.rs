//! Encoders by name: where they are on this machine.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::Pretrained;

/// Letters, digits, `-`, `_` and `.`; neither hidden nor `..`.
pub(super) fn is_plain(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.is_empty() && name.bytes().all(allowed) && !name.starts_with('.') && !name.ends_with('.')
}

/// `name` or `owner/name`.
pub(super) fn is_repository(name: &str) -> bool {
    name.split('/').count() <= 2 && name.split('/').all(is_plain)
}

/// Where encoders are kept for all programs and projects of a user.
#[derive(Clone, Debug, Default)]
pub struct EncoderCache {
    /// That of the Hugging Face libraries, which is only read: `models--OWNER--NAME/snapshots/REVISION`.
    shared: Option<PathBuf>,
    /// Our own: `OWNER--NAME`.
    own: Option<PathBuf>,
}

impl EncoderCache {
    /// Whose a name without an owner is, as in the Python library.
    const OWNER: &str = "sentence-transformers";

    /// The folders of this user: the first of `$HF_HUB_CACHE`, `$HF_HOME/hub` and `~/.cache/huggingface/hub`, and
    /// `~/.cache/talkformer/encoders`; `$XDG_CACHE_HOME` stands for `~/.cache`.
    #[must_use]
    pub fn of_user() -> Self {
        let folder =
            |variable: &str| env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
        let cache = folder("XDG_CACHE_HOME").or_else(|| Some(env::home_dir()?.join(".cache")));
        let below = |path: &str| cache.as_ref().map(|cache| cache.join(path));
        let home = folder("HF_HOME").map(|home| home.join("hub"));
        Self {
            shared: folder("HF_HUB_CACHE").or(home).or_else(|| below("huggingface/hub")),
            own: below("talkformer/encoders"),
        }
    }

    /// The repository that is meant: `all-MiniLM-L6-v2` is `sentence-transformers/all-MiniLM-L6-v2`. `None` where this is a path
    /// and no name.
    #[must_use]
    pub fn repository(name: &Path) -> Option<String> {
        let name = name.to_str().filter(|name| is_repository(name))?;
        Some(if name.contains('/') { name.to_owned() } else { format!("{}/{name}", Self::OWNER) })
    }

    /// The folder of an encoder that is here already.
    #[must_use]
    pub fn find(&self, repository: &str) -> Option<PathBuf> {
        let shared = self.shared.iter().filter_map(|cache| {
            let folder = cache.join(format!("models--{}", repository.replace('/', "--")));
            let revision = fs::read_to_string(folder.join("refs/main")).ok()?;
            Some(folder.join("snapshots").join(Path::new(revision.trim()).file_name()?))
        });
        let mut all = shared.chain(self.place(repository));
        all.find(|folder| Pretrained::is_folder(folder) && folder.join("tokenizer.json").is_file())
    }

    /// Where an encoder goes that is fetched; `None` where the user has no home.
    #[must_use]
    pub fn place(&self, repository: &str) -> Option<PathBuf> {
        self.own.as_ref().map(|own| own.join(repository.replace('/', "--")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoder(folder: &Path) {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/encoders/bert");
        fs::create_dir_all(folder).unwrap();
        for file in fs::read_dir(from).unwrap().map(Result::unwrap).filter(|file| file.path().is_file()) {
            fs::copy(file.path(), folder.join(file.file_name())).unwrap();
        }
    }

    #[test]
    fn a_repository_is_a_name_or_an_owner_and_a_name() {
        assert!(["bert-base-uncased", "BAAI/bge-small-en-v1.5", "a_b/c"].into_iter().all(is_repository));
        let wrong = ["", "/", "a/", "a/b/c", "a b", "a?b", "a#b", "a%2Fb", "ä/b"];
        let ways_out = ["..", ".", "../x", "a/../b", "/a", "a//b", "C:", "a\\b", ".git"];
        assert!(ways_out.into_iter().chain(wrong).all(|name| !is_repository(name)));
    }

    #[test]
    fn names_are_those_of_the_hub_and_paths_are_not() {
        let name = |name: &str| EncoderCache::repository(Path::new(name));
        assert_eq!(name("all-MiniLM-L6-v2").as_deref(), Some("sentence-transformers/all-MiniLM-L6-v2"));
        assert_eq!(name("BAAI/bge-small-en-v1.5").as_deref(), Some("BAAI/bge-small-en-v1.5"));
        for path in ["", "./a", "../a", "/a", "a/b/c", "a/", "a b", "a\\b", ".a/b", "a/..", "~/a"] {
            assert_eq!(name(path), None, "{path}");
        }
    }

    #[test]
    fn whole_encoders_are_found_in_both_caches() {
        let folder = tempfile::tempdir().unwrap();
        let [shared, own] = ["shared", "own"].map(|name| folder.path().join(name));
        let cache = EncoderCache { shared: Some(shared.clone()), own: Some(own.clone()) };
        assert_eq!(cache.find("a/b"), None);

        let kept = cache.place("a/b").unwrap();
        assert_eq!(kept, own.join("a--b"));
        encoder(&kept);
        assert_eq!(cache.find("a/b"), Some(kept));

        let snapshot = shared.join("models--a--b/snapshots/abc");
        encoder(&snapshot);
        fs::create_dir_all(shared.join("models--a--b/refs")).unwrap();
        fs::write(shared.join("models--a--b/refs/main"), "abc").unwrap();
        assert_eq!(cache.find("a/b"), Some(snapshot.clone()));
        // A download that did not end.
        fs::remove_file(snapshot.join("tokenizer.json")).unwrap();
        assert_eq!(cache.find("a/b"), Some(own.join("a--b")));
        assert_eq!(EncoderCache::default().find("a/b"), None);
    }
}
