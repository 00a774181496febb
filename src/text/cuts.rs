//! Cuts that a tokenizer's own rules do not make, learnt from where annotations begin and end.
//!
//! An entity is a span of characters; a tagger labels tokens. Where an annotation begins or ends inside a token
//! (`[10](month)-[05](day)`) or at a sign that belongs to no token (`[C++](language)`), the tokens have to change, in
//! training and in answers alike. [`Cuts::learn`] looks for the most general rule that the annotations support:
//!
//! 1. a kind of sign becomes a token (`%`, or every emoji), and words are cut between two kinds of characters (a letter
//!    and a digit, a digit and `-`), if an annotation begins or ends in at least one in twenty of these places;
//! 2. a word loses an ending or a beginning that annotations leave out (`서울|에`, `부산|에`), if that was so for two
//!    different words and for a third of the words that have it;
//! 3. the same word is always cut in the same places.
//!
//! Rules 1 and 2 hold for words that training never saw. Rule 3 makes sure that every annotation can be learnt.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use super::Span;
use super::scan::is_word_character;

/// Of the places that a rule for kinds of characters would change, annotations ask for at least one in so many.
const KINDS_ONE_IN: usize = 20;

/// And for a rule about an ending or a beginning.
const AFFIXES_ONE_IN: usize = 3;

/// What a cluster of characters is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
enum Kind {
    Letter,
    Digit,
    Emoji,
    Sign(char),
}

impl Kind {
    /// The kind of a grapheme cluster, `None` for a blank.
    fn of(cluster: &str) -> Option<Self> {
        let c = cluster.chars().next().filter(|c| !c.is_whitespace())?;
        Some(if c.is_numeric() {
            Self::Digit
        } else if c.is_alphabetic() {
            Self::Letter
        } else if is_emoji(c) {
            Self::Emoji
        } else if c != '_' && is_word_character(c) {
            Self::Letter // a mark that leans on nothing
        } else {
            Self::Sign(c)
        })
    }

    const fn is_sign(self) -> bool {
        matches!(self, Self::Emoji | Self::Sign(_))
    }
}

impl From<Kind> for String {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Letter => "letter".to_owned(),
            Kind::Digit => "digit".to_owned(),
            Kind::Emoji => "emoji".to_owned(),
            Kind::Sign(sign) => sign.to_string(),
        }
    }
}

impl From<String> for Kind {
    fn from(name: String) -> Self {
        match name.as_str() {
            "digit" => Self::Digit,
            "emoji" => Self::Emoji,
            name => {
                let mut characters = name.chars();
                match (characters.next(), characters.next()) {
                    (Some(sign), None) => Self::Sign(sign),
                    _ => Self::Letter,
                }
            }
        }
    }
}

/// The blocks of arrows, technical symbols, shapes, dingbats and pictographs.
const fn is_emoji(c: char) -> bool {
    matches!(c,
        '\u{2190}'..='\u{21ff}'
        | '\u{2300}'..='\u{23ff}'
        | '\u{25a0}'..='\u{27bf}'
        | '\u{2900}'..='\u{297f}'
        | '\u{2b00}'..='\u{2bff}'
        | '\u{3030}'
        | '\u{303d}'
        | '\u{3297}'
        | '\u{3299}'
        | '\u{1f000}'..='\u{1faff}')
}

/// An annotated message, for [`Cuts::learn`].
#[derive(Debug)]
pub(crate) struct Annotated<'t> {
    pub(crate) text: &'t str,
    /// The tokens by the tokenizer's own rules.
    pub(crate) tokens: Vec<Span>,
    /// What is annotated: places in the text.
    pub(crate) spans: Vec<Span>,
}

/// Where tokens are cut, and which signs are tokens, beyond the rules of a tokenizer. The default changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Cuts {
    /// Kinds of signs that are tokens.
    signs: BTreeSet<Kind>,
    /// Kinds between which words are cut.
    borders: BTreeSet<(Kind, Kind)>,
    /// Beginnings that are cut off words.
    beginnings: BTreeSet<String>,
    /// Endings that are cut off words.
    endings: BTreeSet<String>,
    /// Where the tokens are in words that no other rule cuts in the right places. A word is a token, or, where it matters
    /// which signs are beside it, everything between two blanks.
    words: BTreeMap<String, Vec<(usize, usize)>>,
}

/// Where an annotation, given as a whole, begins or ends.
#[derive(Clone, Copy)]
enum Border {
    Start(Span),
    End(Span),
}

impl Border {
    const fn at(self) -> usize {
        match self {
            Self::Start(span) => span.start,
            Self::End(span) => span.end,
        }
    }
}

impl Cuts {
    /// Whether nothing was learnt.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These cuts, and those that the annotations of `messages` ask for beyond them. No words, beginnings and endings are
    /// kept of those that fewer than `least` messages have; their annotations are then not learnt exactly.
    pub(crate) fn learn(mut self, messages: &[Annotated<'_>], least: usize) -> Self {
        if messages.iter().any(|message| !self.missing(message).is_empty()) {
            self.learn_kinds(messages);
            self.learn_affixes(messages);
            messages.iter().for_each(|message| self.learn_words(message));
            if least > 1 {
                self.forget_rare(messages, least);
            }
        }
        self
    }

    /// The tokens of `text`, given those by the tokenizer's own rules.
    pub(crate) fn apply(&self, text: &str, tokens: Vec<Span>) -> Vec<Span> {
        if self.is_empty() {
            return tokens;
        }
        let mut cut = Vec::with_capacity(tokens.len() + 4);
        let mut end = 0;
        for token in tokens {
            self.add_signs(text, Span::new(end, token.start), &mut cut);
            self.add_pieces(text, token, &mut cut);
            end = token.end;
        }
        self.add_signs(text, Span::new(end, text.len()), &mut cut);
        if self.words.is_empty() { cut } else { self.replace_words(text, cut) }
    }

    /// Appends the signs of `gap` that are tokens.
    fn add_signs(&self, text: &str, gap: Span, tokens: &mut Vec<Span>) {
        if !self.signs.is_empty() && !gap.of(text).trim_ascii().is_empty() {
            each_sign(text, gap, |kind, span| {
                if self.signs.contains(&kind) {
                    tokens.push(span);
                }
            });
        }
    }

    /// Appends what becomes of a token.
    fn add_pieces(&self, text: &str, token: Span, pieces: &mut Vec<Span>) {
        let word = token.of(text);
        if let Some(parts) = self.words.get(word) {
            return pieces.extend(places(parts, token, text));
        }
        if is_signs(word) {
            let before = pieces.len();
            self.add_signs(text, token, pieces);
            if pieces.len() == before {
                pieces.push(token);
            }
            return;
        }
        let mut rest = token;
        if !self.borders.is_empty() {
            each_border(text, token, |at, kinds| {
                if self.borders.contains(&kinds) {
                    self.add_stem(text, Span::new(rest.start, at), pieces);
                    rest.start = at;
                }
            });
        }
        self.add_stem(text, rest, pieces);
    }

    /// Appends a piece of a word, with its beginning and its ending cut off where they are known; the longest ones count.
    fn add_stem(&self, text: &str, piece: Span, pieces: &mut Vec<Span>) {
        let word = piece.of(text);
        let inner = || word.char_indices().map(|(at, _)| at).skip(1);
        let known = |affixes: &BTreeSet<String>, affix: &str| affixes.contains(affix);
        let mut end = word.len();
        if !self.endings.is_empty() {
            end = inner().find(|at| known(&self.endings, &word[*at..])).unwrap_or(end);
        }
        let mut start = 0;
        if !self.beginnings.is_empty() {
            start =
                inner().filter(|at| *at < end && known(&self.beginnings, &word[..*at])).last().unwrap_or(0);
        }
        let parts = [(0, start), (start, end), (end, word.len())];
        let parts = parts.into_iter().filter(|(from, to)| from < to);
        pieces.extend(parts.map(|(from, to)| Span::new(piece.start + from, piece.start + to)));
    }

    /// Puts the tokens of a word between two blanks, where they are known, in the place of those that are there.
    fn replace_words(&self, text: &str, tokens: Vec<Span>) -> Vec<Span> {
        let mut found = Vec::with_capacity(tokens.len());
        let mut rest = &tokens[..];
        for chunk in chunks(text) {
            let Some(parts) = self.words.get(chunk.of(text)) else { continue };
            let first = rest.partition_point(|token| token.end <= chunk.start);
            let end = first + rest[first..].partition_point(|token| token.start < chunk.end);
            if rest[first..end].iter().all(|token| chunk.contains(*token)) {
                found.extend_from_slice(&rest[..first]);
                found.extend(places(parts, chunk, text));
                rest = &rest[end..];
            }
        }
        found.extend_from_slice(rest);
        found
    }

    /// The borders of annotations that are not borders of tokens.
    fn missing(&self, message: &Annotated<'_>) -> Vec<Border> {
        if message.spans.is_empty() {
            return Vec::new();
        }
        let tokens = self.apply(message.text, message.tokens.clone());
        let starts = |at: usize| tokens.binary_search_by_key(&at, |token| token.start).is_ok();
        let ends = |at: usize| tokens.binary_search_by_key(&at, |token| token.end).is_ok();
        let mut missing = Vec::new();
        for span in
            message.spans.iter().map(|span| trimmed(message.text, *span)).filter(|span| !span.is_empty())
        {
            missing.extend((!starts(span.start)).then_some(Border::Start(span)));
            missing.extend((!ends(span.end)).then_some(Border::End(span)));
        }
        missing
    }

    /// Rule 1.
    fn learn_kinds(&mut self, messages: &[Annotated<'_>]) {
        let (mut signs, mut borders) = (BTreeSet::new(), BTreeSet::new());
        for message in messages {
            for border in self.missing(message) {
                match message.word_around(border) {
                    Some(word) => each_border(message.text, word, |at, kinds| {
                        if at == border.at() && kinds.0 != kinds.1 {
                            borders.insert(kinds);
                        }
                    }),
                    None => signs.extend(message.sign_at(border)),
                }
            }
        }
        // For each, in how many places an annotation begins or ends, and how many there are.
        let mut sign_counts: HashMap<Kind, (usize, usize)> = HashMap::new();
        let mut border_counts: HashMap<(Kind, Kind), (usize, usize)> = HashMap::new();
        for message in messages {
            message.each_sign(|kind, span| {
                if signs.contains(&kind) {
                    let ends = |annotated: &Span| annotated.start == span.start || annotated.end == span.end;
                    add(sign_counts.entry(kind).or_default(), message.spans.iter().any(ends));
                }
            });
            for word in message.words() {
                each_border(message.text, word, |at, kinds| {
                    if borders.contains(&kinds) {
                        let ends = message.spans.iter().any(|span| span.start == at || span.end == at);
                        add(border_counts.entry(kinds).or_default(), ends);
                    }
                });
            }
        }
        let pays = |(served, places): (usize, usize)| served * KINDS_ONE_IN >= places;
        self.signs.extend(sign_counts.into_iter().filter(|(_, counts)| pays(*counts)).map(|(kind, _)| kind));
        self.borders
            .extend(border_counts.into_iter().filter(|(_, counts)| pays(*counts)).map(|(kinds, _)| kinds));
    }

    /// Rule 2.
    fn learn_affixes(&mut self, messages: &[Annotated<'_>]) {
        let mut stems: [HashMap<String, HashSet<String>>; 2] = Default::default();
        let mut cut: [HashMap<String, usize>; 2] = Default::default();
        for message in messages {
            let missing = self.missing(message);
            if missing.is_empty() {
                continue;
            }
            let pieces = self.apply(message.text, message.tokens.clone());
            for border in missing {
                let at = border.at();
                let Some(piece) = pieces.iter().find(|piece| piece.start < at && at < piece.end) else {
                    continue;
                };
                let (before, after) = piece.of(message.text).split_at(at - piece.start);
                let (side, affix, stem) = match border {
                    Border::Start(_) => (0, before, after),
                    Border::End(_) => (1, after, before),
                };
                stems[side].entry(affix.to_owned()).or_default().insert(stem.to_owned());
                *cut[side].entry(affix.to_owned()).or_default() += 1;
            }
        }
        stems.iter_mut().for_each(|affixes| affixes.retain(|_, stems| stems.len() > 1));
        if stems.iter().all(HashMap::is_empty) {
            return;
        }
        let mut places: [HashMap<&str, usize>; 2] = Default::default();
        for message in messages {
            for piece in self.apply(message.text, message.tokens.clone()) {
                let word = piece.of(message.text);
                for (at, _) in word.char_indices().skip(1) {
                    let (before, after) = word.split_at(at);
                    for (side, affix) in [before, after].into_iter().enumerate() {
                        if stems[side].contains_key(affix) {
                            *places[side].entry(affix).or_default() += 1;
                        }
                    }
                }
            }
        }
        let pays = |side: usize, affix: &String| {
            cut[side][affix] * AFFIXES_ONE_IN >= places[side].get(affix.as_str()).copied().unwrap_or(0)
        };
        let [beginnings, endings] = &stems;
        self.beginnings.extend(beginnings.keys().filter(|affix| pays(0, affix)).cloned());
        self.endings.extend(endings.keys().filter(|affix| pays(1, affix)).cloned());
    }

    /// Rule 3.
    fn learn_words(&mut self, message: &Annotated<'_>) {
        // One cut can change what is missing.
        for _ in 0..2 * message.spans.len() {
            let missing = self.missing(message);
            let learnt = missing.into_iter().any(|border| self.learn_word(message, border));
            if !learnt {
                break;
            }
        }
    }

    /// Forgets the words, beginnings and endings that fewer than `least` messages have.
    fn forget_rare(&mut self, messages: &[Annotated<'_>], least: usize) {
        let is_frequent = |has: &dyn Fn(&str) -> bool| {
            let words = |message: &Annotated<'_>| {
                chunks(message.text).chain(message.words()).any(|word| has(word.of(message.text)))
            };
            messages.iter().filter(|message| words(message)).nth(least - 1).is_some()
        };
        self.words.retain(|own, _| is_frequent(&|word| word == own));
        self.beginnings.retain(|own| is_frequent(&|word| word.starts_with(own.as_str())));
        self.endings.retain(|own| is_frequent(&|word| word.ends_with(own.as_str())));
    }

    /// Notes the tokens of the word around a border. Whether anything changed.
    fn learn_word(&mut self, message: &Annotated<'_>, border: Border) -> bool {
        let (text, at) = (message.text, border.at());
        let beside = |chunk: &Span| match border {
            Border::Start(_) => chunk.start <= at && at < chunk.end,
            Border::End(_) => chunk.start < at && at <= chunk.end,
        };
        let Some(chunk) = chunks(text).find(beside) else { return false };
        let word = message.word_around(border).filter(|_| !self.words.contains_key(chunk.of(text)));
        let whole = word.unwrap_or(chunk);
        let mut pieces: Vec<Span> = self.apply(text, message.tokens.clone());
        pieces.retain(|piece| piece.overlaps(whole));
        if !pieces.iter().all(|piece| whole.contains(*piece)) {
            return false;
        }
        let place = pieces.partition_point(|piece| piece.end <= at);
        if let Some(piece) = pieces.get_mut(place).filter(|piece| piece.start < at) {
            let rest = Span::new(at, piece.end);
            piece.end = at;
            pieces.insert(place + 1, rest);
        } else {
            // Signs up to the next token, or since the last one.
            let sign = match border {
                Border::Start(span) => {
                    let next = pieces.get(place).map_or(whole.end, |next| next.start);
                    Span::new(at, next.min(span.end))
                }
                Border::End(span) => {
                    let last = place.checked_sub(1).map_or(whole.start, |last| pieces[last].end);
                    Span::new(last.max(span.start), at)
                }
            };
            if sign.is_empty() {
                return false;
            }
            pieces.insert(place, sign);
        }
        let part = |piece: &Span| (piece.start - whole.start, piece.end - whole.start);
        let parts: Vec<(usize, usize)> = pieces.iter().map(part).collect();
        self.words.insert(whole.of(text).to_owned(), parts.clone()) != Some(parts)
    }
}

impl Annotated<'_> {
    /// The tokens that are not signs alone.
    fn words(&self) -> impl Iterator<Item = Span> {
        self.tokens.iter().copied().filter(|token| !is_signs(token.of(self.text)))
    }

    /// The word that a border lies in, if it lies in one.
    fn word_around(&self, border: Border) -> Option<Span> {
        self.words().find(|word| word.start < border.at() && border.at() < word.end)
    }

    /// The signs that belong to no word, in order.
    fn each_sign(&self, mut found: impl FnMut(Kind, Span)) {
        let mut end = 0;
        for word in self.words() {
            each_sign(self.text, Span::new(end, word.start), &mut found);
            end = word.end;
        }
        each_sign(self.text, Span::new(end, self.text.len()), &mut found);
    }

    /// The kind of the sign inside the annotation at a border that lies in no word.
    fn sign_at(&self, border: Border) -> Option<Kind> {
        let cluster = match border {
            Border::Start(span) => self.text[span.start..].graphemes(true).next(),
            Border::End(span) => self.text[..span.end].graphemes(true).next_back(),
        };
        cluster.and_then(Kind::of).filter(|kind| kind.is_sign())
    }
}

fn add(counts: &mut (usize, usize), served: bool) {
    counts.0 += usize::from(served);
    counts.1 += 1;
}

/// Whether there is no letter and no digit.
fn is_signs(word: &str) -> bool {
    !word.is_ascii() && word.graphemes(true).all(|cluster| Kind::of(cluster).is_none_or(Kind::is_sign))
        || word.is_ascii() && !word.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

/// The span without the blanks at its ends.
fn trimmed(text: &str, span: Span) -> Span {
    let words = span.of(text);
    let start = span.start + words.len() - words.trim_start().len();
    Span::new(start, start + words.trim().len())
}

/// What stands between blanks.
fn chunks(text: &str) -> impl Iterator<Item = Span> {
    text.split_whitespace().map(|chunk| {
        let start = chunk.as_ptr() as usize - text.as_ptr() as usize;
        Span::new(start, start + chunk.len())
    })
}

/// The places of `parts` of a part of a text, as far as they are in order and on borders of characters.
fn places(parts: &[(usize, usize)], within: Span, text: &str) -> impl Iterator<Item = Span> {
    let mut last = 0;
    parts.iter().map_while(move |&(start, end)| {
        let valid = last <= start && start < end && within.of(text).get(start..end).is_some();
        last = end;
        valid.then(|| Span::new(within.start + start, within.start + end))
    })
}

/// The signs of a part of a text: neighbours of one kind together, emoji one by one.
fn each_sign(text: &str, gap: Span, mut found: impl FnMut(Kind, Span)) {
    let mut open: Option<(Kind, Span)> = None;
    for (at, cluster) in gap.of(text).grapheme_indices(true) {
        let span = Span::new(gap.start + at, gap.start + at + cluster.len());
        let kind = Kind::of(cluster).filter(|kind| kind.is_sign());
        match (&mut open, kind) {
            (Some((same, run)), Some(kind)) if *same == kind && kind != Kind::Emoji => run.end = span.end,
            (before, kind) => {
                if let Some((kind, run)) = before.take() {
                    found(kind, run);
                }
                open = kind.map(|kind| (kind, span));
            }
        }
    }
    if let Some((kind, run)) = open {
        found(kind, run);
    }
}

/// The places inside a word between two clusters, with their kinds.
fn each_border(text: &str, word: Span, mut found: impl FnMut(usize, (Kind, Kind))) {
    let mut last = None;
    for (at, cluster) in word.of(text).grapheme_indices(true) {
        let kind = Kind::of(cluster);
        if let (Some(last), Some(kind)) = (last, kind) {
            found(word.start + at, (last, kind));
        }
        last = kind;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::{Tokenizer, WhitespaceTokenizer};

    fn tokenize(text: &str) -> Vec<Span> {
        WhitespaceTokenizer::default().tokenize(text)
    }

    /// Messages with their annotations in brackets.
    fn learn(marked: &[&str]) -> Cuts {
        let texts: Vec<(String, Vec<Span>)> = marked.iter().map(|text| plain(text)).collect();
        let messages = texts.iter().map(|(text, spans)| annotated(text, spans.clone()));
        Cuts::default().learn(&messages.collect::<Vec<_>>(), 1)
    }

    fn annotated(text: &str, spans: Vec<Span>) -> Annotated<'_> {
        Annotated { text, tokens: tokenize(text), spans }
    }

    fn plain(marked: &str) -> (String, Vec<Span>) {
        let (mut text, mut spans) = (String::new(), Vec::new());
        for c in marked.chars() {
            match c {
                '[' => spans.push(Span::new(text.len(), text.len())),
                ']' => spans.last_mut().unwrap().end = text.len(),
                c => text.push(c),
            }
        }
        (text, spans)
    }

    fn cut<'t>(cuts: &Cuts, text: &'t str) -> Vec<&'t str> {
        cuts.apply(text, tokenize(text)).into_iter().map(|token| token.of(text)).collect()
    }

    #[test]
    fn annotations_that_fit_the_tokens_change_nothing() {
        let cuts = learn(&["to [New York] now", "[me@mail.org], please!", "[ Rome ]"]);
        assert!(cuts.is_empty(), "{cuts:?}");
    }

    #[test]
    fn signs_at_the_ends_of_entities_become_tokens() {
        let cuts = learn(&[
            "ring [dr.] [Miller]", "i know [C++]", "courses in [.NET]", "a rate of [5%]", "was [50€]",
        ]);
        assert_eq!(cut(&cuts, "Prof. Brook, 70% or 9€!"), ["Prof", ".", "Brook", "70", "%", "or", "9", "€"]);
        assert_eq!(cut(&cuts, "learn D++ and .ORG"), ["learn", "D", "++", "and", ".", "ORG"]);
    }

    #[test]
    fn every_emoji_is_a_token_once_one_is_annotated() {
        let cuts = learn(&["i want [👞]", "one [👗] please", "[🧢]"]);
        assert_eq!(cut(&cuts, "give me 👟🏻👩\u{200d}🚀!"), ["give", "me", "👟🏻", "👩\u{200d}🚀"]);
        assert_eq!(cut(&cuts, "🎩 👒"), ["🎩", "👒"]);
        assert_eq!(cut(&cuts, "!!!"), ["!!!"]);
    }

    #[test]
    fn words_are_cut_between_kinds_of_characters() {
        let cuts = learn(&["on [10]-[05]", "the flight [BA][2490] please"]);
        assert_eq!(cut(&cuts, "on 12-24 by LH7"), ["on", "12", "-", "24", "by", "LH", "7"]);
        assert_eq!(cut(&cuts, "at 7pm"), ["at", "7pm"]);
    }

    #[test]
    fn endings_are_cut_off_words_that_training_did_not_see() {
        let cuts = learn(&["[서울]에 가자", "[부산]에 가자", "[부산]에서 왔어"]);
        assert_eq!(cut(&cuts, "대구에 가자"), ["대구", "에", "가자"]);
        assert_eq!(cut(&cuts, "부산에서 에"), ["부산", "에서", "에"]);
        let cuts =
            learn(&["wait for the [hotel]s", "two hotels", "dogs and cats", "[cat]s and cars", "yes, buses"]);
        assert_eq!(cut(&cuts, "birds, cats, hotels!"), ["birds", "cat", "s", "hotel", "s"]);
    }

    #[test]
    fn a_rare_need_changes_no_other_word() {
        let mut all = vec!["see you on [tues.]"];
        all.extend(vec!["that is all."; 30]);
        let cuts = learn(&all);
        assert_eq!(cut(&cuts, "that is all on tues. ok."), ["that", "is", "all", "on", "tues", ".", "ok"]);
    }

    #[test]
    fn what_few_messages_have_is_forgotten_where_that_is_asked_for() {
        let texts = ["[hotel]s", "two hotels", "[Rita]x car", "[10]-[05]"].map(plain);
        let messages: Vec<_> = texts.iter().map(|(text, spans)| annotated(text, spans.clone())).collect();
        let kept = |least| Cuts::default().learn(&messages, least);
        assert_eq!(kept(1).words.keys().collect::<Vec<_>>(), ["Ritax", "hotels"]);
        assert_eq!(kept(2).words.keys().collect::<Vec<_>>(), ["hotels"]);
        assert_eq!(kept(3).words.len(), 0);
        assert_eq!(cut(&kept(3), "11-12"), ["11", "-", "12"]);
    }

    #[test]
    fn what_was_learnt_survives_being_saved() {
        let cuts =
            learn(&["on [10]-[05]", "[서울]에 가자", "[부산]에 가자", "[hotel]s", "i want [👞]", "[5%] off"]);
        let json = serde_json::to_string(&cuts).unwrap();
        assert_eq!(serde_json::from_str::<Cuts>(&json).unwrap(), cuts, "{json}");
    }

    #[test]
    fn a_damaged_list_of_words_cannot_leave_the_text() {
        let json = r#"{"words": {"dr.": [[0, 2], [2, 9]], "ab": [[1, 2], [0, 1]], "é": [[0, 1]]}}"#;
        let cuts: Cuts = serde_json::from_str(json).unwrap();
        assert_eq!(cut(&cuts, "dr. ab é c"), ["dr", "b", "c"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1500))]

        /// Whatever is annotated, its ends are ends of tokens afterwards, in every script.
        #[test]
        fn all_annotations_fit(
            texts in prop::collection::vec("[a-c0-9 !.%'+\n\u{301}\u{200d}\u{fe0f}👍🏻🇩语のカー。ก-ฮำ서울에-]{1,16}", 1..4),
            places in prop::collection::vec((0usize..16, 1usize..8), 1..4),
        ) {
            let messages: Vec<Annotated<'_>> = texts.iter().zip(places.iter().cycle()).map(|(text, (start, len))| {
                let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
                let start = start % (starts.len() - 1);
                let end = (start + len).min(starts.len() - 1);
                annotated(text, vec![Span::new(starts[start], starts[end])])
            }).collect();
            let cuts = Cuts::default().learn(&messages, 1);
            for message in &messages {
                let tokens = cuts.apply(message.text, message.tokens.clone());
                let mut end = 0;
                for token in &tokens {
                    prop_assert!(end <= token.start && token.start < token.end, "{tokens:?}");
                    prop_assert!(message.text.get(token.start..token.end).is_some());
                    end = token.end;
                }
                // Signs alone are one token with the blanks between them, which no word is.
                let spans_blanks = message.tokens.iter().any(|token| token.of(message.text).contains(char::is_whitespace));
                prop_assert!(spans_blanks || cuts.missing(message).is_empty(), "{:?} {tokens:?} {cuts:?}", message);
            }
        }
    }
}
