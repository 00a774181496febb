//! What is odd about the annotations of training data.

use crate::data::Utterance;
use crate::diet::Labels;
use crate::text::Span;

/// How many annotations are named.
const NAMED: usize = 10;

/// Entities whose borders are not token borders.
pub(super) fn misaligned(labels: &Labels, utterances: &[&Utterance], tokens: &[Vec<Span>]) -> Vec<String> {
    let Some(set) = &labels.entities else { return Vec::new() };
    let of_one = |(utterance, tokens): (&&Utterance, &Vec<Span>)| -> Vec<String> {
        let spans = utterance.entities.iter().map(|entity| (entity.span, entity.entity.as_str()));
        let found = set.encode(tokens, spans).misaligned;
        found.into_iter().map(|at| describe(utterance, at, tokens)).collect()
    };
    let mut found: Vec<String> = utterances.iter().zip(tokens).flat_map(of_one).collect();
    let more = found.len().saturating_sub(NAMED);
    if more > 0 {
        found.truncate(NAMED);
        found.push(format!("… and {more} more annotations that do not fit the tokens"));
    }
    found
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
