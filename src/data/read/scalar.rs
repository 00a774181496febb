//! A JSON value taken as text, whatever its type.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A string, number or truth value as it prints; `null` as nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scalar(pub(super) Option<String>);

impl Scalar {
    /// The text, unless there is none or it is empty.
    pub(super) fn filled(self) -> Option<String> {
        self.0.filter(|text| !text.is_empty())
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar(Some(text.to_owned())))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Scalar, E> {
        Ok(Scalar(Some(text)))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar(Some(value.to_string())))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar(Some(value.to_string())))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar, E> {
        Ok(Scalar(Some(value.to_string())))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Scalar, E> {
        // `7.0` stays apart from `7`.
        Ok(Scalar(Some(format!("{value:?}"))))
    }

    fn visit_unit<E: Error>(self) -> Result<Scalar, E> {
        Ok(Scalar(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_single_value_is_text() {
        let read = |json| serde_json::from_str::<Scalar>(json).map(|scalar| scalar.0);
        assert_eq!(read(r#""a\nb""#).unwrap().as_deref(), Some("a\nb"));
        assert_eq!(read("-5").unwrap().as_deref(), Some("-5"));
        assert_eq!(read("2.5").unwrap().as_deref(), Some("2.5"));
        assert_eq!(read("7.0").unwrap().as_deref(), Some("7.0"));
        assert_eq!(read("true").unwrap().as_deref(), Some("true"));
        assert_eq!(read("null").unwrap(), None);
        assert!(read("[1]").unwrap_err().to_string().contains("expected a text"));
    }
}
