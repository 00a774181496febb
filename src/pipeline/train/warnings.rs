//! What is odd about the annotations of training data.

use crate::data::{Entity, TagSet, Utterance};
use crate::diet::Labels;
use crate::pipeline::examples::Examples;
use crate::text::Span;

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
