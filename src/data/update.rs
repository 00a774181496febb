//! New examples on top of those that are known already.

use std::collections::{HashMap, HashSet};

use super::{Entity, TrainingData, Utterance};

/// What [`TrainingData::update`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Updated {
    /// Examples of texts that were not there before.
    pub added: usize,
    /// Examples of texts that were there with other labels, or with further ones, and now have those given.
    pub replaced: usize,
    /// Examples that were there just so, and of whose text nothing else was known.
    pub repeated: usize,
}

/// What an example says of its text.
type Answer<'a> = (Option<&'a str>, &'a [Entity]);

fn answer(utterance: &Utterance) -> Answer<'_> {
    (utterance.intent.as_deref(), &utterance.entities)
}

impl TrainingData {
    /// Takes over newer data. All that was known of a text gives way to what is given for it; an example that is
    /// given twice counts once. Synonyms and responses count as given, expressions and elements of word lists are added.
    ///
    /// # Example
    ///
    /// ```
    /// use talkformer::data::{TrainingData, Utterance};
    ///
    /// let data = |pairs: &[(&str, &str)]| -> TrainingData {
    ///     pairs.iter().map(|(text, intent)| Utterance::new(*text, Some(intent))).collect()
    /// };
    /// let mut known = data(&[("hello", "greet"), ("so long", "greet")]);
    /// let updated = known.update(data(&[("hello", "greet"), ("so long", "bye"), ("see you", "bye")]));
    /// assert_eq!((updated.added, updated.replaced, updated.repeated), (1, 1, 1));
    /// assert_eq!(known.intents()["bye"], 2);
    /// ```
    pub fn update(&mut self, mut given: Self) -> Updated {
        given.deduplicate();
        let mut updated = Updated::default();
        let mut known: HashMap<&str, Vec<Answer<'_>>> = HashMap::with_capacity(self.utterances.len());
        for utterance in &self.utterances {
            known.entry(&utterance.text).or_default().push(answer(utterance));
        }
        let mut given_answers: HashMap<&str, Vec<Answer<'_>>> =
            HashMap::with_capacity(given.utterances.len());
        for utterance in &given.utterances {
            given_answers.entry(&utterance.text).or_default().push(answer(utterance));
        }
        for utterance in &given.utterances {
            let (text, own) = (utterance.text.as_str(), answer(utterance));
            match known.get(text) {
                None => updated.added += 1,
                Some(known)
                    if known.contains(&own) && known.iter().all(|one| given_answers[text].contains(one)) =>
                {
                    updated.repeated += 1;
                }
                Some(_) => updated.replaced += 1,
            }
        }
        self.utterances.retain(|utterance| !given_answers.contains_key(utterance.text.as_str()));

        given.regexes.retain(|regex| {
            !self.regexes.iter().any(|known| (&known.name, &known.pattern) == (&regex.name, &regex.pattern))
        });
        for lookup in std::mem::take(&mut given.lookups) {
            match self.lookups.iter_mut().find(|known| known.name == lookup.name) {
                Some(known) => {
                    let mut seen: HashSet<String> = known.elements.iter().cloned().collect();
                    known
                        .elements
                        .extend(lookup.elements.into_iter().filter(|element| seen.insert(element.clone())));
                }
                None => self.lookups.push(lookup),
            }
        }
        // Not by `extend`, which would warn of each synonym that changes: that is what an update is for.
        self.utterances.extend(given.utterances);
        self.regexes.extend(given.regexes);
        self.warnings.extend(given.warnings);
        self.synonyms.extend(given.synonyms);
        self.responses.extend(given.responses);
        updated
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Format, read_str};

    fn data(text: &str) -> super::TrainingData {
        read_str(Format::RasaYaml, &format!("nlu:\n{text}"), "nlu.yml").unwrap()
    }

    #[test]
    fn what_is_given_replaces_what_is_known_of_the_same_text() {
        let mut known = data("- intent: a\n  examples: |\n    - one\n    - two\n    - to [Rome](city)\n");
        let given = data("- intent: a\n  examples: |\n    - two\n    - to Rome\n    - four\n    - four\n");
        let updated = known.update(given);
        assert_eq!((updated.added, updated.replaced, updated.repeated), (1, 1, 1));
        let texts: Vec<&str> = known.utterances.iter().map(|one| one.text.as_str()).collect();
        assert_eq!(texts, ["one", "two", "to Rome", "four"]);
        assert!(known.entity_types().is_empty());
    }

    #[test]
    fn a_text_with_two_intents_has_the_given_ones_afterwards() {
        let mut known =
            data("- intent: a\n  examples: |\n    - x\n- intent: b\n  examples: |\n    - x\n    - y\n");
        let before = known.clone();
        let updated = known.update(data("- intent: b\n  examples: |\n    - x\n"));
        assert_eq!((updated.replaced, updated.repeated), (1, 0), "`x` is no longer an example of `a`");
        assert_eq!(known.intents().into_iter().collect::<Vec<_>>(), [("b", 2)]);
        let updated = before.clone().update(before);
        assert_eq!((updated.added, updated.replaced, updated.repeated), (0, 0, 3));
    }

    #[test]
    fn lists_grow_and_synonyms_change() {
        let lists = |regex: &str, city: &str, synonym: &str| {
            data(&format!(
                "- regex: code\n  examples: |\n    - {regex}\n- lookup: city\n  examples: |\n    - Rome\n    - {city}\n- synonym: {synonym}\n  examples: |\n    - NYC\n"
            ))
        };
        let mut known = lists("[0-9]+", "Oslo", "New York");
        known.update(lists("[0-9]+", "Paris", "New York City"));
        known.update(lists("[a-z]", "Paris", "New York City"));
        assert_eq!(known.regexes.len(), 2);
        assert_eq!(known.lookups[0].elements, ["Rome", "Oslo", "Paris"]);
        assert_eq!(known.synonyms["nyc"], "New York City");
        assert!(known.warnings.is_empty());
    }
}
