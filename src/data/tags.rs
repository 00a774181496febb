//! Entities as one tag per token, and back.
//!
//! A tagger labels tokens, not spans. With BILOU each token of an entity says where in it the token
//! stands: `B-city I-city L-city` for three tokens, `U-city` for one, `O` outside (Ratinov and Roth,
//! [2009](https://aclanthology.org/W09-1119/)). Without BILOU every token of an entity is just `city`.

use std::cmp::Reverse;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::text::Span;

/// The tag of a token that belongs to no entity.
pub const OUTSIDE: u32 = 0;

/// Where in its entity a token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    Outside,
    Begin,
    Inside,
    Last,
    Unit,
    /// Somewhere in an entity: all that can be said without BILOU.
    Anywhere,
}

/// The tags of a set of entity types, and the rules by which they follow each other.
///
/// Ids are those of the DIET paper's reference program: 0 is `O`; with BILOU the type number `i` (in
/// alphabetical order) has `B = 4i + 1`, `I = 4i + 2`, `L = 4i + 3`, `U = 4i + 4`; without, `1 + i`.
///
/// Written with serde it is the list of types and the BILOU switch; ids need no storing.
///
/// # Example
///
/// ```
/// use talkformer::data::TagSet;
/// use talkformer::text::Span;
///
/// let tags = TagSet::new(["city", "cuisine"], true);
/// let tokens = [Span::new(0, 3), Span::new(4, 8), Span::new(9, 11), Span::new(12, 16)]; // "New York to Rome"
/// let encoding = tags.encode(&tokens, [(Span::new(0, 8), "city"), (Span::new(12, 16), "city")]);
/// let names: Vec<_> = encoding.tags.iter().map(|&tag| tags.name(tag)).collect();
/// assert_eq!(names, ["B-city", "L-city", "O", "U-city"]);
/// assert_eq!(tags.decode(&encoding.tags, &tokens), [(0..2, "city"), (3..4, "city")]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Plain", into = "Plain")]
pub struct TagSet {
    types: Vec<String>,
    bilou: bool,
}

/// What a [`TagSet`] is in a file.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    types: Vec<String>,
    bilou: bool,
}

impl From<TagSet> for Plain {
    fn from(TagSet { types, bilou }: TagSet) -> Self {
        Self { types, bilou }
    }
}

impl TryFrom<Plain> for TagSet {
    type Error = UnsortedTypes;

    fn try_from(Plain { types, bilou }: Plain) -> Result<Self, UnsortedTypes> {
        match types.windows(2).find(|pair| pair[0] >= pair[1]) {
            Some(pair) => Err(UnsortedTypes { first: pair[0].clone(), second: pair[1].clone() }),
            None => Ok(Self { types, bilou }),
        }
    }
}

/// A stored list of entity types is out of order or holds one twice, so tag ids would change meaning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entity types must be sorted and distinct: `{second}` follows `{first}`")]
pub struct UnsortedTypes {
    /// The type before.
    pub first: String,
    /// The type that should have come earlier, or not at all.
    pub second: String,
}

/// What [`TagSet::encode`] gives: the tags, and the entities that do not fit the tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// One tag id per token.
    pub tags: Vec<u32>,
    /// Entities (by their place among those given) whose borders are not token borders. They are tagged,
    /// on every token they touch; an entity that touches none is only listed here.
    pub misaligned: Vec<usize>,
    /// Entities left out because a longer (or equally long, earlier) one has the token already.
    pub covered: Vec<usize>,
    /// Entities left out because their type is not in the set.
    pub unknown: Vec<usize>,
}

impl TagSet {
    /// The tags of these entity types, which may come in any order and repeat.
    #[must_use]
    pub fn new<S: Into<String>>(types: impl IntoIterator<Item = S>, bilou: bool) -> Self {
        let mut types: Vec<String> = types.into_iter().map(Into::into).collect();
        types.sort_unstable();
        types.dedup();
        Self { types, bilou }
    }

    /// Number of tags, `O` included.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "`O` is always there, it is never empty")]
    pub fn len(&self) -> usize {
        1 + self.per_type() * self.types.len()
    }

    /// The entity types, sorted.
    #[must_use]
    pub fn types(&self) -> &[String] {
        &self.types
    }

    /// Whether tags tell the place of a token in its entity.
    #[must_use]
    pub const fn bilou(&self) -> bool {
        self.bilou
    }

    /// The name of a tag: `O`, `B-city`, or plain `city` without BILOU; `?` for an id out of range.
    #[must_use]
    pub fn name(&self, tag: u32) -> String {
        let Some((position, kind)) = self.parts(tag) else { return "?".to_owned() };
        let kind = kind.map_or("", |kind| &self.types[kind]);
        match position {
            Position::Outside => "O".to_owned(),
            Position::Begin => format!("B-{kind}"),
            Position::Inside => format!("I-{kind}"),
            Position::Last => format!("L-{kind}"),
            Position::Unit => format!("U-{kind}"),
            Position::Anywhere => kind.to_owned(),
        }
    }

    /// The entity type of a tag, `None` for `O` and for an id out of range.
    #[must_use]
    pub fn entity_type(&self, tag: u32) -> Option<&str> {
        self.parts(tag)?.1.map(|kind| self.types[kind].as_str())
    }

    /// Tags for tokens, given the entities as spans with their types.
    ///
    /// A token belongs to an entity when the two share a byte. Where entities overlap the longest wins,
    /// the earlier of equally long ones. Whatever does not fit is reported rather than guessed, see
    /// [`Encoding`]. `tokens` must be in order of the text and free of overlap.
    #[must_use]
    pub fn encode<'a>(
        &self,
        tokens: &[Span],
        entities: impl IntoIterator<Item = (Span, &'a str)>,
    ) -> Encoding {
        let mut encoding = Encoding { tags: vec![OUTSIDE; tokens.len()], ..Encoding::default() };
        let mut entities: Vec<(usize, (Span, &str))> = entities.into_iter().enumerate().collect();
        entities.sort_by_key(|&(_, (span, _))| (Reverse(span.len()), span.start));
        for (index, (span, entity)) in entities {
            let Ok(kind) = self.types.binary_search_by(|known| known.as_str().cmp(entity)) else {
                encoding.unknown.push(index);
                continue;
            };
            let range = touched(tokens, span);
            if range.is_empty() {
                encoding.misaligned.push(index);
            // A longer entity that has any of these tokens has the first or the last.
            } else if encoding.tags[range.start] != OUTSIDE || encoding.tags[range.end - 1] != OUTSIDE {
                encoding.covered.push(index);
            } else {
                if tokens[range.start].start != span.start || tokens[range.end - 1].end != span.end {
                    encoding.misaligned.push(index);
                }
                self.fill(&mut encoding.tags[range], kind);
            }
        }
        for list in [&mut encoding.misaligned, &mut encoding.covered, &mut encoding.unknown] {
            list.sort_unstable();
        }
        encoding
    }

    /// Entities from tags, each as a range of tokens with its type, in order.
    ///
    /// With BILOU a sequence that breaks the rules still gives a sensible answer: a stray `I` or `L`
    /// begins an entity, and whatever is open ends before the next beginning, a change of type or `O`.
    /// Without BILOU neighbouring tokens of one type join when at most one byte lies between them, so
    /// "New York" is one entity and "Rome, Paris" are two. Tags beyond the tokens, or tokens beyond the
    /// tags, are ignored; an id out of range counts as `O`.
    #[must_use]
    pub fn decode(&self, tags: &[u32], tokens: &[Span]) -> Vec<(Range<usize>, &str)> {
        let mut found: Vec<(Range<usize>, &str)> = Vec::new();
        let mut open = false;
        for (at, (&tag, token)) in tags.iter().zip(tokens).enumerate() {
            let Some((position, Some(kind))) = self.parts(tag) else {
                open = false;
                continue;
            };
            let kind = self.types[kind].as_str();
            let continues = match position {
                Position::Inside | Position::Last => open,
                Position::Anywhere => open && token.start.saturating_sub(tokens[at - 1].end) <= 1,
                Position::Outside | Position::Begin | Position::Unit => false,
            };
            match found.last_mut() {
                Some((range, last)) if continues && *last == kind => range.end = at + 1,
                _ => found.push((at..at + 1, kind)),
            }
            open = !matches!(position, Position::Last | Position::Unit);
        }
        found
    }

    /// Whether `next` may follow `previous`. Without BILOU everything may; an unknown id never.
    #[must_use]
    pub fn is_legal(&self, previous: u32, next: u32) -> bool {
        let (Some((before, old)), Some((after, new))) = (self.parts(previous), self.parts(next)) else {
            return false;
        };
        match (before, after) {
            (Position::Begin | Position::Inside, Position::Inside | Position::Last) => old == new,
            (Position::Begin | Position::Inside, _) | (_, Position::Inside | Position::Last) => false,
            _ => true,
        }
    }

    /// Whether a text may begin with this tag: not with `I` or `L`.
    #[must_use]
    pub fn may_start(&self, tag: u32) -> bool {
        self.is_legal(OUTSIDE, tag)
    }

    /// Whether a text may end with this tag: not with `B` or `I`.
    #[must_use]
    pub fn may_end(&self, tag: u32) -> bool {
        self.is_legal(tag, OUTSIDE)
    }

    const fn per_type(&self) -> usize {
        if self.bilou { 4 } else { 1 }
    }

    /// Position and type number of a tag, `None` for an id out of range.
    fn parts(&self, tag: u32) -> Option<(Position, Option<usize>)> {
        let Some(rest) = (tag as usize).checked_sub(1) else { return Some((Position::Outside, None)) };
        let kind = rest / self.per_type();
        let position = match (self.bilou, rest % 4) {
            (false, _) => Position::Anywhere,
            (true, 0) => Position::Begin,
            (true, 1) => Position::Inside,
            (true, 2) => Position::Last,
            (true, _) => Position::Unit,
        };
        (kind < self.types.len()).then_some((position, Some(kind)))
    }

    /// Writes the tags of one entity of type `kind` over all of its tokens.
    fn fill(&self, tags: &mut [u32], kind: usize) {
        let first = u32::try_from(1 + kind * self.per_type()).expect("tag ids fit into 32 bits");
        if !self.bilou {
            return tags.fill(first);
        }
        match tags {
            [unit] => *unit = first + 3,
            [begin, inside @ .., last] => {
                *begin = first;
                inside.fill(first + 1);
                *last = first + 2;
            }
            [] => {}
        }
    }
}

/// The tokens that share a byte with `span`.
fn touched(tokens: &[Span], span: Span) -> Range<usize> {
    let start = tokens.partition_point(|token| token.end <= span.start);
    let end = tokens.partition_point(|token| token.start < span.end);
    start..end.max(start)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Tokens of `text`, split at blanks.
    fn tokens(text: &str) -> Vec<Span> {
        let start = |part: &str| part.as_ptr() as usize - text.as_ptr() as usize;
        text.split(' ')
            .filter(|part| !part.is_empty())
            .map(|part| Span::new(start(part), start(part) + part.len()))
            .collect()
    }

    fn names(set: &TagSet, tags: &[u32]) -> Vec<String> {
        tags.iter().map(|&tag| set.name(tag)).collect()
    }

    #[test]
    fn ids_are_those_of_the_reference() {
        let set = TagSet::new(["time", "city", "city"], true);
        assert_eq!(set.len(), 9);
        assert_eq!(
            names(&set, &(0..10).collect::<Vec<_>>()),
            ["O", "B-city", "I-city", "L-city", "U-city", "B-time", "I-time", "L-time", "U-time", "?"]
        );
        let plain = TagSet::new(["time", "city"], false);
        assert_eq!(names(&plain, &[0, 1, 2, 3]), ["O", "city", "time", "?"]);
        assert_eq!(plain.len(), 3);
        assert_eq!(TagSet::new(Vec::<String>::new(), true).len(), 1);
    }

    #[test]
    fn the_longest_of_overlapping_entities_wins() {
        let set = TagSet::new(["a", "b"], true);
        let tokens = tokens("one two three four");
        let encoding = set.encode(&tokens, [(Span::new(0, 7), "a"), (Span::new(4, 18), "b")]);
        assert_eq!(names(&set, &encoding.tags), ["O", "B-b", "I-b", "L-b"]);
        assert_eq!(encoding.covered, [0]);
        let inner = set.encode(&tokens, [(Span::new(4, 7), "a"), (Span::new(0, 18), "b")]);
        assert_eq!(names(&set, &inner.tags), ["B-b", "I-b", "I-b", "L-b"]);
        assert_eq!(inner.covered, [0]);
    }

    #[test]
    fn borders_inside_tokens_are_reported_and_still_tagged() {
        let set = TagSet::new(["a"], true);
        let tokens = tokens("one two three");
        let encoding = set.encode(&tokens, [(Span::new(5, 9), "a"), (Span::new(3, 4), "a")]);
        assert_eq!(names(&set, &encoding.tags), ["O", "B-a", "L-a"]);
        assert_eq!(encoding.misaligned, [0, 1]);
        let unknown = set.encode(&tokens, [(Span::new(0, 3), "zip")]);
        assert_eq!((unknown.tags, unknown.unknown), (vec![0, 0, 0], vec![0]));
        assert_eq!(set.encode(&[], [(Span::new(0, 3), "a")]).misaligned, [0]);
    }

    #[test]
    fn illegal_sequences_decode_to_something_sensible() {
        let set = TagSet::new(["a", "b"], true);
        let tokens = tokens("t t t t t");
        let id = |name: &str| (0..9).find(|&tag| set.name(tag) == name).unwrap();
        let decode = |tags: &[&str]| {
            let tags: Vec<u32> = tags.iter().map(|name| id(name)).collect();
            set.decode(&tags, &tokens)
        };
        assert_eq!(decode(&["I-a", "L-a", "O", "L-b", "O"]), [(0..2, "a"), (3..4, "b")]);
        assert_eq!(
            decode(&["B-a", "B-a", "I-b", "U-b", "L-b"]),
            [(0..1, "a"), (1..2, "a"), (2..3, "b"), (3..4, "b"), (4..5, "b")]
        );
        assert_eq!(set.decode(&[77, 1], &tokens), [(1..2, "a")]);
        assert_eq!(set.decode(&[1; 9], &tokens).len(), 5);
    }

    #[test]
    fn without_bilou_a_comma_separates_and_a_blank_joins() {
        let set = TagSet::new(["city"], false);
        let tokens = [Span::new(0, 3), Span::new(4, 8), Span::new(10, 15)]; // "New York, Paris"
        assert_eq!(set.decode(&[1, 1, 1], &tokens), [(0..2, "city"), (2..3, "city")]);
        assert!((0..2).all(|a| (0..2).all(|b| set.is_legal(a, b)) && set.may_start(a) && set.may_end(a)));
    }

    #[test]
    fn the_rules_match_the_letters() {
        let set = TagSet::new(["a", "b"], true);
        for previous in 0..9 {
            for next in 0..9 {
                let (before, after) = (set.name(previous), set.name(next));
                let inside = before.starts_with(['B', 'I']);
                let legal =
                    if after.starts_with(['I', 'L']) { inside && before[1..] == after[1..] } else { !inside };
                assert_eq!(set.is_legal(previous, next), legal, "{before} {after}");
            }
            let name = set.name(previous);
            assert_eq!(set.may_start(previous), !name.starts_with(['I', 'L']), "{name}");
            assert_eq!(set.may_end(previous), !name.starts_with(['B', 'I']), "{name}");
        }
        assert!(!set.is_legal(0, 9) && !set.may_start(9) && !set.may_end(9));
    }

    #[test]
    fn stored_types_must_be_sorted() {
        let set = TagSet::new(["b", "a"], true);
        let json = serde_json::to_string(&set).unwrap();
        assert_eq!(json, r#"{"types":["a","b"],"bilou":true}"#);
        assert_eq!(serde_json::from_str::<TagSet>(&json).unwrap(), set);
        let error = serde_json::from_str::<TagSet>(r#"{"types":["b","a"],"bilou":true}"#).unwrap_err();
        assert!(error.to_string().contains("`a` follows `b`"), "{error}");
    }

    proptest! {
        /// Entities on token borders survive the way through BILOU tags, and the tags obey the rules.
        #[test]
        fn entities_come_back(parts in prop::collection::vec((1usize..4, 0usize..4), 0..12)) {
            let set = TagSet::new(["a", "b", "c"], true);
            let kinds = ["a", "b", "c"];
            let tokens: Vec<Span> = (0..48).map(|at| Span::new(at * 4, at * 4 + 3)).collect();
            let (mut at, mut entities) = (0, Vec::new());
            for (len, kind) in parts {
                if let Some(kind) = kinds.get(kind) {
                    entities.push((at..at + len, *kind));
                }
                at += len;
            }
            let spans = entities.iter().map(|(range, kind)| {
                (Span::new(tokens[range.start].start, tokens[range.end - 1].end), *kind)
            });
            let encoding = set.encode(&tokens, spans);
            prop_assert_eq!(set.decode(&encoding.tags, &tokens), entities);
            prop_assert!(encoding.misaligned.is_empty() && encoding.covered.is_empty());
            prop_assert!(encoding.tags.windows(2).all(|pair| set.is_legal(pair[0], pair[1])));
            prop_assert!(set.may_start(encoding.tags[0]) && set.may_end(encoding.tags[47]));
        }

        #[test]
        fn decoding_never_panics(tags in prop::collection::vec(0u32..20, 0..30), bilou: bool) {
            let tokens: Vec<Span> = (0..20).map(|at| Span::new(at * 2, at * 2 + 1)).collect();
            let set = TagSet::new(["a", "b"], bilou);
            for (range, _) in set.decode(&tags, &tokens) {
                prop_assert!(range.start < range.end && range.end <= tokens.len());
            }
        }
    }
}
