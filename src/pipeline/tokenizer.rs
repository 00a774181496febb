//! What finds the tokens of messages.

use std::sync::Arc;

use super::custom::{Components, SharedTokenizer};
use super::{PipelineConfig, PipelineError};
use crate::bundle::{Bundle, BundleError, BundleWriter};
use crate::data::Utterance;
use crate::diet::Labels;
use crate::error::Result;
use crate::features::LabelFeatures;
use crate::text::{Annotated, Cuts, Span, Tokenizer, WhitespaceTokenizer};

/// A longer message is read up to this many tokens.
pub(super) const MAX_TOKENS: usize = 2048;

/// The part of a bundle with the cuts, where there are any.
const CUTS: &str = "cuts.json";

/// The tokenizer of a pipeline, with the cuts that the annotations of its training data asked for.
#[derive(Clone, Debug)]
pub(super) struct MessageTokenizer {
    /// Splits the names of intents, and messages unless there is another tokenizer for these.
    whitespace: WhitespaceTokenizer,
    custom: Option<Arc<dyn SharedTokenizer>>,
    cuts: Cuts,
}

impl MessageTokenizer {
    pub(super) fn new(config: &PipelineConfig, components: &Components) -> Result<Self> {
        let custom = config.custom_tokenizer().map(|own| components.configure_tokenizer(own));
        Ok(Self {
            whitespace: WhitespaceTokenizer::new(config.tokenizer())?,
            custom: custom.transpose().map_err(PipelineError::from)?,
            cuts: Cuts::default(),
        })
    }

    /// The same tokenizer with the cuts of an earlier model, and with those that the annotations of `utterances` ask for.
    /// Words that fewer than `least` of these have are not among the cuts.
    pub(super) fn with_cuts(self, earlier: Option<&Self>, utterances: &[&Utterance], least: usize) -> Self {
        let messages = utterances.iter().map(|utterance| Annotated {
            text: &utterance.text,
            tokens: self.uncut(&utterance.text),
            spans: utterance.entities.iter().map(|entity| entity.span).collect(),
        });
        let messages: Vec<Annotated<'_>> = messages.collect();
        let cuts = earlier.map_or_else(Cuts::default, |earlier| earlier.cuts.clone()).learn(&messages, least);
        Self { cuts, ..self }
    }

    /// The same tokenizer with the cuts that a bundle keeps.
    pub(super) fn with_saved_cuts(self, bundle: &Bundle) -> Result<Self, BundleError> {
        Ok(Self { cuts: if bundle.has(CUTS) { bundle.json(CUTS)? } else { Cuts::default() }, ..self })
    }

    pub(super) fn save_cuts(&self, writer: BundleWriter) -> Result<BundleWriter, BundleError> {
        if self.cuts.is_empty() { Ok(writer) } else { writer.json(CUTS, &self.cuts) }
    }

    /// The features of the names of intents.
    pub(super) fn label_features(&self, labels: &Labels) -> LabelFeatures {
        LabelFeatures::new(&labels.intents, &self.whitespace)
    }

    /// The tokens of a message that are read, and whether there are more.
    pub(super) fn tokenize(&self, text: &str) -> (Vec<Span>, bool) {
        let mut tokens = self.cuts.apply(text, self.uncut(text));
        let truncated = tokens.len() > MAX_TOKENS;
        tokens.truncate(MAX_TOKENS);
        (tokens, truncated)
    }

    /// The tokens by the tokenizer's own rules.
    fn uncut(&self, text: &str) -> Vec<Span> {
        match &self.custom {
            Some(custom) => valid_spans(custom.tokenize(text), text),
            None => self.whitespace.tokenize(text),
        }
    }
}

/// The tokens that are as [`Tokenizer`] asks for: places in the text, in order, not empty and not overlapping.
fn valid_spans(mut tokens: Vec<Span>, text: &str) -> Vec<Span> {
    let mut end = 0;
    tokens.retain(|token| {
        let valid = !token.is_empty() && token.start >= end && text.get(token.start..token.end).is_some();
        end = if valid { token.end } else { end };
        valid
    });
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_are_no_places_of_the_text_are_left_out() {
        let spans = [(0, 2), (1, 3), (3, 3), (2, 4), (4, 6), (5, 99)];
        let tokens = spans.map(|(start, end)| Span::new(start, end)).to_vec();
        // `é` is the bytes 4 and 5.
        assert_eq!(
            valid_spans(tokens.clone(), "abcdé"),
            [(0, 2), (2, 4), (4, 6)].map(|(start, end)| Span::new(start, end))
        );
        assert!(valid_spans(tokens, "").is_empty());
    }
}
