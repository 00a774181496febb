//! The shape of a token and of its neighbours.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::message::Rows;
use super::{FeatureError, Message};
use crate::settings::ConfigError;

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
    /// Its value, as it is called in a saved model.
    fn of(self, message: Message<'_>, token: usize) -> &str {
        let text = message.token(token);
        let flag = |value: bool| if value { "true" } else { "false" };
        match self {
            Self::First => flag(token == 0),
            Self::Last => flag(token + 1 == message.tokens.len()),
            Self::Digit => flag(!text.is_empty() && text.chars().all(char::is_numeric)),
            Self::Lower => flag(has_case(text) && !text.chars().any(is_upper)),
            Self::Upper => flag(has_case(text) && !text.chars().any(char::is_lowercase)),
            Self::Title => flag(is_title(text)),
            Self::Prefix2 => prefix(text, 2),
            Self::Prefix5 => prefix(text, 5),
            Self::Suffix1 => suffix(text, 1),
            Self::Suffix2 => suffix(text, 2),
            Self::Suffix3 => suffix(text, 3),
            Self::Suffix5 => suffix(text, 5),
        }
    }
}

fn prefix(text: &str, count: usize) -> &str {
    let end = text.char_indices().nth(count).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

fn suffix(text: &str, count: usize) -> &str {
    let start = text.char_indices().rev().take(count).last().map_or(text.len(), |(at, _)| at);
    &text[start..]
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
#[serde(try_from = "Saved", into = "Saved")]
pub struct Lexical {
    config: LexicalConfig,
    columns: Vec<Key>,
    /// For each neighbour and each of its properties, the values that were seen, sorted, with their columns.
    known: Vec<Vec<Vec<(String, u32)>>>,
}

type Key = (isize, Property, String);

/// The form in which it is saved.
#[derive(Serialize, Deserialize)]
struct Saved {
    config: LexicalConfig,
    columns: Vec<Key>,
}

impl TryFrom<Saved> for Lexical {
    type Error = FeatureError;

    fn try_from(Saved { config, columns }: Saved) -> Result<Self, FeatureError> {
        check(&config)?;
        Ok(Self::new(config, columns))
    }
}

impl Lexical {
    fn new(config: LexicalConfig, columns: Vec<Key>) -> Self {
        let values = |offset: isize, property: Property| {
            let own = columns.iter().zip(0..).filter(|(key, _)| (key.0, key.1) == (offset, property));
            let mut values: Vec<(String, u32)> = own.map(|(key, column)| (key.2.clone(), column)).collect();
            values.sort_unstable();
            values
        };
        let neighbours = config.offsets().zip(&config.features);
        let known = neighbours.map(|(offset, properties)| {
            properties.iter().map(|property| values(offset, *property)).collect()
        });
        Self { known: known.collect(), config, columns }
    }
}

fn check(config: &LexicalConfig) -> Result<(), FeatureError> {
    config.validate().map_err(|error| FeatureError::Option { component: LexicalConfig::COMPONENT, error })
}

impl From<Lexical> for Saved {
    fn from(lexical: Lexical) -> Self {
        Self { config: lexical.config, columns: lexical.columns }
    }
}

impl LexicalConfig {
    /// What it is called in `config.yml`.
    pub(crate) const COMPONENT: &str = "LexicalSyntacticFeaturizer";

    /// Checks what the types cannot.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let problem = "needs at least one list of properties, for the token itself";
        ConfigError::unless(!self.features.is_empty(), "features", problem)?;
        let few = self.features.len() <= 99 && self.features.iter().all(|list| list.len() <= 99);
        ConfigError::unless(few, "features", "must have at most 99 lists of at most 99 properties each")
    }

    /// How far away the neighbour of each list is.
    fn offsets(&self) -> impl Iterator<Item = isize> + use<> {
        let before = (self.features.len() / 2) as isize;
        -before..self.features.len() as isize - before
    }
}

impl Lexical {
    /// Learns which values occur.
    ///
    /// # Errors
    ///
    /// If the window has no token.
    ///
    /// # Panics
    ///
    /// If the tokens of a message are those of another text.
    pub fn fit(config: &LexicalConfig, messages: &[Message<'_>]) -> Result<Self, FeatureError> {
        Self::fit_frequent(config, messages, 1)
    }

    /// The same, of the values that occur in at least so many messages.
    pub(super) fn fit_frequent(
        config: &LexicalConfig,
        messages: &[Message<'_>],
        least: usize,
    ) -> Result<Self, FeatureError> {
        check(config)?;
        let mut counts: BTreeMap<Key, usize> = BTreeMap::new();
        for message in messages {
            let mut own: BTreeSet<Key> = BTreeSet::new();
            for token in 0..message.tokens.len() {
                each_value(config, *message, token, |slot, value| {
                    own.insert((slot.offset, slot.property, value.to_owned()));
                });
            }
            own.into_iter().for_each(|key| *counts.entry(key).or_default() += 1);
        }
        let columns = counts.into_iter().filter(|(_, messages)| *messages >= least).map(|(key, _)| key);
        Ok(Self::new(config.clone(), columns.collect()))
    }

    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    /// For each column, the one of the same value in an earlier featurizer.
    pub(super) fn origins(&self, earlier: &Self) -> Vec<Option<u32>> {
        let known: BTreeMap<&Key, u32> = earlier.columns.iter().zip(0..).collect();
        self.columns.iter().map(|key| known.get(key).copied()).collect()
    }

    /// The values of either, as far as the settings still ask for them.
    pub(super) fn with_columns_of(self, earlier: &Self) -> Self {
        let asked = |(offset, property, _): &&Key| {
            let mut neighbours = self.config.offsets().zip(&self.config.features);
            neighbours.any(|(own, properties)| own == *offset && properties.contains(property))
        };
        let columns: BTreeSet<&Key> = earlier.columns.iter().filter(asked).chain(&self.columns).collect();
        let columns = columns.into_iter().cloned().collect();
        Self::new(self.config, columns)
    }

    pub(super) fn transform(&self, message: Message<'_>, rows: &mut Rows) {
        for (token, row) in rows.sequence.iter_mut().enumerate() {
            each_value(&self.config, message, token, |slot, value| {
                let known = &self.known[slot.place][slot.at];
                if let Ok(found) = known.binary_search_by(|(own, _)| own.as_str().cmp(value)) {
                    row.push((rows.token_start + known[found].1, 1.0));
                }
            });
        }
    }
}

/// One property of one neighbour.
struct Slot {
    /// The neighbour, counted from the first in the settings, and how far away it is.
    place: usize,
    offset: isize,
    /// Its property, counted among those of this neighbour, and which one it is.
    at: usize,
    property: Property,
}

/// All that the settings ask of a token and its neighbours, with the values.
fn each_value(config: &LexicalConfig, message: Message<'_>, token: usize, mut found: impl FnMut(Slot, &str)) {
    for (place, (offset, properties)) in config.offsets().zip(&config.features).enumerate() {
        let neighbour = token.checked_add_signed(offset).filter(|at| *at < message.tokens.len());
        let Some(neighbour) = neighbour else { continue };
        for (at, property) in properties.iter().enumerate() {
            let slot = Slot { place, offset, at, property: *property };
            found(slot, property.of(message, neighbour));
        }
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
    fn beginnings_and_ends_are_cut_at_characters() {
        assert_eq!((prefix("Zoë", 2), prefix("ë", 5), prefix("", 2)), ("Zo", "ë", ""));
        assert_eq!(
            (suffix("Zoë", 1), suffix("Zoë", 2), suffix("Zoë", 5), suffix("", 1)),
            ("ë", "oë", "Zoë", "")
        );
    }

    #[test]
    fn values_that_few_messages_have_are_not_kept() {
        let texts = ["Zoë Zoë", "call me", "call him"];
        let tokens = texts.map(|text| WhitespaceTokenizer::default().tokenize(text));
        let messages: Vec<_> =
            texts.iter().zip(&tokens).map(|(text, tokens)| Message { text, tokens }).collect();
        let config = LexicalConfig { features: vec![vec![Property::Prefix5]] };
        let kept = |least| -> Vec<String> {
            let lexical = Lexical::fit_frequent(&config, &messages, least).unwrap();
            lexical.columns.into_iter().map(|(_, _, value)| value).collect()
        };
        assert_eq!(kept(1), ["Zoë", "call", "him", "me"]);
        assert_eq!(kept(2), ["call"], "twice in one message is one message");
    }

    #[test]
    fn a_saved_one_with_too_many_lists_is_refused() {
        let lists = vec![vec!["low"]; 100];
        let saved = serde_json::json!({"config": {"features": lists}, "columns": []});
        let error = serde_json::from_value::<Lexical>(saved).unwrap_err().to_string();
        assert!(error.contains("at most 99 lists"), "{error}");
    }

    #[test]
    fn a_token_sees_itself_and_its_neighbours_and_nothing_beyond_the_ends() {
        let text = "Call Zoë 5";
        let tokens = WhitespaceTokenizer::default().tokenize(text);
        let message = Message { text, tokens: &tokens };
        let lexical = Lexical::fit(&LexicalConfig::default(), &[message]).unwrap();
        let transform = |lexical: &Lexical| {
            let mut rows = Rows::new(tokens.len());
            lexical.transform(message, &mut rows);
            rows.sequence
        };
        let rows = transform(&lexical);
        assert_eq!(rows.iter().map(Vec::len).collect::<Vec<_>>(), [9, 12, 9]);
        let saved = serde_json::to_string(&lexical).unwrap();
        let again: Lexical = serde_json::from_str(&saved).unwrap();
        assert_eq!(transform(&again), rows);
    }
}
