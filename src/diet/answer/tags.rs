//! The best tags of each message.

use std::ops::Range;

use crate::data::TagSet;
use crate::diet::tag_head::{SEEN_TAG_DIM, rules};
use crate::diet::{Labels, TagKind};
use crate::infer::{Source, WeightsError};
use crate::kernels::Affine;
use crate::kernels::crf::{Decoder, Workspace};

/// A CRF over entity types, roles or groups.
#[derive(Clone, Debug)]
pub(in crate::diet) struct TagHead {
    kind: TagKind,
    emission: Affine,
    decoder: Decoder<f32>,
    /// What this head sees of each entity tag, bias included: `[tag, SEEN_TAG_DIM]`; empty for the first.
    seen_tags: Vec<f32>,
}

/// What one head finds in a batch of messages.
#[derive(Debug, Default)]
pub(super) struct HeadSpace {
    /// `[token, tag]`
    logits: Vec<f32>,
    /// The best tag of each token.
    path: Vec<u32>,
    space: Workspace<f32>,
    /// First token of the message whose sums are in `space`.
    summed: Option<usize>,
}

impl HeadSpace {
    /// The best tag of each token.
    pub(super) fn path(&self) -> &[u32] {
        &self.path
    }

    /// Numbers that the largest buffer can hold without asking for memory.
    pub(super) fn capacity(&self) -> usize {
        self.logits.capacity().max(self.space.capacity())
    }
}

pub(super) fn heads(
    labels: &Labels,
    model_dim: usize,
    source: &Source<'_>,
) -> Result<Vec<TagHead>, WeightsError> {
    let Some(entities) = &labels.entities else { return Ok(Vec::new()) };
    let mut heads =
        vec![TagHead::new(TagKind::Entity, entities, model_dim, Vec::new(), &source.at("entity"))?];
    let later = [(TagKind::Role, "role", &labels.roles), (TagKind::Group, "group", &labels.groups)];
    for (kind, name, set) in later {
        let Some(set) = set else { continue };
        let source = source.at(name);
        let mut seen = source.values("seen_tags", &[entities.len(), SEEN_TAG_DIM])?.into_owned();
        let bias = source.values("seen_tags_bias", &[SEEN_TAG_DIM])?;
        for row in seen.chunks_exact_mut(SEEN_TAG_DIM) {
            row.iter_mut().zip(&*bias).for_each(|(x, bias)| *x += bias);
        }
        heads.push(TagHead::new(kind, set, model_dim + SEEN_TAG_DIM, seen, &source)?);
    }
    Ok(heads)
}

impl TagHead {
    fn new(
        kind: TagKind,
        set: &TagSet,
        dim: usize,
        seen_tags: Vec<f32>,
        source: &Source<'_>,
    ) -> Result<Self, WeightsError> {
        let tags = set.len();
        let transitions = source.values("transitions", &[tags, tags])?;
        Ok(Self {
            kind,
            emission: source.at("emission").affine(dim, tags, 1.0)?,
            decoder: Decoder::new(rules(set).as_rules(), &transitions),
            seen_tags,
        })
    }

    /// Finds the best tags of all messages with these numbers of tokens. Of `rows`, `[token, model_dim]`, heads
    /// after the first see the entity tags as well; `scratch` is memory to work in.
    pub(super) fn decode(
        &self,
        rows: &[f32],
        entity_tags: &[u32],
        lengths: impl Iterator<Item = usize>,
        scratch: &mut Vec<f32>,
        found: &mut HeadSpace,
    ) {
        let dim = self.emission.input();
        let rows = if self.seen_tags.is_empty() {
            rows
        } else {
            scratch.clear();
            for (row, tag) in rows.chunks_exact(dim - SEEN_TAG_DIM).zip(entity_tags) {
                scratch.extend_from_slice(row);
                let seen = *tag as usize * SEEN_TAG_DIM;
                scratch.extend_from_slice(&self.seen_tags[seen..seen + SEEN_TAG_DIM]);
            }
            &scratch[..]
        };
        self.emission.forward(rows.len() / dim, rows, &mut found.logits); // [token, tag]
        found.path.clear();
        found.summed = None;
        let (tags, mut token) = (self.decoder.tags(), 0);
        for len in lengths {
            let logits = &found.logits[token * tags..(token + len) * tags];
            self.decoder.best_path(logits, &mut found.space, &mut found.path);
            token += len;
        }
    }
}

/// What the network says of one message.
#[derive(Debug)]
pub(in crate::diet) struct Found<'a> {
    /// Similarity to each intent; empty without intents.
    pub(in crate::diet) similarities: &'a [f32],
    pub(super) heads: &'a [TagHead],
    pub(super) spaces: &'a mut [HeadSpace],
    /// Its tokens among those of the batch.
    pub(super) tokens: Range<usize>,
}

impl Found<'_> {
    /// The best tags of this kind, one per token; `None` where such tags are not known.
    pub(in crate::diet) fn tags(&self, kind: TagKind) -> Option<&[u32]> {
        let at = self.heads.iter().position(|head| head.kind == kind)?;
        Some(&self.spaces[at].path[self.tokens.clone()])
    }

    /// The probability that the tokens from `first` on, `count` of them, carry exactly the best tags, whatever the
    /// others carry: a marginal of the CRF. The sums over all tag sequences are computed at the first call.
    pub(in crate::diet) fn probability(&mut self, kind: TagKind, first: usize, count: usize) -> f32 {
        let Some(at) = self.heads.iter().position(|head| head.kind == kind) else { return 0.0 };
        let (decoder, found) = (&self.heads[at].decoder, &mut self.spaces[at]);
        let tags = decoder.tags();
        let logits = &found.logits[self.tokens.start * tags..self.tokens.end * tags];
        if found.summed != Some(self.tokens.start) {
            decoder.sum(logits, &mut found.space);
            found.summed = Some(self.tokens.start);
        }
        let path = &found.path[self.tokens.clone()];
        decoder.probability(logits, &found.space, first, &path[first..first + count])
    }
}
