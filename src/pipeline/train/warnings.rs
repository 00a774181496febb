//! What is odd about the options, and about the annotations of training data.

use crate::data::{Entity, TagSet, Utterance};
use crate::diet::{DietConfig, Labels};
use crate::pipeline::examples::Examples;
use crate::settings::Settings;
use crate::text::Span;

/// Options that were given and have no effect beside the others.
pub(super) fn without_effect(diet: &DietConfig) -> Vec<String> {
    let told = diet.without_effect().into_iter();
    told.map(|(option, why)| format!("option `{option}` has no effect: {why}")).collect()
}

/// How many annotations are named.
const NAMED: usize = 10;

/// Annotations that are learnt otherwise than they were made, or not at all: the first ones, and how many more there are.
pub(super) fn unlearnable(labels: &Labels, examples: &Examples<'_>) -> Vec<String> {
    let Some(set) = &labels.entities else { return Vec::new() };
    let all = examples.utterances.iter().zip(&examples.tokens);
    let mut warnings: Vec<String> =
        all.flat_map(|(utterance, tokens)| unlearnable_in(set, utterance, tokens)).collect();
    if warnings.len() > NAMED {
        let more = warnings.split_off(NAMED).len();
        warnings.push(format!("… and {more} more annotations that are not learnt as they are"));
    }
    warnings
}

fn unlearnable_in(set: &TagSet, utterance: &Utterance, tokens: &[Span]) -> Vec<String> {
    let entities = &utterance.entities;
    let found = set.encode(tokens, entities.iter().map(|entity| (entity.span, entity.entity.as_str())));
    let named = |at: &usize, problem: &dyn Fn(&Entity) -> String| {
        let entity = &entities[*at];
        let (words, kind) = (entity.surface(&utterance.text), &entity.entity);
        format!("{}: `{words}` ({kind}) {}", utterance.source, problem(entity))
    };
    let learnt_as = |entity: &Entity| {
        let inside = tokens.iter().filter(|token| token.overlaps(entity.span));
        let words: Vec<&str> = inside.map(|token| token.of(&utterance.text)).collect();
        match &words[..] {
            [] => "has no token and is not learnt".to_owned(),
            words => {
                format!("does not begin and end where tokens do: it is learnt as `{}`", words.join(" "))
            }
        }
    };
    let rival = |entity: &Entity| {
        let rival = entities.iter().find(|other| *other != entity && other.span.overlaps(entity.span));
        let kind = rival.map_or("another type", |rival| &rival.entity);
        format!("is annotated as `{kind}` too, and a word has one type: it is not learnt")
    };
    let misaligned = found.misaligned.iter().map(|at| named(at, &learnt_as));
    misaligned.chain(found.covered.iter().map(|at| named(at, &rival))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_says_which_option_and_what_would_give_it_an_effect() {
        let config = DietConfig::default().with(|diet| diet.similarity.label_smoothing = 0.1);
        let expected = "option `label_smoothing` has no effect: it needs the loss over all labels \
                        (`number_of_negative_examples: 0`)";
        assert_eq!(without_effect(&config), [expected]);
    }
}
