//! A whole collection of labelled messages, with the lists that accompany it.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use super::trimming::trim;
use super::warning::excerpt;
use super::{Entity, Source, Utterance, Warning, base_intent, keep_sane};
use crate::text::lower_case;

/// A regular expression with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// What it recognises, often the name of an entity type. Several patterns may share a name.
    pub name: String,
    /// The expression as written; nobody has tried yet whether it compiles.
    pub pattern: String,
    /// Where it was written down.
    pub source: Source,
}

/// A list of words with a name, such as all cities served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// What its elements are.
    pub name: String,
    /// The words, to be taken literally.
    pub elements: Vec<String>,
    /// Where the list begins.
    pub source: Source,
}

/// Everything that labelled data files say about messages.
///
/// # Example
///
/// ```
/// use talkformer::data::{TrainingData, Utterance};
///
/// let mut data = TrainingData::default();
/// data.push(Utterance::new("hello", Some("greet")));
/// data.push(Utterance::new("hello", Some("greet")));
/// assert_eq!(data.deduplicate(), 1);
/// assert_eq!(data.intents()["greet"], 1);
/// assert!(data.validate()[0].to_string().contains("intent `greet` has only this example"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrainingData {
    /// The examples, in order of the files.
    pub utterances: Vec<Utterance>,
    /// What a variant (in lower case, with single blanks) stands for. Annotations whose value differs from the words used
    /// count as well.
    pub synonyms: BTreeMap<String, String>,
    /// The regular expressions, in order of the files.
    pub regexes: Vec<Pattern>,
    /// The word lists, in order of the files.
    pub lookups: Vec<Lookup>,
    /// What to answer to retrieval intents, by names such as `utter_faq/ask_name`: variants in Rasa's form, `{"text": …}`.
    pub responses: BTreeMap<String, Vec<Value>>,
    /// What was odd while reading. [`TrainingData::validate`] looks at the whole.
    pub warnings: Vec<Warning>,
}

impl TrainingData {
    /// Adds an example: takes the blanks around its labels away, and blanks, commas and quotation marks off the ends of its
    /// entities; sorts these; drops overlapping ones (see [`keep_sane`]) and those that are no part of its text, each with a
    /// warning; and takes over values that differ from the words used as synonyms.
    pub fn push(&mut self, mut utterance: Utterance) {
        utterance.trim_labels();
        if !utterance.entities.is_empty() {
            let (inside, outside) = std::mem::take(&mut utterance.entities)
                .into_iter()
                .partition(|one| one.lies_in(&utterance.text));
            utterance.entities = inside;
            let outside: Vec<Entity> = outside;
            self.warnings.extend(outside.into_iter().map(|entity| Warning::EntityOutsideText {
                at: utterance.source.clone(),
                entity: entity.entity,
                start: entity.span.start,
                end: entity.span.end,
            }));
            self.trim_entities(&mut utterance);
            let named = |entity: &Entity| {
                format!("`{}` over \"{}\"", entity.entity, excerpt(entity.surface(&utterance.text)))
            };
            for (dropped, kept) in keep_sane(&mut utterance.entities) {
                self.warnings.push(Warning::OverlappingEntities {
                    at: utterance.source.clone(),
                    kept: named(&kept),
                    dropped: named(&dropped),
                });
            }
            for entity in &utterance.entities {
                if let Some(value) = &entity.value {
                    self.add_synonym(entity.surface(&utterance.text), value, &utterance.source);
                }
            }
        }
        self.utterances.push(utterance);
    }

    fn trim_entities(&mut self, utterance: &mut Utterance) {
        let (text, at) = (&utterance.text, &utterance.source);
        for entity in &mut utterance.entities {
            let annotated = entity.span;
            if trim(entity, text) {
                self.warnings.push(Warning::TrimmedAnnotation {
                    at: at.clone(),
                    entity: entity.entity.clone(),
                    annotated: excerpt(annotated.of(text)),
                    read: excerpt(entity.surface(text)),
                });
            }
        }
        utterance.entities.retain(|entity| !entity.span.is_empty());
    }

    /// Notes that `variant`, in whatever case and with whatever blanks between its words, stands for `value`.
    ///
    /// A variant that stands for itself is not noted. Where it stood for something else before, the later
    /// definition counts, with a warning that points to `at`.
    pub fn add_synonym(&mut self, variant: &str, value: &str, at: &Source) {
        let value = value.trim();
        let variant = variant.split_whitespace().collect::<Vec<_>>().join(" ");
        if variant.is_empty() || value.is_empty() || variant == value {
            return;
        }
        let variant = lower_case(&variant).into_owned();
        match self.synonyms.get_mut(&variant) {
            Some(known) if known == value => {}
            Some(known) => {
                let earlier = std::mem::replace(known, value.to_owned());
                self.warnings.push(Warning::SynonymConflict {
                    at: at.clone(),
                    variant,
                    earlier,
                    later: value.to_owned(),
                });
            }
            None => drop(self.synonyms.insert(variant, value.to_owned())),
        }
    }

    /// Adds everything of `other` behind what is here. A synonym or a response defined in both counts as in `other`.
    pub fn extend(&mut self, other: Self) {
        let at = other.utterances.first().map_or_else(Source::default, |first| first.source.at(0));
        self.utterances.extend(other.utterances);
        self.regexes.extend(other.regexes);
        self.lookups.extend(other.lookups);
        self.warnings.extend(other.warnings);
        self.responses.extend(other.responses);
        for (variant, value) in other.synonyms {
            self.add_synonym(&variant, &value, &at);
        }
    }

    /// Removes examples that repeat text, intent and entities of an earlier one. Returns how many.
    pub fn deduplicate(&mut self) -> usize {
        let mut seen: HashSet<(&str, Option<&str>, &[Entity])> =
            HashSet::with_capacity(self.utterances.len());
        let fresh: Vec<bool> = self
            .utterances
            .iter()
            .map(|utterance| seen.insert((&utterance.text, utterance.intent.as_deref(), &utterance.entities)))
            .collect();
        let before = self.utterances.len();
        let mut fresh = fresh.into_iter();
        self.utterances.retain(|_| fresh.next().unwrap_or(true));
        before - self.utterances.len()
    }

    /// The same data with only these of its examples, and without its warnings.
    pub(crate) fn only<'d>(&'d self, utterances: impl IntoIterator<Item = &'d Utterance>) -> Self {
        let (synonyms, regexes, lookups) =
            (self.synonyms.clone(), self.regexes.clone(), self.lookups.clone());
        let utterances = utterances.into_iter().cloned().collect();
        let responses = self.responses.clone();
        Self { utterances, synonyms, regexes, lookups, responses, warnings: Vec::new() }
    }

    /// The intents in alphabetical order, each with its number of examples.
    #[must_use]
    pub fn intents(&self) -> BTreeMap<&str, usize> {
        count(self.utterances.iter().filter_map(|utterance| utterance.intent.as_deref()))
    }

    /// The entity types in alphabetical order, each with its number of annotations.
    #[must_use]
    pub fn entity_types(&self) -> BTreeMap<&str, usize> {
        count(self.entities().map(|entity| entity.entity.as_str()))
    }

    /// The roles in alphabetical order, each with its number of annotations.
    #[must_use]
    pub fn roles(&self) -> BTreeMap<&str, usize> {
        count(self.entities().filter_map(|entity| entity.role.as_deref()))
    }

    /// The groups in alphabetical order, each with its number of annotations.
    #[must_use]
    pub fn groups(&self) -> BTreeMap<&str, usize> {
        count(self.entities().filter_map(|entity| entity.group.as_deref()))
    }

    /// All annotations of all examples.
    pub fn entities(&self) -> impl Iterator<Item = &Entity> {
        self.utterances.iter().flat_map(|utterance| &utterance.entities)
    }

    /// What is odd about the whole: intents and entity types with a single example, retrieval intents without a response
    /// though others have one, and texts that belong to two intents. In order of the examples.
    #[must_use]
    pub fn validate(&self) -> Vec<Warning> {
        let (intents, types) = (self.intents(), self.entity_types());
        let mut first_use: HashMap<&str, &Utterance> = HashMap::with_capacity(self.utterances.len());
        let mut reported: HashSet<(&str, &str)> = HashSet::new();
        let (mut warnings, mut unanswered) = (Vec::new(), HashSet::new());
        for utterance in &self.utterances {
            let few = |label| Warning::FewExamples { at: utterance.source.clone(), label };
            if let Some(intent) = utterance.intent.as_deref() {
                if intents[intent] < 2 {
                    warnings.push(few(format!("intent `{intent}`")));
                }
                let answered =
                    base_intent(intent) == intent || self.responses.contains_key(&format!("utter_{intent}"));
                if !self.responses.is_empty() && !answered && unanswered.insert(intent) {
                    let (at, intent) = (utterance.source.clone(), intent.to_owned());
                    warnings.push(Warning::NoResponse { at, intent });
                }
                let first = *first_use.entry(&utterance.text).or_insert(utterance);
                let other = first.intent.as_deref().unwrap_or_default();
                if other != intent && reported.insert((&utterance.text, intent)) {
                    warnings.push(Warning::TwoIntents {
                        at: utterance.source.clone(),
                        text: excerpt(&utterance.text),
                        intent: intent.to_owned(),
                        other_at: first.source.clone(),
                        other: other.to_owned(),
                    });
                }
            }
            for entity in utterance.entities.iter().filter(|entity| types[entity.entity.as_str()] < 2) {
                warnings.push(few(format!("entity type `{}`", entity.entity)));
            }
        }
        warnings
    }
}

/// [`TrainingData::push`] for each.
impl FromIterator<Utterance> for TrainingData {
    fn from_iter<I: IntoIterator<Item = Utterance>>(utterances: I) -> Self {
        let mut data = Self::default();
        for utterance in utterances {
            data.push(utterance);
        }
        data
    }
}

fn count<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_insert(0) += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Span;

    fn placed(text: &str, intent: &str, line: usize) -> Utterance {
        Utterance { source: Source::new("nlu.yml", line), ..Utterance::new(text, Some(intent)) }
    }

    fn with_entity(mut utterance: Utterance, entity: &str, start: usize, end: usize) -> Utterance {
        utterance.entities.push(Entity::new(entity, Span::new(start, end)));
        utterance
    }

    #[test]
    fn only_full_repetitions_are_duplicates() {
        let mut data = TrainingData::default();
        for (text, intent) in [("a", "x"), ("a", "y"), ("a", "x"), ("b", "x")] {
            data.push(placed(text, intent, 1));
        }
        data.push(with_entity(placed("b", "x", 1), "city", 0, 1));
        assert_eq!(data.deduplicate(), 1);
        assert_eq!(data.deduplicate(), 0);
        assert_eq!(data.utterances.len(), 4);
    }

    #[test]
    fn validation_names_both_places_of_a_text_under_two_intents() {
        let mut data = TrainingData::default();
        for (line, (text, intent)) in
            [("hi", "greet"), ("bye", "bye"), ("hi", "bye"), ("hi", "bye"), ("hey", "greet")]
                .into_iter()
                .enumerate()
        {
            data.push(placed(text, intent, line + 1));
        }
        let warnings = data.validate();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        let message = warnings[0].to_string();
        assert!(message.starts_with("nlu.yml:3:") && message.contains("nlu.yml:1"), "{message}");
    }

    #[test]
    fn a_single_example_is_worth_a_warning() {
        let mut data = TrainingData::default();
        data.push(with_entity(placed("Rome", "inform", 3), "city", 0, 4));
        let messages: Vec<_> = data.validate().iter().map(ToString::to_string).collect();
        assert!(messages[0].starts_with("nlu.yml:3: intent `inform`"), "{messages:?}");
        assert!(messages[1].starts_with("nlu.yml:3: entity type `city`"), "{messages:?}");
    }

    #[test]
    fn the_later_synonym_counts_with_a_warning() {
        let mut data = TrainingData::default();
        let mut nyc = with_entity(placed("NYC", "inform", 4), "city", 0, 3);
        nyc.entities[0].value = Some("New York".into());
        data.push(nyc);
        data.add_synonym("Big Apple", "New York", &Source::new("a.yml", 1));
        let mut other = TrainingData::default();
        other.add_synonym("nyc", "New York City", &Source::new("b.yml", 2));
        other.add_synonym("same", "same", &Source::new("b.yml", 2));
        data.extend(other);
        assert_eq!(data.synonyms["nyc"], "New York City");
        assert_eq!(data.synonyms.len(), 2);
        assert!(matches!(&data.warnings[..], [Warning::SynonymConflict { .. }]));
    }

    #[test]
    fn overlapping_annotations_are_reported_when_added() {
        let mut data = TrainingData::default();
        data.push(with_entity(with_entity(placed("New York", "x", 8), "word", 4, 8), "city", 0, 8));
        let message = data.warnings[0].to_string();
        assert!(message.starts_with("nlu.yml:8: entity `word` over \"York\" overlaps `city`"), "{message}");
        assert_eq!(data.entity_types().into_keys().collect::<Vec<_>>(), ["city"]);
    }

    #[test]
    fn an_entity_that_is_no_part_of_its_text_is_left_out_with_a_warning() {
        for (start, end) in [(0, 9), (1, 3), (3, 1), (2, 2), (7, 8), (usize::MAX, usize::MAX)] {
            let mut data = TrainingData::default();
            let mut utterance = with_entity(placed("é is", "x", 4), "odd", start, end);
            utterance.entities[0].value = Some("other".into());
            data.push(with_entity(utterance, "letter", 0, 2));
            let names: Vec<_> = data.entity_types().into_keys().collect();
            assert_eq!(names, ["letter"], "{start}..{end}");
            let message = data.warnings[0].to_string();
            assert!(
                message.starts_with(&format!("nlu.yml:4: entity `odd` over the bytes {start}..{end}")),
                "{message}"
            );
            assert!(data.synonyms.is_empty());
        }
    }

    #[test]
    fn counts_cover_roles_and_groups() {
        let mut data = TrainingData::default();
        let mut utterance = with_entity(placed("a b", "x", 1), "t", 0, 1);
        utterance.entities[0].role = Some("from".into());
        utterance.entities[0].group = Some("1".into());
        data.push(utterance);
        assert_eq!((data.roles()["from"], data.groups()["1"], data.intents()["x"]), (1, 1, 1));
    }
}
