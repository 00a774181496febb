//! The tags of the tokens: entity types, then roles and groups.

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};

use super::{Labels, TagKind};
use crate::batch::Batch;
use crate::data::TagSet;
use crate::heads::{Crf, TagRules};
use crate::nn::{glorot_uniform, select_rows};
use crate::train::{BatchLoss, Ratio};

/// Decides the tags of the tokens. Heads after the entity head also see the entity tags: the right ones
/// while training, the decided ones otherwise.
#[derive(Clone, Debug)]
pub(super) struct TagHead {
    pub(super) kind: TagKind,
    pub(super) crf: Crf,
    /// One learnt vector per entity tag, and a bias: `[tag, 20]`, `[20]`.
    seen_tags: Option<(Tensor, Tensor)>,
}

/// Width of what later heads see of an entity tag.
pub(super) const SEEN_TAG_DIM: usize = 20;

pub(super) fn tag_heads(
    labels: &Labels,
    model_dim: usize,
    r_drop: f64,
    vb: &VarBuilder,
) -> Result<Vec<TagHead>> {
    let entity_tags = labels.entities.as_ref().map_or(0, TagSet::len);
    let head = |(kind, set): (TagKind, &TagSet)| {
        let vb = vb.pp(kind.name());
        let seen_tags = (kind != TagKind::Entity).then(|| seen_tags(entity_tags, &vb)).transpose()?;
        let dim = model_dim + if seen_tags.is_some() { SEEN_TAG_DIM } else { 0 };
        Ok(TagHead { kind, crf: Crf::new(dim, rules(set), vb)?.with_r_drop(r_drop), seen_tags })
    };
    labels.tag_sets().map(head).collect()
}

/// A vector per entity tag, and a bias.
fn seen_tags(entity_tags: usize, vb: &VarBuilder) -> Result<(Tensor, Tensor)> {
    let init = glorot_uniform(entity_tags, SEEN_TAG_DIM);
    let table = vb.get_with_hints((entity_tags, SEEN_TAG_DIM), "seen_tags", init)?;
    Ok((table, vb.get_with_hints(SEEN_TAG_DIM, "seen_tags_bias", Init::Const(0.0))?))
}

pub(super) fn rules(set: &TagSet) -> TagRules {
    TagRules::new(
        set.len(),
        |previous, next| set.is_legal(previous, next),
        |tag| set.may_start(tag),
        |tag| set.may_end(tag),
    )
}

impl TagHead {
    pub(super) fn rows(&self, tokens: &Tensor, entity_tags: &[u32]) -> Result<Tensor> {
        let Some((table, bias)) = &self.seen_tags else { return Ok(tokens.clone()) };
        let seen = select_rows(table, entity_tags)?.broadcast_add(bias)?;
        Tensor::cat(&[tokens, &seen], 1)
    }

    pub(super) fn loss(
        &self,
        tokens: &Tensor,
        entity_tags: &[u32],
        batch: &Batch,
        gold: &[u32],
        losses: &mut BatchLoss,
    ) -> Result<()> {
        let found = self.crf.loss(&self.rows(tokens, entity_tags)?, &batch.tokens, gold)?;
        let ratio = match self.kind {
            TagKind::Entity => "entity_f1",
            TagKind::Role => "role_f1",
            TagKind::Group => "group_f1",
        };
        losses.add_ratio(ratio, token_f1(gold, &found.likeliest));
        losses.add(self.kind.name(), found.loss)
    }
}

/// Twice the tags found over those wanted and those given, `O` left out: the F1 of tokens.
fn token_f1(gold: &[u32], found: &[u32]) -> Ratio {
    let mut ratio = Ratio::default();
    for (gold, found) in gold.iter().zip(found) {
        ratio.part += if gold == found && *gold != 0 { 2.0 } else { 0.0 };
        ratio.whole += f64::from(u8::from(*gold != 0)) + f64::from(u8::from(*found != 0));
    }
    ratio
}
