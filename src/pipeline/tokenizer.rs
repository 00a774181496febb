//! What finds the tokens of messages.

use std::sync::Arc;

use super::custom::{Components, SharedTokenizer};
use super::{Nlu, PipelineConfig, PipelineError};
use crate::error::Result;
use crate::text::{Span, Tokenizer, WhitespaceTokenizer};

/// The tokenizer of a pipeline.
#[derive(Clone, Debug)]
pub(super) struct MessageTokenizer {
    /// Splits the names of intents, and messages unless there is another tokenizer for these.
    whitespace: WhitespaceTokenizer,
    custom: Option<Arc<dyn SharedTokenizer>>,
}

impl MessageTokenizer {
    pub(super) fn new(config: &PipelineConfig, components: &Components) -> Result<Self> {
        Ok(Self {
            whitespace: WhitespaceTokenizer::new(config.tokenizer())?,
            custom: components.tokenizer_of(config).map_err(PipelineError::from)?,
        })
    }

    /// What splits the names of intents.
    pub(super) fn of_labels(&self) -> &WhitespaceTokenizer {
        &self.whitespace
    }

    /// The tokens of a message that are read, and whether there are more.
    pub(super) fn tokenize(&self, text: &str) -> (Vec<Span>, bool) {
        let mut tokens = match &self.custom {
            Some(custom) => sound(custom.tokenize(text), text),
            None => self.whitespace.tokenize(text),
        };
        let truncated = tokens.len() > Nlu::MAX_TOKENS;
        tokens.truncate(Nlu::MAX_TOKENS);
        (tokens, truncated)
    }
}

/// The tokens that are as [`Tokenizer`] asks for: places in the text, in order, not empty and not overlapping.
fn sound(mut tokens: Vec<Span>, text: &str) -> Vec<Span> {
    let mut end = 0;
    tokens.retain(|token| {
        let sound = !token.is_empty() && token.start >= end && text.get(token.start..token.end).is_some();
        end = if sound { token.end } else { end };
        sound
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
            sound(tokens.clone(), "abcdé"),
            [(0, 2), (2, 4), (4, 6)].map(|(start, end)| Span::new(start, end))
        );
        assert!(sound(tokens, "").is_empty());
    }
}
