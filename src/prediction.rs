//! What comes out: plain data, and its JSON in Rasa's shape.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::text::{CharOffsets, Span};

/// The components that find or change entities, by the names they have in answers and in pipelines.
pub(crate) const DIET_CLASSIFIER: &str = "DIETClassifier";
pub(crate) const REGEX_EXTRACTOR: &str = "RegexEntityExtractor";
pub(crate) const SYNONYM_MAPPER: &str = "EntitySynonymMapper";

/// A name and how sure the model is of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// The label.
    pub name: String,
    /// In `[0, 1]`.
    pub confidence: f32,
}

/// A typed part of a message.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
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
    pub extractor: Cow<'static, str>,
    /// Who changed it afterwards.
    pub processors: Vec<Cow<'static, str>>,
}

impl PredictedEntity {
    /// An entity whose value is the words used, found in `text` by this extractor.
    ///
    /// # Panics
    ///
    /// If the span belongs to another text.
    #[must_use]
    pub fn new(
        extractor: impl Into<Cow<'static, str>>,
        entity: impl Into<String>,
        span: Span,
        text: &str,
    ) -> Self {
        Self {
            entity: entity.into(),
            span,
            value: span.of(text).to_owned(),
            confidence: None,
            role: None,
            group: None,
            extractor: extractor.into(),
            processors: Vec::new(),
        }
    }
}

/// What to answer to a message with a retrieval intent, such as `faq/ask_name`.
///
/// As JSON it is what Rasa puts under `response_selector`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResponseSelection {
    /// The retrieval intents of the model, without their keys.
    pub all_retrieval_intents: Vec<String>,
    /// The answer among those to one retrieval intent, by its name; or, under `default`, among those to the reported
    /// intent, and among all where that is no retrieval intent.
    #[serde(flatten)]
    pub selected: BTreeMap<String, SelectedResponse>,
}

/// The answer that fits best, and how well others do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SelectedResponse {
    /// The best one.
    pub response: Response,
    /// The best ones, best first.
    pub ranking: Vec<RankedResponse>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// Its variants, such as `{"text": …}`, as the data has them; none where the data has no such answer.
    pub responses: Vec<Value>,
    /// How likely it is the right one of those it was chosen from, in `[0, 1]`.
    pub confidence: f32,
    /// The full name of the intent, such as `faq/ask_name`.
    pub intent_response_key: String,
    /// Its name in a domain, such as `utter_faq/ask_name`.
    pub utter_action: String,
}

/// One of the answers that were chosen from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RankedResponse {
    /// As that of [`Response`].
    pub confidence: f32,
    /// The full name of the intent.
    pub intent_response_key: String,
}

/// The answer to one message.
///
/// As JSON it has the keys and the character offsets of the answers of Rasa's `/model/parse`, and is read from such JSON.
///
/// # Example
///
/// ```
/// use talkformer::prediction::Prediction;
///
/// let answer = Prediction::default();
/// let json = serde_json::to_string(&answer)?;
/// assert!(json.contains(r#""intent":{"name":null,"confidence":0.0}"#));
/// assert_eq!(serde_json::from_str::<Prediction>(&json)?, answer);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(try_from = "RasaPrediction<'static>")]
#[non_exhaustive]
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
    /// What to answer, by a model that learnt retrieval intents; [`Prediction::intent`] is then without the key.
    pub response_selector: Option<ResponseSelection>,
    /// In order of the text.
    pub entities: Vec<PredictedEntity>,
    /// Where the tokens are.
    pub tokens: Vec<Span>,
    /// How likely the message is about nothing that the model knows, in `[0, 1]`; `None` where the model cannot tell.
    pub out_of_scope: Option<f32>,
}

/// The JSON of a [`Prediction`].
#[derive(Serialize, Deserialize)]
struct RasaPrediction<'a> {
    text: Cow<'a, str>,
    intent: RasaIntent<'a>,
    #[serde(default)]
    entities: Vec<RasaEntity<'a>>,
    #[serde(default)]
    text_tokens: Vec<(usize, usize)>,
    #[serde(default)]
    intent_ranking: Cow<'a, [Scored]>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    intents: Cow<'a, [Scored]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    out_of_scope: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    response_selector: Option<Cow<'a, ResponseSelection>>,
}

#[derive(Serialize, Deserialize)]
struct RasaIntent<'a> {
    name: Option<Cow<'a, str>>,
    confidence: f32,
}

#[derive(Serialize, Deserialize)]
struct RasaEntity<'a> {
    entity: Cow<'a, str>,
    start: usize,
    end: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    confidence_entity: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    confidence_role: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    confidence_group: Option<f32>,
    value: Cow<'a, str>,
    #[serde(default)]
    extractor: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    processors: Cow<'a, [Cow<'static, str>]>,
}

impl<'a> RasaEntity<'a> {
    fn new(entity: &'a PredictedEntity, offsets: &CharOffsets) -> Self {
        let (start, end) = offsets.to_chars(entity.span);
        let name = |part: &'a Option<Scored>| part.as_ref().map(|part| Cow::Borrowed(&part.name[..]));
        let confidence = |part: &Option<Scored>| part.as_ref().map(|part| part.confidence);
        Self {
            entity: Cow::Borrowed(&entity.entity),
            start,
            end,
            confidence_entity: entity.confidence,
            role: name(&entity.role),
            confidence_role: confidence(&entity.role),
            group: name(&entity.group),
            confidence_group: confidence(&entity.group),
            value: Cow::Borrowed(&entity.value),
            extractor: Cow::Borrowed(&entity.extractor),
            processors: Cow::Borrowed(&entity.processors),
        }
    }

    fn read(self, offsets: &CharOffsets) -> Result<PredictedEntity, OutsideText> {
        let part = |name: Option<Cow<'_, str>>, confidence: Option<f32>| {
            name.map(|name| Scored { name: name.into_owned(), confidence: confidence.unwrap_or_default() })
        };
        Ok(PredictedEntity {
            entity: self.entity.into_owned(),
            span: offsets.to_bytes(self.start, self.end).ok_or(OutsideText(self.start, self.end))?,
            value: self.value.into_owned(),
            confidence: self.confidence_entity,
            role: part(self.role, self.confidence_role),
            group: part(self.group, self.confidence_group),
            extractor: Cow::Owned(self.extractor.into_owned()),
            processors: self.processors.into_owned(),
        })
    }
}

/// A place that the text does not have.
#[derive(Debug, thiserror::Error)]
#[error("the text has no characters {0} to {1}")]
struct OutsideText(usize, usize);

impl Serialize for Prediction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let offsets = CharOffsets::new(&self.text);
        let intent = RasaIntent {
            name: self.intent.as_ref().map(|intent| Cow::Borrowed(&intent.name[..])),
            confidence: self.intent.as_ref().map_or(0.0, |intent| intent.confidence),
        };
        let json = RasaPrediction {
            text: Cow::Borrowed(&self.text),
            intent,
            entities: self.entities.iter().map(|entity| RasaEntity::new(entity, &offsets)).collect(),
            text_tokens: self.tokens.iter().map(|token| offsets.to_chars(*token)).collect(),
            intent_ranking: Cow::Borrowed(&self.intent_ranking),
            intents: Cow::Borrowed(&self.intents),
            out_of_scope: self.out_of_scope,
            response_selector: self.response_selector.as_ref().map(Cow::Borrowed),
        };
        json.serialize(serializer)
    }
}

impl TryFrom<RasaPrediction<'_>> for Prediction {
    type Error = OutsideText;

    fn try_from(json: RasaPrediction<'_>) -> Result<Self, OutsideText> {
        let offsets = CharOffsets::new(&json.text);
        let token = |(start, end)| offsets.to_bytes(start, end).ok_or(OutsideText(start, end));
        let RasaIntent { name, confidence } = json.intent;
        Ok(Self {
            intent: name.map(|name| Scored { name: name.into_owned(), confidence }),
            intent_ranking: json.intent_ranking.into_owned(),
            intents: json.intents.into_owned(),
            entities: json.entities.into_iter().map(|one| one.read(&offsets)).collect::<Result<_, _>>()?,
            tokens: json.text_tokens.into_iter().map(token).collect::<Result<_, _>>()?,
            out_of_scope: json.out_of_scope,
            response_selector: json.response_selector.map(Cow::into_owned),
            text: json.text.into_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reads_back_as_it_was_written() {
        let text = "über Zürich nach Köln".to_owned();
        let sure = |name: &str, confidence| Scored { name: name.to_owned(), confidence };
        let city = PredictedEntity {
            confidence: Some(0.9),
            role: Some(sure("to", 0.1)),
            processors: vec!["EntitySynonymMapper".into()],
            ..PredictedEntity::new("DIETClassifier", "city", Span::new(19, 24), &text)
        };
        let key = || "faq/ask_name".to_owned();
        let selected = SelectedResponse {
            response: Response {
                responses: vec![serde_json::json!({"text": "Ann"})],
                confidence: 0.75,
                intent_response_key: key(),
                utter_action: "utter_faq/ask_name".into(),
            },
            ranking: vec![RankedResponse { confidence: 0.75, intent_response_key: key() }],
        };
        let answer = Prediction {
            intent: Some(sure("travel", 0.7)),
            intent_ranking: vec![sure("travel", 0.7), sure("greet", 0.3)],
            intents: vec![sure("travel", 0.7)],
            entities: vec![city],
            tokens: vec![Span::new(0, 5), Span::new(6, 13), Span::new(14, 18), Span::new(19, 24)],
            out_of_scope: Some(0.25),
            response_selector: Some(ResponseSelection {
                all_retrieval_intents: vec!["faq".into()],
                selected: BTreeMap::from([("default".into(), selected)]),
            }),
            text,
        };
        let json = serde_json::to_string(&answer).unwrap();
        assert!(json.contains(r#""start":17,"end":21,"confidence_entity":0.9,"role":"to""#), "{json}");
        assert_eq!(serde_json::from_str::<Prediction>(&json).unwrap(), answer);
        let outside = json.replace(r#""end":21"#, r#""end":99"#);
        let error = serde_json::from_str::<Prediction>(&outside).unwrap_err();
        assert!(error.to_string().contains("no characters 17 to 99"), "{error}");
    }
}
