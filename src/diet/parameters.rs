//! Every parameter of the network: its name, what the places along its axes stand for, and how it is stored.
//!
//! Saving and warm starts follow this list. Names and sizes of axes are checked whenever a network is made, so a layer
//! that is missing here is an error. A test checks that each axis is declared as what its size depends on.

use std::collections::BTreeMap;

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
    /// Words in the names of intents.
    LabelWord,
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
            Self::LabelWord => Some(label_features.width),
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

/// All parameters of a network.
#[derive(Clone, Debug, Default)]
pub(super) struct Declarations(pub(super) Vec<Declaration>);

impl Declarations {
    /// The parameters of a network with these options and labels.
    pub(super) fn new(config: &DietConfig, labels: &Labels) -> Self {
        let mut all = Self::default();
        all.table("sequence", Axis::SequenceColumn, Storage::Table);
        all.table("sentence", Axis::SentenceColumn, Storage::Table);
        all.dense_layers("hidden", config.layers.hidden_sizes.text.len());
        if config.masking.enabled {
            all.add("masked_token.mask", &[Axis::Fixed, Axis::Fixed]);
            all.similarity("masked_token");
        }
        all.transformer("transformer", &config.transformer());
        if config.intents.enabled && !labels.intents.is_empty() {
            all.intents(config);
        }
        if config.entities.enabled {
            labels.tag_sets().for_each(|(kind, _)| all.tags(kind));
        }
        all
    }

    /// Refuses parameters that are not exactly the declared ones, with as many places as the axes say.
    pub(super) fn check(
        &self,
        parameters: &Parameters,
        widths: Widths,
        labels: &Labels,
        label_features: &LabelFeatures,
    ) -> Result<()> {
        let mut found: BTreeMap<String, Var> = parameters.all().into_iter().collect();
        for own in &self.0 {
            let Some(var) = found.remove(&own.name) else { bail!("there is no parameter {}", own.name) };
            let dims = var.dims();
            let fits = |(axis, dim): (&Axis, &usize)| {
                axis.places(widths, labels, label_features).is_none_or(|places| places == *dim)
            };
            if dims.len() != own.axes.len() || !own.axes.iter().zip(dims).all(fits) {
                bail!("the parameter {} has the shape {dims:?}, declared as {:?}", own.name, own.axes);
            }
        }
        match found.keys().next() {
            Some(name) => bail!("the parameter {name} is not declared"),
            None => Ok(()),
        }
    }

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
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use candle_nn::Init;

    use super::*;
    use crate::data::{Entity, Utterance};
    use crate::diet::{Network, PerSide};
    use crate::text::{Span, WhitespaceTokenizer};

    const WIDTHS: Widths = Widths { sequence: 7, sentence: 5, dense: 3 };

    /// Everything that brings parameters.
    fn all_options() -> DietConfig {
        DietConfig::default().with(|own| {
            (own.transformer.model_dim, own.transformer.heads, own.transformer.layers) = (4, 2, 2);
            (own.transformer.relative_keys, own.transformer.relative_values) = (true, true);
            own.layers.hidden_sizes = PerSide { text: vec![6, 5], label: vec![3] };
            (own.masking.enabled, own.intents.linear_path, own.intents.multi_label) = (true, true, true);
        })
    }

    /// So many intents, whose names have one word more, and so many entity types, roles and groups.
    fn labels(
        config: &DietConfig,
        intents: usize,
        [types, roles, groups]: [usize; 3],
    ) -> (Labels, LabelFeatures) {
        let message = |at: usize| {
            let entity = Entity {
                role: Some(format!("role {}", at % roles)),
                group: Some(format!("group {}", at % groups)),
                ..Entity::new(format!("type {}", at % types), Span::new(0, 1))
            };
            Utterance { entities: vec![entity], ..Utterance::new("a", Some(&format!("ask {at}"))) }
        };
        let labels = Labels::new(&(0..intents).map(message).collect::<Vec<_>>(), config);
        let features = LabelFeatures::new(&labels.intents, &WhitespaceTokenizer::default());
        (labels, features)
    }

    fn parameters(
        config: &DietConfig,
        widths: Widths,
        labels: &Labels,
        features: &LabelFeatures,
    ) -> Parameters {
        let parameters = Parameters::new(1);
        let builder = parameters.builder(DType::F32, &Device::Cpu);
        Network::new(config, widths, labels, features, builder).unwrap();
        parameters
    }

    #[test]
    fn every_parameter_is_declared_exactly_once() -> Result<()> {
        let all = all_options();
        let (labels, features) = labels(&all, 6, [1, 2, 3]);
        let few = all.clone().with(|own| {
            (own.transformer.layers, own.masking.enabled, own.layers.share_hidden) = (0, false, true);
            (own.layers.dense_dimension, own.entities.enabled) = (PerSide { text: 2, label: 5 }, false);
        });
        let other =
            all.clone().with(|own| (own.intents.enabled, own.transformer.relative_keys) = (false, false));
        for config in [&all, &few, &other] {
            let parameters = parameters(config, WIDTHS, &labels, &features);
            Declarations::new(config, &labels).check(&parameters, WIDTHS, &labels, &features)?;
        }
        Ok(())
    }

    /// Of two networks with the same options, only axes whose places have names differ in size.
    #[test]
    fn every_axis_is_declared_as_what_its_size_depends_on() {
        let config = all_options();
        let other_widths = Widths { sequence: 8, sentence: 6, ..WIDTHS };
        let one = (WIDTHS, labels(&config, 6, [1, 2, 3]));
        let other = (other_widths, labels(&config, 10, [4, 5, 7]));
        let kinds = [Axis::SequenceColumn, Axis::SentenceColumn, Axis::LabelWord]
            .into_iter()
            .chain([TagKind::Entity, TagKind::Role, TagKind::Group].map(Axis::Tag));
        // The two sizes of each kind of axis.
        let mut sizes: BTreeMap<(usize, usize), Axis> = BTreeMap::new();
        for axis in kinds {
            let [one, other] = [&one, &other]
                .map(|(widths, (labels, features))| axis.places(*widths, labels, features).unwrap());
            assert_ne!(one, other, "{axis:?} must be told from what is fixed");
            let same = sizes.insert((one, other), axis);
            assert_eq!(same, None, "{axis:?} must be told from the others");
        }
        let [dims, other_dims] = [&one, &other].map(|(widths, (labels, features))| {
            let all = parameters(&config, *widths, labels, features).all().into_iter();
            all.map(|(name, var)| (name, var.dims().to_vec())).collect::<BTreeMap<_, _>>()
        });
        for own in &Declarations::new(&config, &one.1.0).0 {
            let pairs = dims[&own.name].iter().copied().zip(other_dims[&own.name].iter().copied());
            let expected: Vec<Axis> =
                pairs.map(|pair| if pair.0 == pair.1 { Axis::Fixed } else { sizes[&pair] }).collect();
            assert_eq!(own.axes, expected, "{}", own.name);
        }
    }

    #[test]
    fn a_parameter_that_is_not_declared_or_not_there_is_refused() {
        let config = all_options();
        let (labels, features) = labels(&config, 6, [1, 2, 3]);
        let error = |change: &dyn Fn(&Parameters, &mut Declarations)| {
            let mut declared = Declarations::new(&config, &labels);
            let parameters = parameters(&config, WIDTHS, &labels, &features);
            change(&parameters, &mut declared);
            declared.check(&parameters, WIDTHS, &labels, &features).unwrap_err().to_string()
        };
        let more = error(&|parameters, _| {
            let builder = parameters.builder(DType::F32, &Device::Cpu);
            builder.get_with_hints(3, "more", Init::Const(0.0)).unwrap();
        });
        assert!(more.contains("more is not declared"), "{more}");
        let missing = error(&|_, declared| declared.add("missing", &[Axis::Fixed]));
        assert!(missing.contains("there is no parameter missing"), "{missing}");
        let twice = error(&|_, declared| declared.0.push(declared.0[0].clone()));
        assert!(twice.contains("there is no parameter sequence.table"), "{twice}");
        let other_axis = error(&|_, declared| {
            let own = declared.0.iter_mut().find(|own| own.name == "entity.transitions").unwrap();
            own.axes.pop();
        });
        assert!(other_axis.contains("entity.transitions has the shape"), "{other_axis}");
    }
}
