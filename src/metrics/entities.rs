//! Scores of entities: by exact place, and by the overlap rule of the DIET paper.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::counts::{Counts, Prf};

/// One entity of a message, gold or predicted.
///
/// Both sides of a comparison must count places in the same unit. `label` is the entity type, with group
/// and role appended by the caller where those should agree too.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LabelledSpan<'a> {
    /// What kind of thing it is.
    pub label: &'a str,
    /// Where it begins.
    pub start: usize,
    /// Where it ends: one past the last place.
    pub end: usize,
    /// Its tokens as strings, for the overlap rule; may be empty where only exact scores matter.
    pub tokens: Vec<&'a str>,
}

/// Compares predicted entities with gold ones, one message at a time.
///
/// **Exact** is what `conlleval` and most papers count: an entity is right if label, start and end
/// all agree. Within a message entities are a set, so saying one twice changes nothing.
///
/// **Overlap** is how [Bunk et al., 2020](https://arxiv.org/abs/2004.09936) score the NLU benchmark, with
/// the script of [HERMIT](https://arxiv.org/abs/1910.00912). A gold entity is a true positive if some
/// predicted entity of its label shares a token *string* with it. Gold entities left over are false
/// negatives; predictions that share no token with any gold entity of their label are false positives.
/// One prediction may thus vouch for several gold entities, and several predictions for one gold entity
/// count once and none is an error. The same predictions score about five points of F1 more than exactly,
/// so name the rule with the number. One difference: that script prints recall under the name of
/// precision and the other way round; here they have their usual names. F1 is the same.
///
/// # Example
///
/// ```
/// use talkformer::metrics::{Counts, EntityScores, LabelledSpan};
///
/// // "wake me at seven tomorrow", where only "tomorrow" was found of "seven tomorrow"
/// let gold = LabelledSpan { label: "time", start: 11, end: 25, tokens: vec!["seven", "tomorrow"] };
/// let found = LabelledSpan { label: "time", start: 17, end: 25, tokens: vec!["tomorrow"] };
///
/// let mut scores = EntityScores::default();
/// scores.add(&[gold], &[found]);
/// assert_eq!(scores.exact(), Counts { true_positives: 0, false_positives: 1, false_negatives: 1 });
/// assert_eq!(scores.overlap(), Counts { true_positives: 1, false_positives: 0, false_negatives: 0 });
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityScores {
    exact: BTreeMap<String, Counts>,
    overlap: BTreeMap<String, Counts>,
}

impl EntityScores {
    /// Notes one message: its gold entities, and those that were predicted for it.
    pub fn add(&mut self, gold: &[LabelledSpan<'_>], predicted: &[LabelledSpan<'_>]) {
        add_exact(&mut self.exact, gold, predicted);
        add_overlap(&mut self.overlap, gold, predicted);
    }

    /// Adds what another one has gathered, for example on another thread.
    pub fn merge(&mut self, other: &Self) {
        for (ours, theirs) in [(&mut self.exact, &other.exact), (&mut self.overlap, &other.overlap)] {
            for (label, &counts) in theirs {
                *counts_of(ours, label) += counts;
            }
        }
    }

    /// Exact counts over all labels.
    #[must_use]
    pub fn exact(&self) -> Counts {
        self.exact.values().copied().sum()
    }

    /// Overlap counts over all labels.
    #[must_use]
    pub fn overlap(&self) -> Counts {
        self.overlap.values().copied().sum()
    }

    /// Counts and shares by both rules; all zeros where no message had an entity.
    #[must_use]
    pub fn finish(&self) -> EntityReport {
        let rows = |counts: &BTreeMap<String, Counts>| {
            counts.iter().map(|(label, &counts)| (label.clone(), counts.into())).collect()
        };
        EntityReport {
            exact: self.exact().into(),
            exact_by_label: rows(&self.exact),
            overlap: self.overlap().into(),
            overlap_by_label: rows(&self.overlap),
        }
    }
}

/// Shares, and the counts they are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EntityScore {
    /// Precision, recall and F1.
    #[serde(flatten)]
    pub scores: Prf,
    /// True positives, false positives and false negatives.
    #[serde(flatten)]
    pub counts: Counts,
}

impl From<Counts> for EntityScore {
    fn from(counts: Counts) -> Self {
        Self { scores: counts.prf(), counts }
    }
}

/// The entity scores of a test set by both rules of [`EntityScores`], micro-averaged and per label.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EntityReport {
    /// Label, start and end agree.
    pub exact: EntityScore,
    /// The same for each label that is gold or predicted.
    pub exact_by_label: BTreeMap<String, EntityScore>,
    /// Label agrees and a token is shared.
    pub overlap: EntityScore,
    /// The same for each label that is gold or predicted.
    pub overlap_by_label: BTreeMap<String, EntityScore>,
}

fn add_exact(
    scores: &mut BTreeMap<String, Counts>,
    gold: &[LabelledSpan<'_>],
    predicted: &[LabelledSpan<'_>],
) {
    let gold = places(gold);
    let predicted = places(predicted);
    for place in gold.union(&predicted) {
        let counts = counts_of(scores, place.0);
        match (gold.contains(place), predicted.contains(place)) {
            (true, true) => counts.true_positives += 1,
            (true, false) => counts.false_negatives += 1,
            _ => counts.false_positives += 1,
        }
    }
}

fn places<'a>(spans: &[LabelledSpan<'a>]) -> BTreeSet<(&'a str, usize, usize)> {
    spans.iter().map(|span| (span.label, span.start, span.end)).collect()
}

fn add_overlap(
    scores: &mut BTreeMap<String, Counts>,
    gold: &[LabelledSpan<'_>],
    predicted: &[LabelledSpan<'_>],
) {
    for span in gold {
        let counts = counts_of(scores, span.label);
        if predicted.iter().any(|other| share_a_token(span, other)) {
            counts.true_positives += 1;
        } else {
            counts.false_negatives += 1;
        }
    }
    for span in predicted.iter().filter(|span| !gold.iter().any(|other| share_a_token(span, other))) {
        counts_of(scores, span.label).false_positives += 1;
    }
}

fn share_a_token(one: &LabelledSpan<'_>, other: &LabelledSpan<'_>) -> bool {
    one.label == other.label && one.tokens.iter().any(|token| other.tokens.contains(token))
}

fn counts_of<'a>(scores: &'a mut BTreeMap<String, Counts>, label: &str) -> &'a mut Counts {
    scores.entry(label.to_owned()).or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entity made of the words `start..end` of a text.
    fn entity<'a>(text: &'a str, label: &'a str, start: usize, end: usize) -> LabelledSpan<'a> {
        let tokens = text.split(' ').skip(start).take(end - start).collect();
        LabelledSpan { label, start, end, tokens }
    }

    fn counts(true_positives: usize, false_positives: usize, false_negatives: usize) -> Counts {
        Counts { true_positives, false_positives, false_negatives }
    }

    #[test]
    fn exact_wants_label_start_and_end() {
        let text = "from new york city to berlin on monday";
        let gold = [entity(text, "city", 1, 4), entity(text, "city", 5, 6), entity(text, "date", 7, 8)];
        let predicted = [entity(text, "city", 1, 3), entity(text, "city", 5, 6), entity(text, "time", 7, 8)];
        let mut scores = EntityScores::default();
        scores.add(&gold, &predicted);
        assert_eq!(scores.exact(), counts(1, 2, 2));
        let by_label = [("city", counts(1, 1, 1)), ("date", counts(0, 0, 1)), ("time", counts(0, 1, 0))];
        assert_eq!(
            scores.finish().exact_by_label,
            by_label.map(|(label, counts)| (label.to_owned(), counts.into())).into()
        );
        assert_eq!(scores.overlap(), counts(2, 1, 1));
    }

    #[test]
    fn saying_an_entity_twice_changes_nothing_exactly() {
        let one = entity("in berlin", "city", 1, 2);
        let mut scores = EntityScores::default();
        scores.add(std::slice::from_ref(&one), &[one.clone(), one.clone()]);
        assert_eq!(scores.exact(), counts(1, 0, 0));
    }

    #[test]
    fn one_prediction_vouches_for_every_gold_entity_it_touches() {
        let text = "seven in the morning or eight in the evening";
        let gold = [entity(text, "time", 0, 4), entity(text, "time", 5, 9)];
        let mut scores = EntityScores::default();
        scores.add(&gold, &[entity(text, "time", 0, 9)]);
        assert_eq!(scores.overlap(), counts(2, 0, 0));
        assert_eq!(scores.exact(), counts(0, 1, 2));
    }

    #[test]
    fn several_predictions_inside_one_gold_entity_count_once() {
        let text = "seven in the morning";
        let gold = [entity(text, "time", 0, 4)];
        let mut scores = EntityScores::default();
        scores.add(&gold, &[entity(text, "time", 0, 1), entity(text, "time", 3, 4)]);
        assert_eq!(scores.overlap(), counts(1, 0, 0));
    }

    #[test]
    fn overlap_compares_strings_and_not_places() {
        let text = "new shoes from new york";
        let mut scores = EntityScores::default();
        scores.add(&[entity(text, "city", 3, 5)], &[entity(text, "city", 0, 1)]);
        assert_eq!(scores.overlap(), counts(1, 0, 0));
        scores.add(&[entity(text, "city", 3, 5)], &[entity(text, "shop", 3, 5)]);
        assert_eq!(scores.overlap(), counts(1, 1, 1));
    }

    #[test]
    fn overlap_does_not_swap_precision_and_recall() {
        let text = "play jazz by miles in the kitchen";
        let gold = [entity(text, "genre", 1, 2), entity(text, "artist", 3, 4), entity(text, "room", 6, 7)];
        let mut scores = EntityScores::default();
        scores.add(&gold, &[entity(text, "genre", 1, 2)]);
        assert_eq!(scores.overlap().prf(), Prf { precision: 1.0, recall: 1.0 / 3.0, f1: 0.5 });
    }

    #[test]
    fn parts_merge_into_the_whole() {
        let text = "to berlin on monday";
        let (city, date) = (entity(text, "city", 1, 2), entity(text, "date", 3, 4));
        let (mut whole, mut left, mut right) = <(EntityScores, EntityScores, EntityScores)>::default();
        let messages = [(vec![city.clone()], vec![city.clone(), date.clone()]), (vec![date, city], vec![])];
        for (part, (gold, predicted)) in [&mut left, &mut right].into_iter().zip(&messages) {
            part.add(gold, predicted);
            whole.add(gold, predicted);
        }
        left.merge(&right);
        assert_eq!(left, whole);
    }

    #[test]
    fn no_entities_score_zero() {
        let mut scores = EntityScores::default();
        assert_eq!(scores.finish(), EntityReport::default());
        scores.add(&[], &[]);
        assert_eq!(scores.finish(), EntityReport::default());
    }

    #[test]
    fn a_report_reads_back_from_json() {
        let mut scores = EntityScores::default();
        scores.add(&[entity("to berlin", "city", 1, 2)], &[]);
        let report = scores.finish();
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["exact_by_label"]["city"]["false_negatives"], 1);
        assert_eq!(json["overlap"]["f1"], 0.0);
        assert_eq!(serde_json::from_value::<EntityReport>(json).unwrap(), report);
    }
}
