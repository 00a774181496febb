//! The [`Tokenizer`] trait and the tokenizer that reads messages and intent names the way Rasa does.

use super::{Expression, Span, TokenizerError, WhitespaceTokenizerConfig, scan, script};

/// Anything that finds the tokens of a text.
///
/// The spans index `text`, in order, never empty and never overlapping. Characters between them belong
/// to no token.
pub trait Tokenizer {
    /// The places of the tokens of `text`; none for a text of blanks.
    fn tokenize(&self, text: &str) -> Vec<Span>;
}

/// Cuts at blanks, and takes the punctuation off the words without breaking links, numbers and times.
///
/// `don't stop!` is `don`, `t`, `stop`, while `me@mail.org`, `$5.99`, `12:30pm` and `state-of-the-art`
/// stay whole. Rasa's tokenizer of this name gives the same tokens, with these differences on purpose:
///
/// - A token of emoji alone is left out, but never one that has a letter or a digit: Rasa's range of
///   emoji swallows Chinese and Japanese, which it refuses to read for that matter.
/// - Writing without blanks (Han, Hiragana, Katakana, Thai, Lao, Khmer, Myanmar) is cut where the script
///   changes and then into single characters; Katakana words stay together.
/// - A combining mark, joiner or emoji modifier whose base was stripped goes with its base.
/// - A message in which nothing remains (`!!!`, `👍`) is one token without the blanks around it, and a
///   message of blanks alone has none.
///
/// The time is linear in the length of the text.
///
/// # Example
///
/// ```
/// use talkformer::text::{Span, Tokenizer, WhitespaceTokenizer};
///
/// let tokenizer = WhitespaceTokenizer::default();
/// assert_eq!(tokenizer.tokenize("Hi, it's €20!"), [
///     Span::new(0, 2),  // Hi
///     Span::new(4, 6),  // it
///     Span::new(7, 8),  // s
///     Span::new(9, 14), // €20
/// ]);
/// assert_eq!(tokenizer.tokenize(" !!! "), [Span::new(1, 4)]);
/// assert_eq!(tokenizer.tokenize("  "), []);
/// ```
#[derive(Clone, Debug, Default)]
pub struct WhitespaceTokenizer {
    config: WhitespaceTokenizerConfig,
    token_pattern: Option<Expression>,
}

impl WhitespaceTokenizer {
    /// Checks the settings and compiles the pattern.
    ///
    /// # Errors
    ///
    /// [`TokenizerError`] names the option that cannot work.
    pub fn new(config: WhitespaceTokenizerConfig) -> Result<Self, TokenizerError> {
        if config.intent_tokenization_flag && config.intent_split_symbol.is_empty() {
            return Err(TokenizerError::EmptySymbol { option: "intent_split_symbol" });
        }
        if config.prefix_separator_symbol.as_deref() == Some("") {
            return Err(TokenizerError::EmptySymbol { option: "prefix_separator_symbol" });
        }
        let token_pattern = config.token_pattern.as_deref().map(compile).transpose()?;
        Ok(Self { config, token_pattern })
    }

    /// The settings in use.
    #[must_use]
    pub const fn config(&self) -> &WhitespaceTokenizerConfig {
        &self.config
    }

    /// Splits an intent name into label tokens, from which the features of the intent are made.
    ///
    /// By default the name is one token. A prefix before `prefix_separator_symbol` is a token of its own;
    /// the rest is split at `intent_split_symbol` if `intent_tokenization_flag` is on. Empty tokens are
    /// left out, unless that leaves nothing of the name. For a retrieval intent `intent/key`, ask twice:
    /// once for each side of the `/`.
    ///
    /// # Example
    ///
    /// ```
    /// use talkformer::text::WhitespaceTokenizer;
    ///
    /// assert_eq!(WhitespaceTokenizer::default().label_tokens("check_balance"), ["check_balance"]);
    /// ```
    #[must_use]
    pub fn label_tokens<'a>(&self, label: &'a str) -> Vec<&'a str> {
        let separator = self.config.prefix_separator_symbol.as_deref();
        let (prefix, name) = match separator.and_then(|symbol| label.split_once(symbol)) {
            Some((prefix, name)) => (Some(prefix), name),
            None => (None, label),
        };
        let mut tokens: Vec<&str> = prefix.into_iter().collect();
        if self.config.intent_tokenization_flag {
            tokens.extend(name.split(self.config.intent_split_symbol.as_str()));
        } else {
            tokens.push(name);
        }
        tokens.retain(|token| !token.is_empty());
        if tokens.is_empty() && !label.is_empty() {
            tokens.push(label);
        }
        tokens
    }
}

impl Tokenizer for WhitespaceTokenizer {
    fn tokenize(&self, text: &str) -> Vec<Span> {
        let ascii = text.is_ascii();
        let mut words = scan::words(text);
        if !ascii {
            words.retain_mut(|word| {
                *word = without_orphans(text, *word);
                !word.is_empty() && !is_only_emoji(word.of(text))
            });
        }
        let nothing_remains = words.is_empty();
        if nothing_remains {
            words.extend(without_outer_blanks(text));
        }
        match &self.token_pattern {
            Some(pattern) => pick(pattern, text, &words),
            None if ascii || nothing_remains => words,
            None => split_scripts(text, &words),
        }
    }
}

fn compile(pattern: &str) -> Result<Expression, TokenizerError> {
    let compiled = Expression::new(pattern, false)
        .map_err(|error| TokenizerError::TokenPattern { pattern: pattern.to_owned(), error })?;
    match compiled.groups() {
        0 | 1 => Ok(compiled),
        groups => Err(TokenizerError::TokenPatternGroups { pattern: pattern.to_owned(), groups }),
    }
}

/// Each word replaced by what `pattern` finds in it, and kept where it finds nothing.
fn pick(pattern: &Expression, text: &str, words: &[Span]) -> Vec<Span> {
    let mut tokens = Vec::with_capacity(words.len());
    for &word in words {
        let found = tokens.len();
        let caught = match pattern.groups() {
            0 => pattern.find(word.of(text)),
            group => pattern.caught(group, word.of(text)),
        };
        tokens.extend(
            caught
                .into_iter()
                .filter(|part| !part.is_empty())
                .map(|part| Span::new(word.start + part.start, word.start + part.end)),
        );
        if tokens.len() == found {
            tokens.push(word);
        }
    }
    tokens
}

fn split_scripts(text: &str, words: &[Span]) -> Vec<Span> {
    let mut tokens = Vec::with_capacity(words.len());
    for &word in words {
        script::split(text, word, &mut tokens);
    }
    tokens
}

fn without_outer_blanks(text: &str) -> Option<Span> {
    let start = text.len() - text.trim_start().len();
    let end = text.trim_end().len();
    (start < end).then(|| Span::new(start, end))
}

/// The word without leading marks that lean on a character which was stripped before it.
///
/// `\w` counts the variation selector of `❤️` as part of a word and the heart as none, so `❤️you` would
/// begin with half an emoji.
fn without_orphans(text: &str, word: Span) -> Span {
    let base_was_stripped = text[..word.start].chars().next_back().is_some_and(|c| !c.is_whitespace());
    if !base_was_stripped {
        return word;
    }
    let rest = word.of(text).trim_start_matches(script::continues_cluster);
    Span::new(word.end - rest.len(), word.end)
}

/// Whether every character is of Rasa's emoji class and none is a letter or a digit.
fn is_only_emoji(word: &str) -> bool {
    word.chars().all(|c| {
        let in_class = matches!(c,
            '\u{200c}'..='\u{200d}'
            | '\u{24c2}'..='\u{1f251}' // with its dingbats and flags, and all of Chinese
            | '\u{1f300}'..='\u{1f64f}'
            | '\u{1f680}'..='\u{1f6ff}');
        in_class && !c.is_alphanumeric()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tokens_of<'a>(tokenizer: &WhitespaceTokenizer, text: &'a str) -> Vec<&'a str> {
        tokenizer.tokenize(text).into_iter().map(|span| span.of(text)).collect()
    }

    fn tokens(text: &str) -> Vec<&str> {
        tokens_of(&WhitespaceTokenizer::default(), text)
    }

    /// The vectors were computed with Rasa's substitution in Python's `regex` engine.
    #[test]
    fn gives_the_tokens_of_rasa() {
        let table = [
            ("don't", "don·t"),
            ("it's 5 o'clock", "it·s·5·o·clock"),
            ("hey ńöñàśçií how're you?", "hey·ńöñàśçií·how·re·you"),
            ("50 क्या आपके पास", "50·क्या·आपके·पास"),
            (
                "https://www.google.com/search?client=safari&q=x",
                "https://www.google.com/search?client=safari&q=x",
            ),
            ("joselico1@gmail.com", "joselico1@gmail.com"),
            ("u.s.a.", "u.s.a"),
            ("100%", "100"),
            ("10%20", "10%20"),
            ("5%off", "5%off"),
            ("10'000.00", "10'000.00"),
            ("$5", "$5"),
            ("€20", "€20"),
            ("-3 degrees", "-3·degrees"),
            (".5", ".5"),
            ("cost is $5.99!", "cost·is·$5.99"),
            ("a/b", "a/b"),
            ("one,two", "one,two"),
            ("state-of-the-art", "state-of-the-art"),
            ("12:30pm", "12:30pm"),
            ("price:$20", "price:$20"),
            ("x<y", "x·y"),
            ("(hello)", "hello"),
            ("\"quoted\" text", "quoted·text"),
            ("a 'b' c", "a·b·c"),
            ("hello... world", "hello·world"),
            ("#tag @me &co", "#tag·@me·&co"),
            ("- item", "item"),
            ("[x]", "x"),
            ("good 👍", "good"),
            ("-", "-"),
            ("!!!", "!!!"),
        ];
        for (text, wanted) in table {
            assert_eq!(tokens(text).join("·"), wanted, "{text}");
        }
    }

    #[test]
    fn emoji_never_take_letters_with_them() {
        assert_eq!(tokens("👍"), ["👍"]);
        assert_eq!(tokens(" 👩\u{200d}🚀! "), ["👩\u{200d}🚀!"]);
        assert_eq!(tokens("❤\u{fe0f}you 👍🏻5"), ["you", "5"]);
        assert_eq!(tokens("ok 👩\u{200d}🚀 语 ５"), ["ok", "语", "５"]);
        assert_eq!(tokens("👍 5\u{fe0f}\u{20e3}"), ["5\u{fe0f}\u{20e3}"]);
        assert_eq!(tokens(" \u{301}a"), ["\u{301}a"]);
    }

    #[test]
    fn blanks_alone_have_no_tokens() {
        for text in ["", " ", "\n\t \u{a0}\u{3000}"] {
            assert_eq!(tokens(text), Vec::<&str>::new());
        }
    }

    #[test]
    fn reads_writing_without_blanks() {
        assert_eq!(tokens("你好，世界。"), ["你", "好", "世", "界"]);
        assert_eq!(tokens("「ジョン・スミス」さん"), ["ジョン", "スミス", "さ", "ん"]);
        assert_eq!(tokens("明日7:30にWi-Fiを。"), ["明", "日", "7:30", "に", "Wi-Fi", "を"]);
        assert_eq!(tokens("ที่ไหน 24 ชม."), ["ที่", "ไ", "ห", "น", "24", "ช", "ม"]);
    }

    #[test]
    fn a_pattern_picks_inside_the_tokens() -> Result<(), TokenizerError> {
        let with = |pattern: &str| {
            let token_pattern = Some(pattern.to_owned());
            WhitespaceTokenizer::new(WhitespaceTokenizerConfig { token_pattern, ..Default::default() })
        };
        assert_eq!(tokens_of(&with("[^/]+")?, "a/bé/c 東京/x !!"), ["a", "bé", "c", "東京", "x"]);
        assert_eq!(tokens_of(&with(r"(\d+)px|\d+x")?, "12px+3px ab 5x"), ["12", "3", "ab", "5x"]);
        assert_eq!(tokens_of(&with("!")?, "!!"), ["!", "!"]);
        assert_eq!(tokens_of(&with("z*")?, "ab"), ["ab"]);
        assert_eq!(tokens_of(&with(r"(?<!x)\d+|[[x]+")?, "ab12x3"), ["12", "x"]);
        Ok(())
    }

    #[test]
    fn says_which_setting_cannot_work() {
        let message = |yaml: &str| {
            let config = serde_json::from_str(yaml).unwrap();
            WhitespaceTokenizer::new(config).unwrap_err().to_string()
        };
        assert!(message(r#"{"token_pattern": "(?<=(a)\\1+)b"}"#).contains("look-behind"));
        assert!(message(r#"{"token_pattern": "(a)(b)"}"#).contains("2 capture groups"));
        let empty = r#"{"intent_tokenization_flag": true, "intent_split_symbol": ""}"#;
        assert_eq!(message(empty), "`intent_split_symbol` is empty, expected at least one character");
        assert!(message(r#"{"prefix_separator_symbol": ""}"#).starts_with("`prefix_separator_symbol`"));
    }

    #[test]
    fn settings_survive_a_round_trip_and_refuse_typos() {
        let config: WhitespaceTokenizerConfig = serde_json::from_str("{}").unwrap();
        assert_eq!(config, WhitespaceTokenizerConfig::default());
        assert_eq!(WhitespaceTokenizer::default().config(), &config);
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<WhitespaceTokenizerConfig>(&json).unwrap(), config);
        let typo = serde_json::from_str::<WhitespaceTokenizerConfig>(r#"{"intent_split": "+"}"#);
        assert!(typo.unwrap_err().to_string().contains("intent_split_symbol"));
    }

    #[test]
    fn intent_names_split_only_when_asked() -> Result<(), TokenizerError> {
        let plain = WhitespaceTokenizer::default();
        assert_eq!(plain.label_tokens("a_b/c"), ["a_b/c"]);
        assert_eq!(plain.label_tokens(""), Vec::<&str>::new());

        let split = |flag: bool, symbol: &str, prefix: Option<&str>| {
            WhitespaceTokenizer::new(WhitespaceTokenizerConfig {
                intent_tokenization_flag: flag,
                intent_split_symbol: symbol.to_owned(),
                prefix_separator_symbol: prefix.map(str::to_owned),
                ..Default::default()
            })
        };
        assert_eq!(split(true, "+", None)?.label_tokens("greet+ask_name"), ["greet", "ask_name"]);
        assert_eq!(split(true, "_", None)?.label_tokens("_a__b"), ["a", "b"]);
        assert_eq!(split(true, "_", None)?.label_tokens("__"), ["__"]);
        assert_eq!(split(true, "_", Some("."))?.label_tokens("my_bot.a_b.c"), ["my_bot", "a", "b.c"]);
        assert_eq!(split(false, "_", Some("."))?.label_tokens("my_bot.a_b"), ["my_bot", "a_b"]);
        Ok(())
    }

    #[test]
    fn tokenizers_are_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<WhitespaceTokenizer>();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn spans_index_the_text_in_order(
            text in "([a-c0-9 !.%'#\n\u{301}\u{200d}\u{fe0f}👍🏻🇩语のカー。ก-ฮำ]|\\PC){0,32}",
        ) {
            let spans = WhitespaceTokenizer::default().tokenize(&text);
            prop_assert_eq!(spans.is_empty(), text.trim().is_empty());
            let mut end = 0;
            for span in spans {
                prop_assert!(end <= span.start && span.start < span.end);
                let token = text.get(span.start..span.end);
                prop_assert!(token.is_some_and(|token| token == token.trim()), "{span:?} in {text:?}");
                end = span.end;
            }
            prop_assert!(end <= text.len());
        }

        #[test]
        fn no_token_begins_inside_a_cluster(
            text in "[a-c0-9 !.%'#\n\u{301}\u{200d}\u{fe0f}👍🏻语のカー。ก-ฮำ]{0,32}",
        ) {
            for span in WhitespaceTokenizer::default().tokenize(&text) {
                let leans = span.of(&text).starts_with(script::continues_cluster);
                let before = text[..span.start].chars().next_back();
                prop_assert!(!leans || before.is_none_or(char::is_whitespace), "{span:?} in {text:?}");
            }
        }

        #[test]
        fn every_letter_and_digit_is_in_a_token(text in "[a-c0-9 !.%'\n👍语のカー。ก-ฮ]{0,32}") {
            let spans = WhitespaceTokenizer::default().tokenize(&text);
            for (at, c) in text.char_indices().filter(|(_, c)| c.is_alphanumeric()) {
                prop_assert!(spans.iter().any(|span| span.start <= at && at < span.end), "{c} of {text:?}");
            }
        }
    }
}
