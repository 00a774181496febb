//! One labelled message: its text, its intent, its entities and where it was written down.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use super::label;
use crate::text::Span;

/// A place in a data file, printed as `path:line`.
///
/// Cloning is cheap: every example of one file shares the same path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    /// The file, or a name in its stead for data that never was a file.
    pub path: Arc<Path>,
    /// Line counted from 1; 0 where no line is known, which leaves it out when printed.
    pub line: usize,
}

impl Source {
    /// The line `line` of `path`.
    pub fn new(path: impl AsRef<Path>, line: usize) -> Self {
        Self { path: Arc::from(path.as_ref()), line }
    }

    /// Another line of the same file.
    #[must_use]
    pub fn at(&self, line: usize) -> Self {
        Self { path: Arc::clone(&self.path), line }
    }
}

/// The place of an utterance made in a program: `<memory>`, without a line.
impl Default for Source {
    fn default() -> Self {
        static MEMORY: LazyLock<Arc<Path>> = LazyLock::new(|| Path::new("<memory>").into());
        Self { path: Arc::clone(&MEMORY), line: 0 }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.path.display()),
            line => write!(f, "{}:{line}", self.path.display()),
        }
    }
}

/// A typed part of a text, such as the city in "a table in Rome".
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entity {
    /// The type, such as `city`.
    pub entity: String,
    /// Its bytes in the text of the utterance.
    pub span: Span,
    /// What it stands for, where that differs from the words used: `New York City` for "NYC".
    pub value: Option<String>,
    /// The part it plays, such as `departure`, where one type plays several.
    pub role: Option<String>,
    /// Which entities belong together, such as the toppings of the second pizza.
    pub group: Option<String>,
}

impl Entity {
    /// An entity that stands for its own words, without role and group.
    pub fn new(entity: impl Into<String>, span: Span) -> Self {
        Self { entity: entity.into(), span, value: None, role: None, group: None }
    }

    /// The words used, cut from the text of the utterance.
    ///
    /// # Panics
    ///
    /// If the entity belongs to another text and its span does not fit this one; see [`Entity::lies_in`].
    #[must_use]
    pub fn surface<'t>(&self, text: &'t str) -> &'t str {
        self.span.of(text)
    }

    /// What the entity stands for: its value, or else the words used; nothing where it is no part of this text.
    #[must_use]
    pub fn value_in<'t>(&'t self, text: &'t str) -> &'t str {
        self.value.as_deref().or_else(|| self.span.get(text)).unwrap_or_default()
    }

    /// Whether it is a part of this text: not empty, and between two characters at either end.
    #[must_use]
    pub fn lies_in(&self, text: &str) -> bool {
        self.span.get(text).is_some_and(|words| !words.is_empty())
    }

    /// Whether the two share a byte without covering the very same words.
    ///
    /// Several entities over the same words are allowed ("Rome" as a city and as a departure);
    /// two that cross or nest are not, see [`keep_sane`].
    #[must_use]
    pub fn conflicts_with(&self, other: &Self) -> bool {
        self.span != other.span && self.span.overlaps(other.span)
    }
}

/// One message and what is known about it.
///
/// # Example
///
/// ```
/// use talkformer::data::{Entity, Utterance};
/// use talkformer::text::Span;
///
/// let mut utterance = Utterance::new("a table in Rome", Some("book"));
/// utterance.entities.push(Entity::new("city", Span::new(11, 15)));
/// assert_eq!(utterance.entities[0].surface(&utterance.text), "Rome");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Utterance {
    /// What was said, free of any markup.
    pub text: String,
    /// What was meant; `None` where only entities were annotated.
    pub intent: Option<String>,
    /// The typed parts, in order of their spans.
    pub entities: Vec<Entity>,
    /// Where the example was written down.
    pub source: Source,
}

impl Utterance {
    /// Takes the blanks around intent, types, roles, groups and values away; what is blank then counts as not given.
    pub(super) fn trim_labels(&mut self) {
        self.intent = self.intent.take().and_then(|intent| label::intent(&intent));
        for entity in &mut self.entities {
            entity.entity = label::name(&entity.entity).unwrap_or_default();
            for part in [&mut entity.role, &mut entity.group, &mut entity.value] {
                *part = part.take().and_then(|part| label::name(&part));
            }
            let words = self.text.get(entity.span.start..entity.span.end);
            entity.value = entity.value.take().filter(|value| Some(value.as_str()) != words);
        }
    }

    /// An utterance made in a program, without entities.
    pub fn new(text: impl Into<String>, intent: Option<&str>) -> Self {
        Self { text: text.into(), intent: intent.map(str::to_owned), ..Self::default() }
    }
}

/// Sorts entities by place and removes those that cross or nest, which no tag sequence can express.
///
/// Of two in conflict the longer stays, of two equally long the earlier; entities over the very same
/// words all stay. Returns each removed entity with the one that displaced it.
pub fn keep_sane(entities: &mut Vec<Entity>) -> Vec<(Entity, Entity)> {
    entities.sort_by_key(|entity| (entity.span.start, entity.span.end));
    if !entities.windows(2).any(|pair| pair[0].conflicts_with(&pair[1])) {
        return Vec::new();
    }
    let mut longest_first = std::mem::take(entities);
    longest_first.sort_by_key(|entity| (std::cmp::Reverse(entity.span.len()), entity.span.start));
    let mut kept: std::collections::BTreeMap<usize, Vec<Entity>> = std::collections::BTreeMap::new();
    let mut removed = Vec::new();
    for entity in longest_first {
        // Whatever is kept is at least as long and free of conflicts, so only the neighbours count.
        let before = kept.range(..=entity.span.start).next_back();
        let after = kept.range(entity.span.start..).next();
        let rival = before.into_iter().chain(after).map(|(_, same)| &same[0]);
        match rival.into_iter().find(|rival| rival.conflicts_with(&entity)) {
            Some(rival) => removed.push((entity.clone(), rival.clone())),
            None => kept.entry(entity.span.start).or_default().push(entity),
        }
    }
    entities.extend(kept.into_values().flatten());
    removed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(name: &str, start: usize, end: usize) -> Entity {
        Entity::new(name, Span::new(start, end))
    }

    #[test]
    fn a_source_prints_as_path_and_line() {
        let source = Source::new("data/nlu.yml", 7);
        assert_eq!(source.to_string(), "data/nlu.yml:7");
        assert_eq!(source.at(9).to_string(), "data/nlu.yml:9");
        assert_eq!(Source::default().to_string(), "<memory>");
    }

    #[test]
    fn the_longer_of_two_crossing_entities_stays() {
        let mut entities =
            vec![entity("late", 6, 9), entity("short", 0, 4), entity("long", 3, 8), entity("far", 20, 21)];
        let removed = keep_sane(&mut entities);
        let names: Vec<_> = entities.iter().map(|entity| entity.entity.as_str()).collect();
        assert_eq!(names, ["long", "far"]);
        assert_eq!(removed.len(), 2);
        assert!(removed.iter().all(|(_, by)| by.entity == "long"));
    }

    #[test]
    fn entities_over_the_same_words_all_stay_in_their_order() {
        let mut entities = vec![entity("b", 2, 5), entity("a", 2, 5), entity("inner", 3, 4)];
        let removed = keep_sane(&mut entities);
        let names: Vec<_> = entities.iter().map(|entity| entity.entity.as_str()).collect();
        assert_eq!(names, ["b", "a"]);
        assert_eq!(removed[0].0.entity, "inner");
    }

    #[test]
    fn a_value_falls_back_to_the_words() {
        let mut city = entity("city", 0, 3);
        assert_eq!(city.value_in("NYC!"), "NYC");
        assert_eq!(city.value_in("NY"), "");
        city.value = Some("New York City".into());
        assert_eq!(city.value_in("NYC!"), "New York City");
    }
}
