//! Names that may become part of an address or a path.

use super::super::named::is_plain;

/// A revision as part of an address: `refs/pr/1` is one part there.
pub(super) fn revision(revision: &str) -> Option<String> {
    revision.split('/').all(is_plain).then(|| revision.replace('/', "%2F"))
}

/// The folder of a module with a slash behind it; empty for the root, none if it leads elsewhere.
pub(super) fn place(path: &str) -> Option<String> {
    if path.is_empty() {
        return Some(String::new());
    }
    let path = path.strip_suffix('/').unwrap_or(path);
    path.split('/').all(is_plain).then(|| format!("{path}/"))
}

/// A part of the weights, in the folder of its index.
pub(super) fn is_shard(name: &str) -> bool {
    is_plain(name) && name.ends_with(".safetensors")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAYS_OUT: [&str; 9] = ["..", ".", "../x", "a/../b", "/a", "a//b", "C:", "a\\b", ".git"];

    #[test]
    fn a_revision_may_have_slashes_but_not_lead_elsewhere() {
        assert_eq!(revision("refs/pr/1").as_deref(), Some("refs%2Fpr%2F1"));
        assert_eq!(revision("v1.0").as_deref(), Some("v1.0"));
        assert!(WAYS_OUT.into_iter().chain(["", "a?b", "a b"]).all(|name| revision(name).is_none()));
    }

    #[test]
    fn a_module_stays_inside() {
        assert_eq!(place("").as_deref(), Some(""));
        assert_eq!(place("1_Pooling/").as_deref(), Some("1_Pooling/"));
        assert!(WAYS_OUT.into_iter().chain(["/", "//", "a/.."]).all(|path| place(path).is_none()));
    }

    #[test]
    fn a_shard_is_a_safetensors_file_beside_its_index() {
        assert!(is_shard("model-00001-of-00002.safetensors"));
        assert!(
            ["../x.safetensors", "a/b.safetensors", "config.json", ".safetensors"]
                .into_iter()
                .all(|name| !is_shard(name))
        );
    }
}
