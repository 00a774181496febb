//! What annotations ask for.

use std::collections::{BTreeSet, HashMap, HashSet};

use unicode_segmentation::UnicodeSegmentation;

use super::kind::{Kind, each_border, each_sign, is_signs};
use super::{Cuts, chunks};
use crate::text::Span;

/// Of the places that a rule for kinds of characters would change, annotations ask for at least one in so many.
const KINDS_ONE_IN: usize = 20;

/// And for a rule about an ending or a beginning.
const AFFIXES_ONE_IN: usize = 3;

/// An annotated message, for [`Cuts::learn`].
#[derive(Debug)]
pub(crate) struct Annotated<'t> {
    pub(crate) text: &'t str,
    /// The tokens by the tokenizer's own rules.
    pub(crate) tokens: Vec<Span>,
    /// What is annotated: places in the text.
    pub(crate) spans: Vec<Span>,
}

/// Where an annotation, given as a whole, begins or ends.
#[derive(Clone, Copy)]
pub(super) enum Border {
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

    /// The borders of annotations that are not borders of tokens.
    pub(super) fn missing(&self, message: &Annotated<'_>) -> Vec<Border> {
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

/// The span without the blanks at its ends.
fn trimmed(text: &str, span: Span) -> Span {
    let words = span.of(text);
    let start = span.start + words.len() - words.trim_start().len();
    Span::new(start, start + words.trim().len())
}
