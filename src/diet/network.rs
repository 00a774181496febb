//! The network: from packed features to losses, or to scores.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;

use super::intent_head::IntentHead;
use super::tag_head::{TagHead, tag_heads};
use super::{DietConfig, Example, Labels, TagKind, Widths};
use crate::batch::Batch;
use crate::bundle::{Weight, Weights};
use crate::features::{Features, LabelFeatures};
#[cfg(test)]
use crate::heads::Decoded;
use crate::heads::MaskedToken;
use crate::nn::{DenseLayers, Dropout, Pass, SparseLinear, Transformer, select_rows};
use crate::train::BatchLoss;

/// All learnable layers of DIET.
#[derive(Clone, Debug)]
pub struct Network {
    sequence: SparseLinear,
    sentence: SparseLinear,
    /// Width of the dense features.
    dense: usize,
    input_dropout: Dropout,
    hidden: DenseLayers,
    masked_token: Option<MaskedToken>,
    masked_until: f64,
    reads_twice: bool,
    transformer: Option<Transformer>,
    intent: Option<IntentHead>,
    tags: Vec<TagHead>,
}

/// One reading of an example.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// The example, with the right answers.
    pub example: &'a Example,
    /// The features that the network sees, which may be fewer than those of the example.
    pub features: &'a Features,
}

impl<'a> Reading<'a> {
    /// All of an example.
    #[must_use]
    pub fn of(example: &'a Example) -> Self {
        Self { example, features: &example.features }
    }
}

/// The rows that the heads read.
struct Encoded {
    /// `[token, model_dim]`
    tokens: Tensor,
    /// `[message, model_dim]`
    messages: Tensor,
}

/// The scores of a batch of messages.
#[cfg(test)]
#[derive(Debug)]
pub(super) struct Scores {
    /// Similarity to each intent: `[message][label]`; empty without intents.
    pub(super) intents: Vec<Vec<f32>>,
    /// Tags of each kind that there is: `[kind][message]`.
    pub(super) tags: Vec<(TagKind, Vec<Decoded>)>,
}

impl Network {
    /// Draws or loads the weights.
    ///
    /// # Errors
    ///
    /// If weights are missing or of another shape, or an option makes no sense.
    pub fn new(
        config: &DietConfig,
        widths: Widths,
        labels: &Labels,
        label_features: &LabelFeatures,
        vb: VarBuilder,
    ) -> Result<Self> {
        let dense = config.layers.dense_dimension.text;
        let sparse_dropout = if config.layers.sparse_dropout { config.transformer.dropout } else { 0.0 };
        let sparse = |name: &str, columns| SparseLinear::new(columns, dense, sparse_dropout, vb.pp(name));
        let input = dense + widths.dense;
        let (sizes, density) = (&config.layers.hidden_sizes.text, config.transformer.connection_density);
        let hidden = DenseLayers::new(sizes, input, density, config.transformer.dropout, vb.pp("hidden"))?;
        let width = hidden.output(input);
        let transformer = config.transformer();
        let layered = transformer.layers > 0;
        let model_dim = if layered { transformer.model_dim } else { width };
        let intents = config.intents.enabled && !labels.intents.is_empty();
        let intent = |vb| IntentHead::new(config, model_dim, labels, label_features, &hidden, vb);
        let masked_token = |vb| {
            MaskedToken::new(
                width,
                model_dim,
                config.layers.embedding_dimension,
                config.similarity.clone(),
                vb,
            )
        };
        Ok(Self {
            sequence: sparse("sequence", widths.sequence)?,
            sentence: sparse("sentence", widths.sentence)?,
            dense: widths.dense,
            input_dropout: Dropout::new(if config.layers.dense_dropout {
                config.transformer.dropout
            } else {
                0.0
            }),
            masked_until: config.masking.until,
            reads_twice: config.similarity.r_drop > 0.0,
            masked_token: config.masking.enabled.then(|| masked_token(vb.pp("masked_token"))).transpose()?,
            transformer: layered
                .then(|| Transformer::new(width, &transformer, vb.pp("transformer")))
                .transpose()?,
            intent: intents.then(|| intent(vb.pp("intent"))).transpose()?,
            tags: if config.entities.enabled {
                tag_heads(labels, model_dim, config.similarity.r_drop, &vb)?
            } else {
                Vec::new()
            },
            hidden,
        })
    }

    /// A trained network on a device, for answering there.
    ///
    /// # Errors
    ///
    /// If weights are missing or of another shape, or the device has no room for them.
    pub(super) fn trained(
        config: &DietConfig,
        widths: Widths,
        labels: &Labels,
        label_features: &LabelFeatures,
        weights: &Weights,
        device: &Device,
    ) -> Result<Self> {
        let tensor = |(name, weight): (&String, &Weight)| {
            let values = weight.to_f32().into_owned();
            Ok((name.clone(), Tensor::from_vec(values, weight.shape.clone(), device)?))
        };
        // The linear path is no part of the network, and hidden tokens are only learnt from.
        let own = weights.iter().filter(|(name, _)| !name.starts_with("intent.linear."));
        let vb = VarBuilder::from_tensors(own.map(tensor).collect::<Result<_>>()?, DType::F32, device);
        let config = config.clone().with(|own| own.masking.enabled = false);
        Self::new(&config, widths, labels, label_features, vb)
    }

    /// All losses of some examples, means over the examples. Where two readings of an example learn from each other
    /// ([`r_drop`](crate::heads::SimilarityConfig::r_drop)), the second half of the readings must be of the same
    /// examples as the first.
    ///
    /// # Errors
    ///
    /// If candle cannot compute them, or the two halves are not readings of the same examples.
    pub fn loss(&self, readings: &[Reading<'_>], pass: &Pass) -> Result<BatchLoss> {
        let (first, second) = readings.split_at(readings.len() / 2);
        let same = |(one, other): (&Reading<'_>, &Reading<'_>)| std::ptr::eq(one.example, other.example);
        let mirrored = first.len() == second.len() && first.iter().zip(second).all(same);
        if self.reads_twice && !mirrored {
            candle_core::bail!(
                "with r_drop, the second half of the readings must be of the same examples as the first"
            );
        }
        let batch = Batch::new(readings.iter().map(|reading| reading.features));
        let examples: Vec<&Example> = readings.iter().map(|reading| reading.example).collect();
        let mut losses = BatchLoss::zero(self.sequence.device())?;
        let encoded = self.encode(&batch, pass, &mut losses)?;
        if let Some(intent) = &self.intent {
            intent.loss(&encoded.messages, &examples, pass, &mut losses)?;
        }
        let mut entity_tags: &[u32] = &[];
        let gold: Vec<Vec<u32>> = self
            .tags
            .iter()
            .map(|head| examples.iter().flat_map(|e| e.tags(head.kind)).copied().collect())
            .collect();
        for (head, gold) in self.tags.iter().zip(&gold) {
            head.loss(&encoded.tokens, entity_tags, &batch, gold, &mut losses)?;
            if head.kind == TagKind::Entity {
                entity_tags = gold;
            }
        }
        Ok(losses)
    }

    /// What the engine that answers must agree with.
    #[cfg(test)]
    pub(super) fn scores(&self, batch: &Batch) -> Result<Scores> {
        let encoded =
            self.encode(batch, &Pass::inference(), &mut BatchLoss::zero(self.sequence.device())?)?;
        let intents = match &self.intent {
            Some(intent) => intent.scores(&encoded.messages)?,
            None => Vec::new(),
        };
        let mut tags: Vec<(TagKind, Vec<Decoded>)> = Vec::new();
        let mut entity_tags: Vec<u32> = Vec::new();
        for head in &self.tags {
            let decoded = head.crf.decode(&head.rows(&encoded.tokens, &entity_tags)?, &batch.tokens)?;
            if head.kind == TagKind::Entity {
                entity_tags = decoded.iter().flat_map(|message| message.tags.iter().copied()).collect();
            }
            tags.push((head.kind, decoded));
        }
        Ok(Scores { intents, tags })
    }

    /// The rows that the heads read, of each message its tokens and then itself: `[row, model_dim]`, in one slice.
    pub(super) fn rows<'m>(&self, messages: impl IntoIterator<Item = &'m Features>) -> Result<Vec<f32>> {
        let mut losses = BatchLoss::zero(self.sequence.device())?;
        self.transformed(&Batch::new(messages), &Pass::inference(), &mut losses)?.flatten_all()?.to_vec1()
    }

    fn encode(&self, batch: &Batch, pass: &Pass, losses: &mut BatchLoss) -> Result<Encoded> {
        let x = self.transformed(batch, pass, losses)?;
        Ok(Encoded {
            tokens: select_rows(&x, &batch.token_rows)?,
            messages: select_rows(&x, &batch.message_rows)?,
        })
    }

    /// `[row, model_dim]`
    fn transformed(&self, batch: &Batch, pass: &Pass, losses: &mut BatchLoss) -> Result<Tensor> {
        let tokens = self.sequence.forward(&batch.sequence, pass)?; // [token, dense]
        let messages = self.sentence.forward(&batch.sentence, pass)?; // [message, dense]
        let rows = Tensor::cat(&[&tokens, &messages], 0)?;
        let mut x = select_rows(&rows, &batch.order)?; // [row, dense]
        if self.dense > 0 {
            let dense = Tensor::new(&batch.dense[..], x.device())?.to_dtype(x.dtype())?;
            x = Tensor::cat(&[&x, &dense.reshape((batch.rows.rows(), self.dense))?], 1)?;
        }
        let x = self.hidden.forward(&self.input_dropout.forward(&x, pass)?, pass)?; // [row, width]
        let masking = match (&self.masked_token, pass.next_seed()) {
            (Some(masked_token), Some(seed)) if pass.done() < self.masked_until => {
                masked_token.hide(&x, &batch.token_rows, seed)?
            }
            _ => None,
        };
        let x = masking.as_ref().map_or(x, |masking| masking.rows.clone());
        let x = match &self.transformer {
            Some(transformer) => transformer.forward(&x, &batch.rows, pass)?, // [row, model_dim]
            None => x,
        };
        if let (Some(masked_token), Some(masking), Some(seed)) =
            (&self.masked_token, masking, pass.next_seed())
        {
            losses.add("masked_token", masked_token.loss(&x, &masking, &batch.identities(), seed)?)?;
        }
        Ok(x)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::data::{Entity, Utterance};
    use crate::features::DenseFeatures;
    use crate::nn::Parameters;
    use crate::nn::testing::{central_differences, seeded, shake, without_kernels};
    use crate::text::{Span, WhitespaceTokenizer};

    fn config() -> DietConfig {
        DietConfig::default().with(|c| {
            (c.transformer.model_dim, c.transformer.heads, c.transformer.layers) = (4, 2, 1);
            c.layers.dense_dimension = crate::diet::PerSide { text: 3, label: 2 };
            c.layers.hidden_sizes = crate::diet::PerSide { text: vec![5], label: vec![3] };
            (c.layers.embedding_dimension, c.similarity.negatives) = (3, 2);
            c.transformer.relative_keys = true;
        })
    }

    /// Two messages with intents, entities, roles and groups, and one without an intent.
    fn examples(config: &DietConfig, labels: &mut Option<Labels>) -> Vec<Example> {
        let tokens = [Span::new(0, 1), Span::new(2, 3), Span::new(4, 5)];
        let entity = |at: usize, role: &str| Entity {
            role: Some(role.to_owned()),
            group: Some("1".to_owned()),
            ..Entity::new("city", tokens[at])
        };
        let intents = if config.intents.multi_label { ["x+y", "y"] } else { ["x", "y"] };
        let mut messages = intents.map(|intent| Utterance::new("a b c", Some(intent))).to_vec();
        messages.push(Utterance::new("a b c", None));
        messages[0].entities = vec![entity(0, "from"), entity(2, "to")];
        messages[2].entities = vec![entity(1, "to")];
        let labels = labels.insert(Labels::new(&messages, config));
        let example = |(at, message): (usize, &Utterance)| {
            let mut features = crate::features::Features::default();
            (0..3).for_each(|token| features.sequence.push([((at + token) as u32, 1.0), (5, 0.5)]));
            features.sentence.push([(at as u32, 1.0), (3, 2.0)]);
            let numbers =
                |rows: usize| (0..2 * rows).map(|i| (i as f32 + at as f32).sin()).collect::<Vec<f32>>();
            let dense = DenseFeatures::new(&numbers(3), numbers(1));
            features.dense = Some(std::sync::Arc::new(dense));
            labels.example(message, &tokens, features)
        };
        messages.iter().enumerate().map(example).collect()
    }

    #[test]
    fn one_loss_gives_every_parameter_of_every_head_its_right_gradient() -> Result<()> {
        check_gradients(&config())
    }

    #[test]
    fn the_loss_over_several_intents_gives_right_gradients_too() -> Result<()> {
        check_gradients(&config().with(|c| c.intents.multi_label = true))
    }

    /// What one loss gives every parameter, from the graph or from the sink of the pass.
    fn gradients(
        network: &Network,
        readings: &[Reading<'_>],
        parameters: &Parameters,
    ) -> Result<BTreeMap<String, Vec<f64>>> {
        let sink = crate::nn::GradientSink::default();
        let grads = network.loss(readings, &Pass::training(3).with_sink(&sink))?.total.backward()?;
        let mut found = BTreeMap::new();
        let all = parameters.all();
        for (name, var) in &all {
            if let Some(gradient) = grads.get(var.as_tensor()) {
                found.insert(name.clone(), gradient.flatten_all()?.to_vec1::<f64>()?);
            }
        }
        for gradient in sink.take() {
            let (name, var) = all.iter().find(|(_, var)| var.as_tensor().id() == gradient.parameter).unwrap();
            let handed = gradient.to_f64();
            let Some(rows) = gradient.rows else {
                found.insert(name.clone(), handed);
                continue;
            };
            let dim = var.dim(1)?;
            let table = found.entry(name.clone()).or_insert_with(|| vec![0.0; var.elem_count()]);
            for (row, values) in rows.iter().zip(handed.chunks(dim)) {
                table[*row as usize * dim..(*row as usize + 1) * dim].copy_from_slice(values);
            }
        }
        assert!(all.iter().all(|(name, _)| found.contains_key(name)), "a parameter has no gradient");
        Ok(found)
    }

    fn check_gradients(config: &DietConfig) -> Result<()> {
        let mut labels = None;
        let examples = examples(config, &mut labels);
        let (labels, examples): (Labels, Vec<&Example>) = (labels.unwrap(), examples.iter().collect());
        let label_features = LabelFeatures::new(&labels.intents, &WhitespaceTokenizer::default());
        let (parameters, vb) = seeded();
        let widths = Widths { sequence: 6, sentence: 4, dense: 2 };
        let network = Network::new(config, widths, &labels, &label_features, vb)?;
        shake(&parameters)?;

        let readings: Vec<Reading<'_>> = examples.iter().copied().map(Reading::of).collect();
        let gradients = gradients(&network, &readings, &parameters)?;
        let of_others = without_kernels(|| self::gradients(&network, &readings, &parameters))?;
        for (name, var) in parameters.all() {
            let found = &gradients[&name];
            // The way of other devices finds the same.
            let apart = found.iter().zip(&of_others[&name]).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(apart < 1e-9 && found.len() == of_others[&name].len(), "{name}: {apart:e}");
            let loss = || network.loss(&readings, &Pass::training(3))?.total.to_scalar::<f64>();
            for (i, slope) in central_differences(&var, loss)?.iter().enumerate() {
                let wrong = (found[i] - slope).abs() / slope.abs().max(1e-2);
                assert!(wrong < 1e-5, "{name}[{i}]: {} but differences say {slope}", found[i]);
            }
        }
        Ok(())
    }
}
