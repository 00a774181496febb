//! What counts as a name, whichever file it comes from.

/// A name without the blanks around it; `None` where nothing remains.
pub(super) fn name(written: &str) -> Option<String> {
    let name = written.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// The name of an intent: of a retrieval intent `faq / ask` its two parts without blanks around them, and `faq` where
/// the second part is empty. `None` where the first is.
pub(super) fn intent(written: &str) -> Option<String> {
    let (base, key) = written.split_once('/').unwrap_or((written, ""));
    let base = name(base)?;
    Some(name(key).map_or(base.clone(), |key| format!("{base}/{key}")))
}

/// The intent that a model reports: of a retrieval intent `faq/ask` that is `faq`. Only the first `/` separates.
pub(crate) fn base_intent(intent: &str) -> &str {
    intent.split_once('/').map_or(intent, |(base, _)| base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_the_blanks_around_them() {
        for (written, expected) in
            [(" a b\n", Some("a b")), ("7", Some("7")), (" ", None), ("a / b ", Some("a / b"))]
        {
            assert_eq!(name(written).as_deref(), expected);
        }
        for (written, expected) in [
            ("greet ", Some("greet")),
            (" faq / ask_name", Some("faq/ask_name")),
            ("My/Intent/Name", Some("My/Intent/Name")),
            ("faq/", Some("faq")),
            ("/x", None),
            ("", None),
        ] {
            assert_eq!(intent(written).as_deref(), expected);
        }
        assert_eq!(["faq/a/b", "faq"].map(base_intent), ["faq", "faq"]);
    }
}
