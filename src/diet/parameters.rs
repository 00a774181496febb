//! Every parameter of a model: its name, what the places along its axes stand for, and how it is stored.
//!
//! Saving, warm starts and the linear path follow this list. A layer that is missing here is an error when a network is
//! made; it cannot be saved in the wrong form, or copied to places that mean something else.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{Result, Var, bail};

use super::{DietConfig, Labels, TagKind, Widths};
use crate::bundle::Storage;
use crate::data::TagSet;
use crate::features::LabelFeatures;
use crate::nn::{Parameters, TransformerConfig};

/// What the places along an axis of a parameter stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    /// Nothing that has a name.
    Fixed,
    /// Columns of the sparse features of tokens.
    SequenceColumn,
    /// Columns of the sparse features of messages.
    SentenceColumn,
    /// Those, then the dense features of messages.
    JoinedColumn,
    /// Words in the names of intents.
    LabelWord,
    /// Intents.
    Intent,
    /// Tags.
    Tag(TagKind),
}

impl Axis {
    /// How many places there are; `None` where the axis does not say.
    fn places(self, widths: Widths, labels: &Labels, label_features: &LabelFeatures) -> Option<usize> {
        match self {
            Self::Fixed => None,
            Self::SequenceColumn => Some(widths.sequence),
            Self::SentenceColumn => Some(widths.sentence),
            Self::JoinedColumn => Some(widths.joined()),
            Self::LabelWord => Some(label_features.width),
            Self::Intent => Some(labels.intents.len()),
            Self::Tag(kind) => labels.tags(kind).map(TagSet::len),
        }
    }
}

/// A parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Declaration {
    pub(super) name: String,
    pub(super) axes: Vec<Axis>,
    pub(super) storage: Storage,
}

/// All parameters of a model.
#[derive(Clone, Debug)]
pub(super) struct Declarations {
    /// Those that the network learns.
    pub(super) network: Vec<Declaration>,
    /// Those that are fitted to what the network has learnt, or beside it.
    pub(super) fitted: Vec<Declaration>,
}

impl Declarations {
    /// The parameters of a model with these options that tells these labels apart.
    pub(super) fn new(config: &DietConfig, labels: &Labels) -> Self {
        let (mut network, mut fitted) = (List::default(), List::default());
        network.table("sequence", Axis::SequenceColumn, Storage::Table);
        network.table("sentence", Axis::SentenceColumn, Storage::Table);
        network.dense_layers("hidden", config.layers.hidden_sizes.text.len());
        if config.masking.enabled {
            network.add("masked_token.mask", &[Axis::Fixed, Axis::Fixed]);
            network.similarity("masked_token");
        }
        network.transformer("transformer", &config.transformer());
        if config.intents.enabled && !labels.intents.is_empty() {
            network.intents(config);
        }
        if !labels.intents.is_empty() {
            fitted.ensemble(config, labels);
        }
        if config.entities.enabled {
            labels.tag_sets().for_each(|(kind, _)| network.tags(kind));
        }
        Self { network: network.0, fitted: fitted.0 }
    }

    /// Refuses parameters that are not exactly the declared ones of the network, with as many places as the axes say.
    pub(super) fn check(
        &self,
        parameters: &Parameters,
        widths: Widths,
        labels: &Labels,
        label_features: &LabelFeatures,
    ) -> Result<()> {
        let found: BTreeMap<String, Var> = parameters.all().into_iter().collect();
        let names: BTreeSet<&str> = found.keys().map(String::as_str).collect();
        let declared: BTreeSet<&str> = self.network.iter().map(|own| own.name.as_str()).collect();
        if let Some(name) = names.difference(&declared).next() {
            bail!("the parameter {name} is not declared");
        }
        for own in &self.network {
            let Some(var) = found.get(&own.name) else { bail!("there is no parameter {}", own.name) };
            let dims = var.dims();
            let fits = |(axis, dim): (&Axis, &usize)| {
                axis.places(widths, labels, label_features).is_none_or(|places| places == *dim)
            };
            if dims.len() != own.axes.len() || !own.axes.iter().zip(dims).all(fits) {
                bail!("the parameter {} has the shape {dims:?}, declared as {:?}", own.name, own.axes);
            }
        }
        Ok(())
    }
}

/// Declarations, as they are made.
#[derive(Default)]
struct List(Vec<Declaration>);

impl List {
    fn push(&mut self, name: impl Into<String>, axes: &[Axis], storage: Storage) {
        self.0.push(Declaration { name: name.into(), axes: axes.to_vec(), storage });
    }

    /// A vector, stored as it is, or anything larger, rounded.
    fn add(&mut self, name: impl Into<String>, axes: &[Axis]) {
        self.push(name, axes, if axes.len() < 2 { Storage::F32 } else { Storage::Bf16 });
    }

    /// The rows that sparse features are mapped to.
    fn table(&mut self, part: &str, columns: Axis, storage: Storage) {
        self.push(format!("{part}.table"), &[columns, Axis::Fixed], storage);
        self.add(format!("{part}.bias"), &[Axis::Fixed]);
    }

    fn linear(&mut self, part: &str, output: Axis) {
        self.add(format!("{part}.weight"), &[Axis::Fixed, output]);
        self.add(format!("{part}.bias"), &[output]);
    }

    fn norm(&mut self, part: &str) {
        self.add(format!("{part}.weight"), &[Axis::Fixed]);
        self.add(format!("{part}.bias"), &[Axis::Fixed]);
    }

    fn dense_layers(&mut self, part: &str, count: usize) {
        (0..count).for_each(|at| self.linear(&format!("{part}.{at}"), Axis::Fixed));
    }

    fn similarity(&mut self, part: &str) {
        ["text", "label"].iter().for_each(|side| self.linear(&format!("{part}.{side}"), Axis::Fixed));
    }

    fn transformer(&mut self, part: &str, config: &TransformerConfig) {
        if config.layers == 0 {
            return;
        }
        self.linear(&format!("{part}.input"), Axis::Fixed);
        for at in 0..config.layers {
            let layer = format!("{part}.layers.{at}");
            self.norm(&format!("{layer}.attention_norm"));
            self.add(format!("{layer}.attention.query_key_value.weight"), &[Axis::Fixed; 2]);
            let relative = [("keys", config.relative_keys), ("values", config.relative_values)];
            for (name, _) in relative.iter().filter(|(_, wanted)| *wanted) {
                self.add(format!("{layer}.attention.relative_{name}"), &[Axis::Fixed; 3]);
            }
            self.linear(&format!("{layer}.attention.output"), Axis::Fixed);
            self.norm(&format!("{layer}.feed_forward_norm"));
            self.linear(&format!("{layer}.feed_forward.expand"), Axis::Fixed);
            self.linear(&format!("{layer}.feed_forward.contract"), Axis::Fixed);
        }
        self.norm(&format!("{part}.norm"));
    }

    fn intents(&mut self, config: &DietConfig) {
        self.table("intent.label", Axis::LabelWord, Storage::Bf16);
        if !config.layers.share_hidden {
            self.dense_layers("intent.hidden", config.layers.hidden_sizes.label.len());
        }
        self.similarity("intent.similarity");
    }

    fn tags(&mut self, kind: TagKind) {
        let part = kind.name();
        self.linear(&format!("{part}.emission"), Axis::Tag(kind));
        self.add(format!("{part}.transitions"), &[Axis::Tag(kind); 2]);
        if kind != TagKind::Entity {
            self.add(format!("{part}.seen_tags"), &[Axis::Tag(TagKind::Entity), Axis::Fixed]);
            self.add(format!("{part}.seen_tags_bias"), &[Axis::Fixed]);
        }
    }

    /// What a similarity weighs, the linear path where there is one, and how a message gets its intents where it may
    /// have more than one.
    fn ensemble(&mut self, config: &DietConfig, labels: &Labels) {
        self.add(SCALE, &[Axis::Fixed]);
        if config.intents.linear_path {
            self.push(LINEAR_TABLE, &[Axis::JoinedColumn, Axis::Intent], Storage::Table);
            self.add(LINEAR_BIAS, &[Axis::Intent]);
        }
        if labels.is_multi_label() {
            self.add(DECISION, &[Axis::Fixed]);
        }
    }
}

/// What a similarity weighs: `[1]`.
pub(super) const SCALE: &str = "intent.scale";
/// The linear path: `[joined column, intent]`, `[intent]`.
pub(super) const LINEAR_TABLE: &str = "intent.linear.table";
pub(super) const LINEAR_BIAS: &str = "intent.linear.bias";
/// How a message gets its intents, where it may have more than one.
pub(super) const DECISION: &str = "intent.decision";

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use candle_nn::Init;

    use super::*;
    use crate::data::{Entity, Utterance};
    use crate::diet::{Network, PerSide};
    use crate::text::{Span, WhitespaceTokenizer};

    const WIDTHS: Widths = Widths { sequence: 7, sentence: 5, dense: 3 };

    /// Everything that brings parameters, and with it all kinds of labels.
    fn all_options() -> (DietConfig, Labels, LabelFeatures) {
        let config = DietConfig::default().with(|own| {
            (own.transformer.model_dim, own.transformer.heads, own.transformer.layers) = (4, 2, 2);
            (own.transformer.relative_keys, own.transformer.relative_values) = (true, true);
            own.layers.hidden_sizes = PerSide { text: vec![6, 5], label: vec![3] };
            (own.masking.enabled, own.intents.linear_path, own.intents.multi_label) = (true, true, true);
        });
        let entity = Entity {
            role: Some("from".to_owned()),
            group: Some("1".to_owned()),
            ..Entity::new("city", Span::new(0, 1))
        };
        let mut message = Utterance::new("a", Some("x+y"));
        message.entities = vec![entity];
        let labels = Labels::new(&[message], &config);
        let features = LabelFeatures::new(&labels.intents, &WhitespaceTokenizer::default());
        (config, labels, features)
    }

    fn parameters(config: &DietConfig, labels: &Labels, features: &LabelFeatures) -> Parameters {
        let parameters = Parameters::new(1);
        let builder = parameters.builder(DType::F32, &Device::Cpu);
        Network::new(config, WIDTHS, labels, features, builder).unwrap();
        parameters
    }

    #[test]
    fn every_parameter_is_declared_exactly_once() -> Result<()> {
        let (all, labels, features) = all_options();
        let few = all.clone().with(|own| {
            (own.transformer.layers, own.masking.enabled, own.layers.share_hidden) = (0, false, true);
            (own.layers.dense_dimension, own.entities.enabled) = (PerSide { text: 2, label: 5 }, false);
        });
        let other =
            all.clone().with(|own| (own.intents.enabled, own.transformer.relative_keys) = (false, false));
        for config in [&all, &few, &other] {
            let declared = Declarations::new(config, &labels);
            let names = |list: &[Declaration]| list.iter().map(|own| own.name.clone()).collect::<Vec<_>>();
            let mut names = [names(&declared.network), names(&declared.fitted)].concat();
            let count = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), count);
            declared.check(&parameters(config, &labels, &features), WIDTHS, &labels, &features)?;
        }
        Ok(())
    }

    #[test]
    fn a_parameter_that_is_not_declared_or_not_there_is_refused() {
        let (config, labels, features) = all_options();
        let error = |change: &dyn Fn(&Parameters, &mut Declarations)| {
            let (parameters, mut declared) =
                (parameters(&config, &labels, &features), Declarations::new(&config, &labels));
            change(&parameters, &mut declared);
            declared.check(&parameters, WIDTHS, &labels, &features).unwrap_err().to_string()
        };
        let more = error(&|parameters, _| {
            let builder = parameters.builder(DType::F32, &Device::Cpu);
            builder.get_with_hints(3, "more", Init::Const(0.0)).unwrap();
        });
        assert!(more.contains("more is not declared"), "{more}");
        let missing = error(&|_, declared| {
            let (name, storage) = ("missing".to_owned(), Storage::F32);
            declared.network.push(Declaration { name, axes: vec![Axis::Fixed], storage });
        });
        assert!(missing.contains("there is no parameter missing"), "{missing}");
        let other_axis = error(&|_, declared| {
            let own = declared.network.iter_mut().find(|own| own.name == "entity.transitions").unwrap();
            own.axes.pop();
        });
        assert!(other_axis.contains("entity.transitions has the shape"), "{other_axis}");
    }
}
