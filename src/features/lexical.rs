//! The shape of a token and of its neighbours.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{FeatureError, Message};

/// One property of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Property {
    /// First token of the message.
    #[serde(rename = "BOS")]
    First,
    /// Last token of the message.
    #[serde(rename = "EOS")]
    Last,
    /// All digits.
    #[serde(rename = "digit")]
    Digit,
    /// Has cased letters, all lower case.
    #[serde(rename = "low")]
    Lower,
    /// First 2 characters.
    #[serde(rename = "prefix2")]
    Prefix2,
    /// First 5 characters.
    #[serde(rename = "prefix5")]
    Prefix5,
    /// Last character.
    #[serde(rename = "suffix1")]
    Suffix1,
    /// Last 2 characters.
    #[serde(rename = "suffix2")]
    Suffix2,
    /// Last 3 characters.
    #[serde(rename = "suffix3")]
    Suffix3,
    /// Last 5 characters.
    #[serde(rename = "suffix5")]
    Suffix5,
    /// Each run of letters begins with the only capital in it.
    #[serde(rename = "title")]
    Title,
    /// Has cased letters, all upper case.
    #[serde(rename = "upper")]
    Upper,
}

impl Property {
    fn of(self, message: Message<'_>, token: usize) -> String {
        let text = message.token(token);
        let flag = |value: bool| value.to_string();
        match self {
            Self::First => flag(token == 0),
            Self::Last => flag(token + 1 == message.tokens.len()),
            Self::Digit => flag(!text.is_empty() && text.chars().all(char::is_numeric)),
            Self::Lower => flag(has_case(text) && !text.chars().any(is_upper)),
            Self::Upper => flag(has_case(text) && !text.chars().any(char::is_lowercase)),
            Self::Title => flag(is_title(text)),
            Self::Prefix2 => text.chars().take(2).collect(),
            Self::Prefix5 => text.chars().take(5).collect(),
            Self::Suffix1 => suffix(text, 1),
            Self::Suffix2 => suffix(text, 2),
            Self::Suffix3 => suffix(text, 3),
            Self::Suffix5 => suffix(text, 5),
        }
    }
}

fn suffix(text: &str, count: usize) -> String {
    let skip = text.chars().count().saturating_sub(count);
    text.chars().skip(skip).collect()
}

/// Upper case, or the title case of the few letters that have one of their own.
fn is_upper(c: char) -> bool {
    c.is_uppercase() || (!c.is_lowercase() && c.to_lowercase().next() != Some(c))
}

fn has_case(text: &str) -> bool {
    text.chars().any(|c| is_upper(c) || c.is_lowercase())
}

fn is_title(text: &str) -> bool {
    let mut after_cased = false;
    for c in text.chars() {
        let (upper, lower) = (is_upper(c), c.is_lowercase());
        if (upper && after_cased) || (lower && !after_cased) {
            return false;
        }
        after_cased = upper || lower;
    }
    has_case(text)
}

/// Settings; names and defaults are those of Rasa's `LexicalSyntacticFeaturizer`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LexicalConfig {
    /// Properties of the tokens before, at and after the current one; the middle list is the current token.
    pub features: Vec<Vec<Property>>,
}

impl Default for LexicalConfig {
    fn default() -> Self {
        use Property::{Digit, First, Last, Lower, Title, Upper};
        let beside = vec![Lower, Title, Upper];
        Self { features: vec![beside.clone(), vec![First, Last, Lower, Upper, Title, Digit], beside] }
    }
}

/// Which (neighbour, property, value) was seen in training, and its column.
///
/// Beyond the first and the last token there is nothing, and values that training never saw have no column.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Saved", into = "Saved")]
pub struct Lexical {
    config: LexicalConfig,
    columns: BTreeMap<(isize, Property, String), u32>,
}

/// The form in which it is saved.
#[derive(Serialize, Deserialize)]
struct Saved {
    config: LexicalConfig,
    columns: Vec<(isize, Property, String)>,
}

impl From<Saved> for Lexical {
    fn from(saved: Saved) -> Self {
        let columns = saved.columns.into_iter().zip(0..).collect();
        Self { config: saved.config, columns }
    }
}

impl From<Lexical> for Saved {
    fn from(lexical: Lexical) -> Self {
        let mut columns: Vec<_> = lexical.columns.into_iter().collect();
        columns.sort_by_key(|(_, column)| *column);
        Self { config: lexical.config, columns: columns.into_iter().map(|(key, _)| key).collect() }
    }
}

impl Lexical {
    /// Learns which values occur.
    ///
    /// # Errors
    ///
    /// If the window has no token.
    pub fn fit(config: &LexicalConfig, messages: &[Message<'_>]) -> Result<Self, FeatureError> {
        if config.features.is_empty() {
            return Err(FeatureError::Option {
                component: "LexicalSyntacticFeaturizer",
                option: "features",
                problem: "needs at least one list of properties, for the token itself".to_owned(),
            });
        }
        let mut lexical = Self { config: config.clone(), columns: BTreeMap::new() };
        for message in messages {
            for token in 0..message.tokens.len() {
                for key in lexical.keys(*message, token) {
                    lexical.columns.entry(key).or_default();
                }
            }
        }
        lexical.columns.values_mut().zip(0..).for_each(|(column, at)| *column = at);
        Ok(lexical)
    }

    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    pub(super) fn transform(&self, message: Message<'_>) -> Vec<Vec<(u32, f32)>> {
        let row = |token| {
            let columns = self.keys(message, token).into_iter().filter_map(|key| self.columns.get(&key));
            columns.map(|column| (*column, 1.0)).collect()
        };
        (0..message.tokens.len()).map(row).collect()
    }

    fn keys(&self, message: Message<'_>, token: usize) -> Vec<(isize, Property, String)> {
        let before = (self.config.features.len() / 2) as isize;
        let mut keys = Vec::new();
        for (place, properties) in self.config.features.iter().enumerate() {
            let offset = place as isize - before;
            let Some(neighbour) = token.checked_add_signed(offset).filter(|at| *at < message.tokens.len())
            else {
                continue;
            };
            keys.extend(
                properties.iter().map(|property| (offset, *property, property.of(message, neighbour))),
            );
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{Tokenizer, WhitespaceTokenizer};

    #[test]
    fn case_follows_python() {
        for (text, lower, upper, title) in [
            ("abc", true, false, false),
            ("ABC", false, true, false),
            ("Abc", false, false, true),
            ("A", false, true, true),
            ("a1", true, false, false),
            ("12", false, false, false),
            ("Hip-Hop", false, false, true),
            ("McDonald", false, false, false),
            ("Écran", false, false, true),
            ("日本", false, false, false),
        ] {
            let tokens = [crate::text::Span::new(0, text.len())];
            let message = Message { text, tokens: &tokens };
            let holds = |property: Property| property.of(message, 0) == "true";
            let found = (holds(Property::Lower), holds(Property::Upper), holds(Property::Title));
            assert_eq!(found, (lower, upper, title), "{text}");
        }
    }

    #[test]
    fn a_token_sees_itself_and_its_neighbours_and_nothing_beyond_the_ends() {
        let text = "Call Zoë 5";
        let tokens = WhitespaceTokenizer::default().tokenize(text);
        let message = Message { text, tokens: &tokens };
        let lexical = Lexical::fit(&LexicalConfig::default(), &[message]).unwrap();
        let rows = lexical.transform(message);
        assert_eq!(rows.iter().map(Vec::len).collect::<Vec<_>>(), [9, 12, 9]);
        let saved = serde_json::to_string(&lexical).unwrap();
        let again: Lexical = serde_json::from_str(&saved).unwrap();
        assert_eq!(again.transform(message), rows);
    }
}
