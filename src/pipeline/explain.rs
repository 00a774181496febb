//! Which words speak for the intent of a message.

use serde::{Serialize, Serializer};

use super::Nlu;
use super::nlu::Encoded;
use super::responses::Responses;
use crate::error::{ComputationError, Result};
use crate::prediction::Scored;
use crate::text::{CharOffsets, Span};

/// Why a message has its intent: how much each of its words speaks for it, and how near another intent was.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The message as it came.
    pub text: String,
    /// The intent that the network finds likeliest. [`Prediction::intent`](crate::prediction::Prediction::intent) may say that it is not sure enough.
    pub intent: Scored,
    /// The next one.
    pub next: Scored,
    /// How far that is behind: the logarithm of how many times as likely the intent is.
    pub margin: f32,
    /// The words, those that speak most for the intent first.
    pub evidence: Vec<Evidence>,
}

/// What a part of a message says of its intent.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Evidence {
    /// Its bytes in the text: a word or, in long messages, several.
    pub span: Span,
    /// How much smaller the margin is without it; below zero, it speaks for the next intent.
    pub weight: f32,
}

/// Parts of a message that are left out one by one at most.
const PARTS: usize = 64;

impl Nlu {
    /// Which words of a message speak for its intent, by leaving them out one by one: `weight = margin − margin without the word`,
    /// and `margin = ln(confidence of the intent / confidence of the next)`. That is true of the whole model, whatever it consists
    /// of. It takes as long as answering as many messages as there are words, of which the neighbours in messages of more than 64
    /// are left out together.
    ///
    /// `None` where a message has no intent, or the model knows no other.
    ///
    /// # Errors
    ///
    /// If the network cannot be computed.
    ///
    /// # Example
    ///
    /// ```
    /// use talkformer::data::{TrainingData, Utterance};
    /// use talkformer::pipeline::{Nlu, Recipe};
    ///
    /// let mut data = TrainingData::default();
    /// for (text, intent) in [("hello", "greet"), ("good day", "greet"), ("so long", "bye"), ("see you", "bye")] {
    ///     data.push(Utterance::new(text, Some(intent)));
    /// }
    /// let mut config = Recipe::accurate();
    /// config.change_diet(|diet| diet.training.set_epochs(20));
    /// let why = Nlu::train(&config, &data)?.explain("oh hello")?.unwrap();
    /// assert_eq!((why.intent.name.as_str(), why.next.name.as_str()), ("greet", "bye"));
    /// assert_eq!(why.evidence[0].span.of("oh hello"), "hello");
    /// # Ok::<(), talkformer::Error>(())
    /// ```
    pub fn explain(&self, text: &str) -> Result<Option<Explanation>> {
        let (tokens, _) = self.parts.tokenizer.tokenize(text);
        let parts = tokens.chunks(tokens.len().div_ceil(PARTS).max(1));
        let parts: Vec<Span> =
            parts.filter_map(|part| Some(Span::new(part.first()?.start, part.last()?.end))).collect();
        let others: Vec<String> = parts.iter().map(|part| without(text, *part)).collect();
        let texts: Vec<&str> = std::iter::once(text).chain(others.iter().map(String::as_str)).collect();
        let rankings = self.whole_rankings(&texts)?;
        let [intent, next, ..] = &rankings[0][..] else { return Ok(None) };
        let margin = |ranking: &Vec<Scored>| {
            let confidence = |of: &Scored| Some(ranking.iter().find(|one| one.name == of.name)?.confidence);
            match (confidence(intent), confidence(next)) {
                (Some(a), Some(b)) => (a.max(f32::MIN_POSITIVE) / b.max(f32::MIN_POSITIVE)).ln(),
                // Where no known word is left, nothing speaks for either.
                _ => 0.0,
            }
        };
        let all = margin(&rankings[0]);
        let weigh = |(span, ranking)| Evidence { span, weight: all - margin(ranking) };
        let mut evidence: Vec<Evidence> = parts.into_iter().zip(&rankings[1..]).map(weigh).collect();
        evidence.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        let (intent, next) = (intent.clone(), next.clone());
        Ok(Some(Explanation { text: text.to_owned(), margin: all, intent, next, evidence }))
    }

    /// All intents of each text as the network ranks them, before anything else changes its answer; none where it has no tokens.
    fn whole_rankings(&self, texts: &[&str]) -> Result<Vec<Vec<Scored>>> {
        let diet = self.diet.clone().with_whole_ranking();
        let rank = |message: &Encoded<'_>| {
            let mut ranking = Vec::new();
            if !message.tokens.is_empty() {
                diet.answer(std::slice::from_ref(&message), |_, answer| ranking = answer.ranking)
                    .map_err(ComputationError::new)?;
            }
            let several = self.labels().is_multi_label();
            Ok(if self.parts.responses.is_some() { Responses::intents(&ranking, several) } else { ranking })
        };
        self.encode_messages(texts)?.iter().map(rank).collect()
    }
}

/// The text without a part of it, and with no more than one blank in its place.
fn without(text: &str, part: Span) -> String {
    let (before, after) = (&text[..part.start], &text[part.end..]);
    let (kept, rest) = (before.trim_end(), after.trim_start());
    let blank = if kept.len() < before.len() || rest.len() < after.len() { " " } else { "" };
    format!("{kept}{blank}{rest}")
}

/// The JSON of an [`Explanation`]: offsets count characters, as those of Rasa do.
#[derive(Serialize)]
struct Json<'a> {
    intent: &'a Scored,
    next: &'a Scored,
    margin: f32,
    evidence: Vec<JsonEvidence<'a>>,
}

#[derive(Serialize)]
struct JsonEvidence<'a> {
    text: &'a str,
    start: usize,
    end: usize,
    weight: f32,
}

impl Serialize for Explanation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let offsets = CharOffsets::new(&self.text);
        let evidence = self.evidence.iter().map(|one| {
            let (start, end) = offsets.to_chars(one.span);
            JsonEvidence { text: one.span.of(&self.text), start, end, weight: one.weight }
        });
        let Self { intent, next, margin, .. } = self;
        Json { intent, next, margin: *margin, evidence: evidence.collect() }.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_text_has_no_double_blanks() {
        let left = |text: &str, start, end| without(text, Span::new(start, end));
        assert_eq!(left("book a room", 5, 6), "book room");
        assert_eq!(left("book", 0, 4), "");
        assert_eq!(left("東京の天気", 6, 9), "東京天気");
        assert_eq!(left("well, yes", 0, 4), ", yes");
    }
}
