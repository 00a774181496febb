//! What is odd about the annotations of training data.

use crate::data::Utterance;
use crate::diet::Labels;
use crate::pipeline::examples::Examples;
use crate::text::Span;

/// How many annotations are named.
const NAMED: usize = 10;

/// Entities whose borders are not token borders.
pub(super) fn misaligned(labels: &Labels, examples: &Examples<'_>) -> Vec<String> {
    let Some(set) = &labels.entities else { return Vec::new() };
    let of_one = |at: usize| {
        let entities = &examples.utterances[at].entities;
        let spans = entities.iter().map(|entity| (entity.span, entity.entity.as_str()));
        let found = set.encode(&examples.tokens[at], spans).misaligned;
        found.into_iter().map(move |entity| (at, entity))
    };
    let found: Vec<(usize, usize)> = (0..examples.utterances.len()).flat_map(of_one).collect();
    let named =
        |(at, entity): &(usize, usize)| describe(&examples.utterances[*at], *entity, &examples.tokens[*at]);
    let mut warnings: Vec<String> = found.iter().take(NAMED).map(named).collect();
    let more = found.len() - warnings.len();
    if more > 0 {
        warnings.push(format!("… and {more} more annotations that do not fit the tokens"));
    }
    warnings
}

fn describe(utterance: &Utterance, entity: usize, tokens: &[Span]) -> String {
    let entity = &utterance.entities[entity];
    let inside = tokens.iter().filter(|token| token.overlaps(entity.span));
    let words: Vec<&str> = inside.map(|token| token.of(&utterance.text)).collect();
    format!(
        "{}: `{}` ({}) does not begin and end where tokens do: it is learnt as `{}`",
        utterance.source,
        entity.surface(&utterance.text),
        entity.entity,
        words.join(" ")
    )
}
