//! Characters → tokens: where the words of a message are.
//!
//! A message comes in as a `&str`; a list of [`Span`]s goes out, one per token, in order, never empty,
//! never overlapping, each one an index into the message as the user typed it. Nothing is lowercased,
//! normalised or copied here, so every later stage can point back at the exact characters.
//!
//! [`WhitespaceTokenizer`] reads most of the world's writing in three steps:
//!
//! 1. `scan` cuts at blanks and strips the punctuation around words, with the rules Rasa users know;
//! 2. tokens made of nothing but emoji are left out, unless the message holds nothing else;
//! 3. `script` cuts up what a writing without blanks (Chinese, Japanese, Thai, …) left in one piece.
//!
//! Where people count characters and not bytes, [`CharOffsets`] translates. [`fold`] and [`lower_case`] say when two
//! spellings are the same; an [`Expression`] is a regular expression as Python writes it.
//!
//! ```
//! use talkformer::text::{Tokenizer, WhitespaceTokenizer};
//!
//! let text = "Don't wake me at 7:30, 明天!";
//! let spans = WhitespaceTokenizer::default().tokenize(text);
//! let tokens: Vec<&str> = spans.iter().map(|span| span.of(text)).collect();
//! assert_eq!(tokens, ["Don", "t", "wake", "me", "at", "7:30", "明", "天"]);
//! ```
//!
//! Read `span` first, then `tokenizer`, then `scan` for the rules themselves. `features` takes it from
//! here: it turns the tokens into numbers.

mod config;
mod cuts;
mod expression;
mod fold;
mod python;
mod scan;
mod script;
mod span;
mod tokenizer;

pub use config::{TokenizerError, WhitespaceTokenizerConfig};
pub(crate) use cuts::{Annotated, Cuts};
pub use expression::{Expression, ExpressionError};
pub(crate) use fold::{Folded, lower_case_from};
pub use fold::{fold, lower_case};
pub use span::{CharOffsets, Span};
pub use tokenizer::{Tokenizer, WhitespaceTokenizer};
