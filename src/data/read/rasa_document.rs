//! The shape of a Rasa YAML file, with the place of everything, before anything is made of it.
//!
//! The YAML library types plain values (`5`, `yes`); users mean text. So a value is kept as [`Node`], and
//! one that is not text is looked up as written in the file.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{
    Deserialize, DeserializeOwned, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_saphyr::Spanned;

/// A value and where it is in the file.
pub(super) struct Placed<T> {
    /// Line of its first character, from 1. For a block (`|`) that is the first line with content.
    pub(super) line: usize,
    start: usize,
    len: usize,
    pub(super) value: T,
}

impl<T> Placed<T> {
    /// The value as written in the file, with its quotes, markers and line breaks.
    pub(super) fn raw<'t>(&self, file: &'t str) -> &'t str {
        file.get(self.start..self.start + self.len).unwrap_or_default()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Placed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, defined, .. } = Spanned::<T>::deserialize(deserializer)?;
        let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        Ok(Self {
            line: number(defined.line()),
            start: defined.span().byte_offset().map_or(0, number),
            len: defined.span().byte_len().map_or(0, number),
            value,
        })
    }
}

/// A YAML value, as far as we care: lists of `L`, maps of shape `M`.
pub(super) enum Node<L = IgnoredAny, M = Other> {
    /// Nothing, or `null`.
    Null,
    /// A text.
    Text(String),
    /// A number or truth value; a text to us, see [`Placed::raw`].
    Plain,
    /// A list.
    List(Vec<L>),
    /// A map.
    Map(M),
}

impl<L, M> Node<L, M> {
    /// What it is, for messages.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "empty",
            Self::Text(_) | Self::Plain => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// The top of the file.
#[derive(Default)]
pub(super) struct Document {
    /// The format version.
    pub(super) version: Option<Placed<Node>>,
    /// The items.
    pub(super) nlu: Option<Placed<Items>>,
    /// What to answer, by name.
    pub(super) responses: Option<serde_json::Value>,
    /// All keys, for messages.
    pub(super) keys: Vec<String>,
}

/// What `nlu` should be: a list of maps.
pub(super) type Items = Node<Placed<Node<IgnoredAny, Item>>>;

/// An item of `nlu`: its keys in order.
#[derive(Default)]
pub(super) struct Item {
    /// Each key with its value.
    pub(super) entries: Vec<(Placed<String>, Placed<Value>)>,
}

/// A value in an item: a text, or examples as a list of maps.
pub(super) type Value = Node<Placed<Node<IgnoredAny, Example>>>;

/// An example in list form.
#[derive(Default)]
pub(super) struct Example {
    /// Its text.
    pub(super) text: Option<Placed<Node>>,
}

/// A map nobody looks into.
#[derive(Default)]
pub(super) struct Other;

/// A map read entry by entry.
trait FromEntries: Default {
    /// A key, with its place where that matters.
    type Key: DeserializeOwned;

    /// Takes the value of `key`, one way or another.
    fn entry<'de, A: MapAccess<'de>>(&mut self, key: Self::Key, map: &mut A) -> Result<(), A::Error>;
}

impl FromEntries for Document {
    type Key = String;

    fn entry<'de, A: MapAccess<'de>>(&mut self, key: String, map: &mut A) -> Result<(), A::Error> {
        match key.as_str() {
            "version" => self.version = Some(map.next_value()?),
            "nlu" => self.nlu = Some(map.next_value()?),
            "responses" => self.responses = Some(map.next_value()?),
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        self.keys.push(key);
        Ok(())
    }
}

impl FromEntries for Item {
    type Key = Placed<String>;

    fn entry<'de, A: MapAccess<'de>>(&mut self, key: Placed<String>, map: &mut A) -> Result<(), A::Error> {
        if key.value == "metadata" {
            map.next_value::<IgnoredAny>()?;
        } else {
            self.entries.push((key, map.next_value()?));
        }
        Ok(())
    }
}

impl FromEntries for Example {
    type Key = String;

    fn entry<'de, A: MapAccess<'de>>(&mut self, key: String, map: &mut A) -> Result<(), A::Error> {
        if key == "text" {
            self.text = Some(map.next_value()?);
        } else {
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

impl FromEntries for Other {
    type Key = IgnoredAny;

    fn entry<'de, A: MapAccess<'de>>(&mut self, _: IgnoredAny, map: &mut A) -> Result<(), A::Error> {
        map.next_value::<IgnoredAny>().map(drop)
    }
}

impl<'de, L: Deserialize<'de>, M: FromEntries> Deserialize<'de> for Node<L, M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor(PhantomData))
    }
}

struct NodeVisitor<L, M>(PhantomData<(L, M)>);

impl<'de, L: Deserialize<'de>, M: FromEntries> Visitor<'de> for NodeVisitor<L, M> {
    type Value = Node<L, M>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Node::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Node::Null)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Self::Value, E> {
        Ok(Node::Text(text))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Node::Plain)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Node::Plain)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Node::Plain)
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<Self::Value, E> {
        Ok(Node::Plain)
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<Self::Value, E> {
        Ok(Node::Plain)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Node::Plain)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            elements.push(element);
        }
        Ok(Node::List(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = M::default();
        while let Some(key) = map.next_key()? {
            entries.entry(key, &mut map)?;
        }
        Ok(Node::Map(entries))
    }
}
