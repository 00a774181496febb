//! What can be predicted, and the right answers of an example.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::DietConfig;
use crate::data::{TagSet, Utterance, base_intent};
use crate::features::Features;
use crate::metrics::label_parts;
use crate::text::Span;

/// The three things a tag can say about a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagKind {
    /// The type of the entity.
    Entity,
    /// The part it plays.
    Role,
    /// Which entities belong together.
    Group,
}

impl TagKind {
    /// What its head and its loss are called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Entity => "entity",
            Self::Role => "role",
            Self::Group => "group",
        }
    }
}

/// Everything that the training data names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Labels {
    /// Intents in alphabetical order, each on its own where a message may have more than one; empty where fewer than two
    /// occur, for then there is nothing to decide.
    pub intents: Vec<String>,
    /// What separates the intents of a message in its label; `None` where a message has only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separator: Option<String>,
    /// Tags of entity types; `None` where there are none.
    pub entities: Option<TagSet>,
    /// Tags of roles.
    pub roles: Option<TagSet>,
    /// Tags of groups.
    pub groups: Option<TagSet>,
}

impl Labels {
    /// The labels of these utterances, as far as the config wants them learnt.
    #[must_use]
    pub fn new(utterances: &[Utterance], config: &DietConfig) -> Self {
        let none = Self { intents: Vec::new(), separator: None, entities: None, roles: None, groups: None };
        none.and_those_of(utterances, config)
    }

    /// These labels and those of some utterances, as far as the config wants them learnt.
    #[must_use]
    pub fn and_those_of(&self, utterances: &[Utterance], config: &DietConfig) -> Self {
        let separator = config.intents.separator().map(str::to_owned);
        let intents = utterances.iter().filter_map(|utterance| utterance.intent.as_deref());
        let intents: BTreeSet<&str> = intents
            .flat_map(|label| label_parts(label, separator.as_deref()))
            .chain(self.intents.iter().map(String::as_str))
            .collect();
        let intents = if intents.len() < 2 || !config.intents.enabled {
            Vec::new()
        } else {
            intents.into_iter().map(str::to_owned).collect()
        };
        let entities = || utterances.iter().flat_map(|utterance| &utterance.entities);
        let tags = |names: BTreeSet<&String>, own: &Option<TagSet>| {
            let names: BTreeSet<&String> =
                names.into_iter().chain(own.iter().flat_map(TagSet::types)).collect();
            let wanted = config.entities.enabled && !names.is_empty();
            wanted.then(|| TagSet::new(names.into_iter().map(String::as_str), config.entities.bilou))
        };
        Self {
            entities: tags(entities().map(|entity| &entity.entity).collect(), &self.entities),
            roles: tags(entities().filter_map(|entity| entity.role.as_ref()).collect(), &self.roles),
            groups: tags(entities().filter_map(|entity| entity.group.as_ref()).collect(), &self.groups),
            intents,
            separator,
        }
    }

    /// The tags of one kind, where there are any.
    #[must_use]
    pub fn tags(&self, kind: TagKind) -> Option<&TagSet> {
        match kind {
            TagKind::Entity => self.entities.as_ref(),
            TagKind::Role => self.roles.as_ref(),
            TagKind::Group => self.groups.as_ref(),
        }
    }

    /// The tags of all kinds that there are, in the order of their heads; none without entities.
    pub(super) fn tag_sets(&self) -> impl Iterator<Item = (TagKind, &TagSet)> {
        let kinds = [TagKind::Entity, TagKind::Role, TagKind::Group];
        let known = kinds.into_iter().filter(|_| self.entities.is_some());
        known.filter_map(|kind| Some((kind, self.tags(kind)?)))
    }

    /// Whether a message may have more than one intent.
    #[must_use]
    pub fn is_multi_label(&self) -> bool {
        self.separator.is_some()
    }

    /// Whether there is nothing to predict.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.intents.is_empty() && self.entities.is_none()
    }

    /// The right answers of one utterance with these tokens and features.
    #[must_use]
    pub fn example(&self, utterance: &Utterance, tokens: &[Span], features: Features) -> Example {
        let number = |intent: &str| self.intents.binary_search_by(|own| own.as_str().cmp(intent)).ok();
        let named = utterance.intent.iter().flat_map(|label| label_parts(label, self.separator.as_deref()));
        let intents: BTreeSet<u32> = named.filter_map(number).map(|intent| intent as u32).collect();
        let tags = |set: &Option<TagSet>, name: fn(&crate::data::Entity) -> Option<&str>| {
            let Some(set) = set else { return Vec::new() };
            let spans = utterance.entities.iter().filter_map(|entity| Some((entity.span, name(entity)?)));
            set.encode(tokens, spans).tags
        };
        Example {
            features,
            intent: intents.first().copied(),
            intents: intents.into_iter().collect(),
            entities: tags(&self.entities, |entity| Some(&entity.entity)),
            roles: tags(&self.roles, |entity| entity.role.as_deref()),
            groups: tags(&self.groups, |entity| entity.group.as_deref()),
        }
    }
}

/// The intent that stands for "not sure enough of any".
pub(crate) const FALLBACK: &str = "nlu_fallback";

/// Intents that mean "about nothing that the model knows", in whatever case.
pub const OUT_OF_SCOPE_NAMES: [&str; 3] = ["out_of_scope", "oos", FALLBACK];

/// Whether this intent is one of [`OUT_OF_SCOPE_NAMES`], or a response to one.
#[must_use]
pub fn is_out_of_scope(intent: &str) -> bool {
    OUT_OF_SCOPE_NAMES.iter().any(|name| base_intent(intent).eq_ignore_ascii_case(name))
}

/// One message in numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// The features of the message.
    pub features: Features,
    /// The intent, among [`Labels::intents`]; the first where there is more than one.
    pub intent: Option<u32>,
    /// All intents, in ascending order.
    pub intents: Vec<u32>,
    /// Entity tag of each token; empty where there are no entity types. The same for roles and groups.
    pub entities: Vec<u32>,
    /// Role tag of each token.
    pub roles: Vec<u32>,
    /// Group tag of each token.
    pub groups: Vec<u32>,
}

impl Example {
    /// The tags of one kind.
    #[must_use]
    pub fn tags(&self, kind: TagKind) -> &[u32] {
        match kind {
            TagKind::Entity => &self.entities,
            TagKind::Role => &self.roles,
            TagKind::Group => &self.groups,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_stands_for_its_parts_where_a_message_may_have_several() {
        let all = ["thank+bye", "bye", " ask + thank", "+", "thank+thank"];
        let all = all.map(|intent| Utterance::new("x", Some(intent)));
        let multi_label = DietConfig::default().with(|c| c.intents.multi_label = true);
        let labels = Labels::new(&all, &multi_label);
        assert_eq!(labels.intents, ["ask", "bye", "thank"]);
        let sets = all.each_ref().map(|one| labels.example(one, &[], Features::default()).intents);
        assert_eq!(sets, [vec![1, 2], vec![1], vec![0, 2], vec![], vec![2]]);

        let labels = Labels::new(&all, &DietConfig::default());
        assert_eq!(labels.intents.len(), 5);
        let example = labels.example(&all[0], &[], Features::default());
        assert_eq!(
            (example.intents.len(), labels.intents[example.intent.unwrap() as usize].as_str()),
            (1, "thank+bye")
        );
        let json = serde_json::to_value(&labels).unwrap();
        assert!(json.get("separator").is_none());
    }
}
