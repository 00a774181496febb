//! Regular expressions and lookup tables.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use serde::{Deserialize, Serialize};

use super::message::Rows;
use super::{FeatureError, Message};
use crate::data::{Lookup, Pattern, Source, TrainingData};
use crate::text::{Expression, Folded, Span};

/// Settings; names are those of Rasa's `RegexFeaturizer` and `RegexEntityExtractor`, whose defaults
/// differ in `case_sensitive` only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "these are Rasa's options")]
pub struct PatternsConfig {
    /// Whether case matters.
    pub case_sensitive: bool,
    /// Whether lookup tables are searched for.
    pub use_lookup_tables: bool,
    /// Whether regular expressions are.
    pub use_regexes: bool,
    /// Whether an element of a lookup table must begin and end where a word does.
    pub use_word_boundaries: bool,
    /// Whether an expression that cannot be read is left out with a warning; otherwise it ends the training. Ours, not
    /// Rasa's.
    pub skip_invalid_regexes: bool,
}

impl Default for PatternsConfig {
    fn default() -> Self {
        Self {
            case_sensitive: true,
            use_lookup_tables: true,
            use_regexes: true,
            use_word_boundaries: true,
            skip_invalid_regexes: false,
        }
    }
}

/// The patterns of the training data, ready to search.
///
/// Each expression is one column, each lookup table another. A token has the column if a match
/// touches it, the message if there is a match at all. An expression is read as Python would read it
/// ([`Expression`]). All elements of a table are searched for at once; any blanks between their words will do, and
/// unless case matters they are compared by [`fold`](crate::text::fold).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Saved", into = "Saved")]
pub struct Patterns {
    saved: Saved,
    matchers: Vec<Matcher>,
    /// Why expressions were left out.
    left_out: Vec<String>,
}

/// What is needed to compile the patterns again.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Saved {
    config: PatternsConfig,
    patterns: Vec<SavedPattern>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum SavedPattern {
    Regex { name: String, pattern: String },
    Lookup { name: String, elements: Vec<String> },
}

impl SavedPattern {
    fn name(&self) -> &str {
        match self {
            Self::Regex { name, .. } | Self::Lookup { name, .. } => name,
        }
    }
}

#[derive(Clone, Debug)]
enum Matcher {
    Regex(Expression),
    Lookup(AhoCorasick),
}

impl TryFrom<Saved> for Patterns {
    type Error = FeatureError;

    fn try_from(saved: Saved) -> Result<Self, FeatureError> {
        let here = here();
        let compile = |pattern: &SavedPattern| match pattern {
            SavedPattern::Regex { name, pattern } => compile_regex(&saved.config, name, pattern, &here),
            SavedPattern::Lookup { name, elements } => compile_lookup(&saved.config, name, elements, &here),
        };
        let matchers = saved.patterns.iter().map(compile).collect::<Result<_, _>>()?;
        Ok(Self { saved, matchers, left_out: Vec::new() })
    }
}

/// The source of patterns that were read from a model.
fn here() -> Source {
    Source::new("the saved model", 0)
}

/// What a pattern is known by: name and expression, or the name of the table and how many before it have that name.
type Key<'p> = (&'p str, Option<&'p str>, usize);

fn keys(patterns: &[SavedPattern]) -> Vec<Key<'_>> {
    let mut seen: BTreeMap<(&str, Option<&str>), usize> = BTreeMap::new();
    let names = patterns.iter().map(|pattern| match pattern {
        SavedPattern::Regex { name, pattern } => (name.as_str(), Some(pattern.as_str())),
        SavedPattern::Lookup { name, .. } => (name.as_str(), None),
    });
    let key = |(name, expression)| {
        let count = seen.entry((name, expression)).or_default();
        *count += 1;
        (name, expression, *count)
    };
    names.map(key).collect()
}

impl From<Patterns> for Saved {
    fn from(patterns: Patterns) -> Self {
        patterns.saved
    }
}

impl Patterns {
    /// Compiles the patterns of the training data: expressions in order of name and text, then tables.
    ///
    /// # Errors
    ///
    /// If one does not compile.
    pub fn fit(config: &PatternsConfig, data: &TrainingData) -> Result<Self, FeatureError> {
        Self::only(config, data, |_| true)
    }

    /// Compiles the patterns with a wanted name.
    ///
    /// # Errors
    ///
    /// If one does not compile.
    pub fn only(
        config: &PatternsConfig,
        data: &TrainingData,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Self, FeatureError> {
        let mut regexes: Vec<&Pattern> = data.regexes.iter().filter(|regex| wanted(&regex.name)).collect();
        regexes.sort_by_key(|regex| (&regex.name, &regex.pattern));
        let lookups: Vec<&Lookup> = data.lookups.iter().filter(|lookup| wanted(&lookup.name)).collect();
        let (mut patterns, mut matchers, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
        for Pattern { name, pattern, source } in regexes.into_iter().filter(|_| config.use_regexes) {
            match compile_regex(config, name, pattern, source) {
                Ok(matcher) => matchers.push(matcher),
                Err(error) if config.skip_invalid_regexes => {
                    left_out.push(format!("{error}; it was left out"));
                    continue;
                }
                Err(error) => return Err(error),
            }
            patterns.push(SavedPattern::Regex { name: name.clone(), pattern: pattern.clone() });
        }
        for Lookup { name, elements, source } in lookups.into_iter().filter(|_| config.use_lookup_tables) {
            matchers.push(compile_lookup(config, name, elements, source)?);
            patterns.push(SavedPattern::Lookup { name: name.clone(), elements: elements.clone() });
        }
        Ok(Self { saved: Saved { config: config.clone(), patterns }, matchers, left_out })
    }

    /// Why expressions of the training data were left out, each in one line with its place.
    #[must_use]
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Every match in the text: name of the pattern and place.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<(&str, Span)> {
        let found = self.matches(text).into_iter();
        found.map(|(at, span)| (self.saved.patterns[at].name(), span)).collect()
    }

    pub(super) fn width(&self) -> usize {
        self.matchers.len()
    }

    /// For each column, the one of the same expression, or of the table of the same name, in an earlier featurizer.
    /// Several tables of one name are matched in their order.
    pub(super) fn origins(&self, earlier: &Self) -> Vec<Option<u32>> {
        let known: BTreeMap<Key<'_>, u32> = keys(&earlier.saved.patterns).into_iter().zip(0..).collect();
        keys(&self.saved.patterns).iter().map(|key| known.get(key).copied()).collect()
    }

    /// The expressions and tables, as training data has them.
    #[must_use]
    pub fn lists(&self) -> (Vec<Pattern>, Vec<Lookup>) {
        let (mut regexes, mut lookups) = (Vec::new(), Vec::new());
        for saved in &self.saved.patterns {
            let source = here();
            match saved.clone() {
                SavedPattern::Regex { name, pattern } => regexes.push(Pattern { name, pattern, source }),
                SavedPattern::Lookup { name, elements } => lookups.push(Lookup { name, elements, source }),
            }
        }
        (regexes, lookups)
    }

    pub(super) fn transform(&self, message: Message<'_>, rows: &mut Rows) {
        if self.matchers.is_empty() {
            return;
        }
        // Matches of one pattern come in order and do not overlap, so a token finds its own by bisection.
        let matches = self.matches(message.text);
        let by_pattern: Vec<&[(usize, Span)]> = matches.chunk_by(|a, b| a.0 == b.0).collect();
        let touches = |matches: &[(usize, Span)], token: Span| {
            let next = matches.partition_point(|(_, span)| span.end <= token.start);
            matches.get(next).is_some_and(|(_, span)| span.overlaps(token))
        };
        for (token, row) in message.tokens.iter().zip(&mut rows.sequence) {
            let touching = by_pattern.iter().filter(|matches| touches(matches, *token));
            row.extend(touching.map(|matches| (rows.token_start + matches[0].0 as u32, 1.0)));
        }
        rows.recognised |= !by_pattern.is_empty();
        let start = rows.message_start;
        rows.sentence.extend(by_pattern.iter().map(|matches| (start + matches[0].0 as u32, 1.0)));
    }

    /// Matches in order of pattern, then of place; empty ones left out.
    fn matches(&self, text: &str) -> Vec<(usize, Span)> {
        let mut folded = None;
        let mut found = Vec::new();
        for (at, matcher) in self.matchers.iter().enumerate() {
            match matcher {
                Matcher::Regex(regex) => found.extend(regex.find(text).into_iter().map(|span| (at, span))),
                Matcher::Lookup(table) => {
                    let config = &self.saved.config;
                    let folded = folded.get_or_insert_with(|| Folded::new(text, !config.case_sensitive));
                    let hits = table.find_overlapping_iter(folded.text());
                    let spans = hits.filter_map(|hit| folded.original(Span::new(hit.start(), hit.end())));
                    let whole = |span: &Span| !config.use_word_boundaries || is_whole(text, *span);
                    found.extend(longest(spans.filter(whole)).map(|span| (at, span)));
                }
            }
        }
        found.retain(|(_, span)| !span.is_empty());
        found
    }
}

/// Of spans that overlap, the one that begins first, and of those the longest.
fn longest(spans: impl Iterator<Item = Span>) -> impl Iterator<Item = Span> {
    let mut spans: Vec<Span> = spans.collect();
    spans.sort_by_key(|span| (span.start, std::cmp::Reverse(span.end)));
    let mut end = 0;
    spans.into_iter().filter(move |span| {
        let free = span.start >= end;
        end = if free { span.end } else { end };
        free
    })
}

/// Whether a span begins and ends at a border between a word and something else, where it begins or ends with one.
fn is_whole(text: &str, span: Span) -> bool {
    let word = |c: Option<char>| c.is_some_and(|c| regex_syntax::try_is_word_character(c).unwrap_or(false));
    let inside = span.of(text);
    let starts = word(text[..span.start].chars().next_back()) && word(inside.chars().next());
    let ends = word(inside.chars().next_back()) && word(text[span.end..].chars().next());
    !starts && !ends
}

fn compile_regex(
    config: &PatternsConfig,
    name: &str,
    pattern: &str,
    at: &Source,
) -> Result<Matcher, FeatureError> {
    let regex = Expression::new(pattern, !config.case_sensitive);
    regex.map(Matcher::Regex).map_err(|error| FeatureError::Regex {
        at: at.clone(),
        name: name.to_owned(),
        pattern: pattern.to_owned(),
        error,
    })
}

fn compile_lookup(
    config: &PatternsConfig,
    name: &str,
    elements: &[String],
    at: &Source,
) -> Result<Matcher, FeatureError> {
    let elements = elements.iter().map(|element| element.trim()).filter(|element| !element.is_empty());
    let elements: Vec<Folded> =
        elements.map(|element| Folded::new(element, !config.case_sensitive)).collect();
    // The fastest form takes a kilobyte of memory for each byte of a table.
    let large = elements.iter().map(|element| element.text().len()).sum::<usize>() > 1 << 16;
    let kind = large.then_some(AhoCorasickKind::ContiguousNFA);
    let table = AhoCorasick::builder()
        .match_kind(MatchKind::Standard)
        .kind(kind)
        .build(elements.iter().map(Folded::text));
    table.map(Matcher::Lookup).map_err(|error| FeatureError::Lookup {
        at: at.clone(),
        name: name.to_owned(),
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{Tokenizer, WhitespaceTokenizer};

    fn data(regexes: &[(&str, &str)], lookups: &[(&str, &[&str])]) -> TrainingData {
        let source = Source::new("nlu.yml", 3);
        let regex = |(name, pattern): &(&str, &str)| Pattern {
            name: (*name).into(),
            pattern: (*pattern).into(),
            source: source.clone(),
        };
        let lookup = |(name, elements): &(&str, &[&str])| Lookup {
            name: (*name).into(),
            elements: elements.iter().map(|element| (*element).to_owned()).collect(),
            source: source.clone(),
        };
        TrainingData {
            regexes: regexes.iter().map(regex).collect(),
            lookups: lookups.iter().map(lookup).collect(),
            ..Default::default()
        }
    }

    fn find(patterns: &Patterns, text: &str) -> Vec<(String, String)> {
        let found = patterns.find(text).into_iter();
        found.map(|(name, span)| (name.to_owned(), span.of(text).to_owned())).collect()
    }

    #[test]
    fn tables_match_whole_words_and_prefer_the_longest() {
        let data = data(&[], &[("room", &["hall", "Hall A", "b"])]);
        let loose = PatternsConfig { case_sensitive: false, ..Default::default() };
        let patterns = Patterns::fit(&loose, &data).unwrap();
        let expected: [(String, String); 2] =
            [("room".into(), "HALL a".into()), ("room".into(), "hall".into())];
        assert_eq!(find(&patterns, "İ HALL a, hall, halls and lab"), expected);
        let strict = Patterns::fit(&PatternsConfig::default(), &data).unwrap();
        assert_eq!(find(&strict, "HALL A hall").len(), 1);
    }

    #[test]
    fn a_token_has_the_column_of_the_match_that_touches_it() {
        let data = data(&[("zip", "[0-9]{5}"), ("code", r"\b[A-D]\d+\b")], &[("city", &["New York"])]);
        let patterns = Patterns::fit(&PatternsConfig::default(), &data).unwrap();
        let text = "from New York 10001 to B7";
        let tokens = WhitespaceTokenizer::default().tokenize(text);
        let mut found = Rows::new(tokens.len());
        patterns.transform(Message { text, tokens: &tokens }, &mut found);
        let Rows { sequence: rows, sentence, .. } = found;
        let columns = |row: &Vec<(u32, f32)>| row.iter().map(|(column, _)| *column).collect::<Vec<_>>();
        let found: Vec<_> = rows.iter().map(columns).collect();
        assert_eq!(found, [vec![], vec![2], vec![2], vec![1], vec![], vec![0]]);
        assert_eq!(columns(&sentence), [0, 1, 2]);
        let again: Patterns = serde_json::from_str(&serde_json::to_string(&patterns).unwrap()).unwrap();
        assert_eq!(find(&again, text), find(&patterns, text));
    }

    #[test]
    fn tables_are_found_in_any_spelling_that_stands_for_the_same() {
        let data = data(&[], &[("city", &["Big Apple", "İzmir", "Straße", "ΟΔΟΣ", "Zoë", "ab"])]);
        let loose = PatternsConfig { case_sensitive: false, ..Default::default() };
        let patterns = Patterns::fit(&loose, &data).unwrap();
        let text = "İ big  apple, BIG\nAPPLE izmir IZMIR STRASSE ΟΔΟΣ.Α οδος ZOE\u{308} zoe áb aﬃx";
        let found: Vec<String> = find(&patterns, text).into_iter().map(|(_, words)| words).collect();
        let expected =
            ["big  apple", "BIG\nAPPLE", "izmir", "IZMIR", "STRASSE", "ΟΔΟΣ", "οδος", "ZOE\u{308}"];
        assert_eq!(found, expected);
        let strict = Patterns::fit(&PatternsConfig::default(), &data).unwrap();
        assert_eq!(find(&strict, "Big\t Apple big apple Zoe\u{308}").len(), 2);
    }

    #[test]
    fn expressions_are_read_as_python_reads_them() {
        let regexes = [("a", r"\b[A-Z]{2}(?!\d{3})\d{2}\b"), ("b", r"[A-Z]{2}[[]?\d+"), ("c", r"\d+\Z")];
        let patterns = Patterns::fit(&PatternsConfig::default(), &data(&regexes, &[])).unwrap();
        let found: Vec<_> = patterns.find("AB12 CD[345").into_iter().map(|(name, _)| name).collect();
        assert_eq!(found, ["a", "b", "b", "c"]);
        let again: Patterns = serde_json::from_str(&serde_json::to_string(&patterns).unwrap()).unwrap();
        assert_eq!(find(&again, "AB12"), find(&patterns, "AB12"));
    }

    #[test]
    fn a_wrong_expression_names_its_place_and_may_be_left_out() {
        let data = data(&[("x", r"(?<=(a)\1+)b"), ("y", "b"), ("z", "c[")], &[]);
        let error = Patterns::fit(&PatternsConfig::default(), &data).unwrap_err().to_string();
        assert!(error.starts_with("nlu.yml:3: the expression `(?<=(a)\\1+)b` of regex `x`"), "{error}");
        assert!(error.contains("look-behind"), "{error}");
        let lenient = PatternsConfig { skip_invalid_regexes: true, ..Default::default() };
        let patterns = Patterns::fit(&lenient, &data).unwrap();
        assert_eq!((patterns.width(), find(&patterns, "abc").len()), (1, 1));
        let [first, second] = patterns.left_out() else { panic!("{:?}", patterns.left_out()) };
        assert!(first.contains("look-behind") && second.contains("`]` is missing"), "{second}");
    }

    #[test]
    fn patterns_of_an_older_model_are_read() {
        let saved = r#"{"config": {"case_sensitive": false, "use_lookup_tables": true, "use_regexes": true,
            "use_word_boundaries": true}, "patterns": [{"Regex": {"name": "zip", "pattern": "[0-9]{5}"}},
            {"Lookup": {"name": "city", "elements": ["New York"]}}]}"#;
        let patterns: Patterns = serde_json::from_str(saved).unwrap();
        assert_eq!(find(&patterns, "12345 new york").len(), 2);
    }
}
