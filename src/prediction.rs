//! What comes out: plain data, and its JSON in Rasa's shape.

use serde::Serialize;

use crate::text::{CharOffsets, Span};

/// A name and how sure the model is of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scored {
    /// The label.
    pub name: String,
    /// In `[0, 1]`.
    pub confidence: f32,
}

/// A typed part of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct PredictedEntity {
    /// The type.
    pub entity: String,
    /// Its bytes in the text.
    pub span: Span,
    /// What it stands for; the words used unless a synonym says otherwise.
    pub value: String,
    /// How sure the model is of span and type; `None` where the extractor cannot tell.
    pub confidence: Option<f32>,
    /// The part it plays.
    pub role: Option<Scored>,
    /// Which entities belong together.
    pub group: Option<Scored>,
    /// Who found it.
    pub extractor: &'static str,
    /// Who changed it afterwards.
    pub processors: Vec<&'static str>,
}

/// The answer to one message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prediction {
    /// The message as it came.
    pub text: String,
    /// The intent, or `None` where there is nothing to go by.
    pub intent: Option<Scored>,
    /// The likeliest intents, best first.
    pub intent_ranking: Vec<Scored>,
    /// The intents of the message, surest first, by a model that was taught that there may be several; else empty.
    /// [`Prediction::intent`] is their names joined, with the confidence of the least sure one.
    pub intents: Vec<Scored>,
    /// In order of the text.
    pub entities: Vec<PredictedEntity>,
    /// Where the tokens are.
    pub tokens: Vec<Span>,
    /// How likely the message is about nothing that the model knows, in `[0, 1]`; `None` where the model cannot tell.
    pub out_of_scope: Option<f32>,
}

/// The JSON of a [`Prediction`], with the keys and the character offsets that Rasa's clients expect.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RasaPrediction<'a> {
    text: &'a str,
    intent: RasaIntent<'a>,
    entities: Vec<RasaEntity<'a>>,
    text_tokens: Vec<(usize, usize)>,
    intent_ranking: &'a [Scored],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    intents: &'a [Scored],
    #[serde(skip_serializing_if = "Option::is_none")]
    out_of_scope: Option<f32>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct RasaIntent<'a> {
    name: Option<&'a str>,
    confidence: f32,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct RasaEntity<'a> {
    entity: &'a str,
    start: usize,
    end: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence_entity: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence_role: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence_group: Option<f32>,
    value: &'a str,
    extractor: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    processors: &'a [&'static str],
}

impl<'a> RasaEntity<'a> {
    fn new(entity: &'a PredictedEntity, offsets: &CharOffsets) -> Self {
        let (start, end) = offsets.to_chars(entity.span);
        let (role, group) = (entity.role.as_ref(), entity.group.as_ref());
        Self {
            entity: &entity.entity,
            start,
            end,
            confidence_entity: entity.confidence,
            role: role.map(|role| role.name.as_str()),
            confidence_role: role.map(|role| role.confidence),
            group: group.map(|group| group.name.as_str()),
            confidence_group: group.map(|group| group.confidence),
            value: &entity.value,
            extractor: entity.extractor,
            processors: &entity.processors,
        }
    }
}

impl Prediction {
    /// As Rasa's `/model/parse` answers: offsets count characters.
    ///
    /// # Example
    ///
    /// ```
    /// use talkformer::prediction::Prediction;
    ///
    /// let json = serde_json::to_value(Prediction::default().as_rasa())?;
    /// assert_eq!(json["intent"]["name"], serde_json::Value::Null);
    /// assert_eq!(json["intent"]["confidence"], 0.0);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn as_rasa(&self) -> RasaPrediction<'_> {
        let offsets = CharOffsets::new(&self.text);
        let intent = RasaIntent {
            name: self.intent.as_ref().map(|intent| intent.name.as_str()),
            confidence: self.intent.as_ref().map_or(0.0, |intent| intent.confidence),
        };
        RasaPrediction {
            text: &self.text,
            intent,
            entities: self.entities.iter().map(|entity| RasaEntity::new(entity, &offsets)).collect(),
            text_tokens: self.tokens.iter().map(|token| offsets.to_chars(*token)).collect(),
            intent_ranking: &self.intent_ranking,
            intents: &self.intents,
            out_of_scope: self.out_of_scope,
        }
    }
}
