//! The card of a saved model: what a person should know before using it.

use std::fmt::Write as _;

use super::{Evaluation, Nlu, Training};
use crate::data::TrainingData;
use crate::diet::FittedConfidence;
use crate::train::Stopped;

/// What the card says in addition to what the model holds.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Card {
    /// The command that made the model.
    pub command: String,
    /// Name of the recipe or the file of the pipeline.
    pub recipe: String,
    /// Where the training data came from.
    pub data: String,
    /// Licence of the model, where its owner has said one.
    pub licence: Option<String>,
    /// How long training took, in seconds.
    pub seconds: f64,
}

/// The card of a model about which nothing is known but what it holds.
pub(super) fn brief(nlu: &Nlu) -> String {
    let labels = nlu.labels();
    let types = labels.entities.as_ref().map_or(&[][..], |tags| tags.types());
    format!(
        "---\nlibrary_name: talkformer\npipeline_tag: text-classification\n---\n\n# Intents and entities\n\n\
         Trained by talkformer {}.\n\nIntents: {}.\n\nEntity types: {}.\n",
        env!("CARGO_PKG_VERSION"),
        listed(&labels.intents),
        listed(types)
    )
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// What of the training data can be read in the files of a model.
fn kept(nlu: &Nlu, min_count: usize) -> String {
    if nlu.remembers() {
        return "All of them, in `examples.jsonl`, to be fine-tuned with new ones; `--forget-examples` leaves them out."
            .to_owned();
    }
    let (which, synonyms) = if min_count > 1 {
        (
            format!(", of those that occur in at least {min_count} of the examples"),
            format!(", but for those that annotations of fewer than {min_count} examples define"),
        )
    } else {
        (String::new(), ", those that annotations define among them".to_owned())
    };
    let mut kept = format!(
        "Not the examples themselves. Anyone who has the model can read in it:\n\n\
         - words, parts of words and combinations of words of the examples{which} (`features.json`);\n\
         - such words that annotations cut (`cuts.json`);\n\
         - synonyms{synonyms} (`synonyms.json`);\n\
         - lookup tables and regular expressions, whole (`features.json`, `extractor.json`);\n\
         - the names of intents, entity types, roles and groups (`labels.json`)."
    );
    if !nlu.parts.post_processors.is_empty() || nlu.parts.features.has_custom() {
        kept += "\n- whatever custom components learnt (`features.json`, `post_processors.json`).";
    }
    kept + "\n\nWeights have no words, but they were fitted to the examples: whoever guesses one can try it on the model."
}

impl Card {
    setters! { command: String, recipe: String, data: String, licence: Option<String>, seconds: f64 }

    /// The text of `README.md` in the bundle.
    #[must_use]
    pub fn render(
        &self,
        nlu: &Nlu,
        data: &TrainingData,
        training: &Training,
        scores: &Evaluation,
        scored_on: &str,
    ) -> String {
        let mut out = String::from("---\nlibrary_name: talkformer\npipeline_tag: text-classification\n");
        let mut line = |text: String| {
            let _ = writeln!(out, "{text}");
        };
        if let Some(language) = &nlu.config().language {
            line(format!("language: {language}"));
        }
        if let Some(licence) = &self.licence {
            line(format!("license: {licence}"));
        }
        line("---\n\n# Intents and entities\n".to_owned());
        line(format!(
            "Trained by talkformer {} with the recipe `{}`:\n",
            env!("CARGO_PKG_VERSION"),
            self.recipe
        ));
        line(format!("```sh\n{}\n```\n", self.command));
        line(format!("## Data\n\n{}\n", self.data));
        line("| what | count |\n| --- | --- |".to_owned());
        line(format!("| examples learnt from | {} |", training.examples));
        line(format!("| examples held out | {} |", training.held_out));
        line(format!("| intents | {} |", data.intents().len()));
        line(format!("| entity types | {} |", data.entity_types().len()));
        line(format!("| roles, groups | {}, {} |", data.roles().len(), data.groups().len()));
        line(format!(
            "| synonyms, regexes, lookups | {}, {}, {} |",
            data.synonyms.len(),
            data.regexes.len(),
            data.lookups.len()
        ));
        line(format!("\n## What it keeps of the examples\n\n{}", kept(nlu, training.min_count)));
        line(format!(
            "\n## Training\n\n{} epochs ({}), {} steps, {:.0} s, {} parameters, final loss {:.3}.\n",
            training.outcome.epochs,
            match training.outcome.stopped {
                Stopped::Finished => "all that were asked for",
                Stopped::NoProgress => "then the held-out score no longer rose",
                Stopped::OutOfTime => "then its time was up",
                Stopped::Interrupted => "then it was interrupted",
            },
            training.outcome.steps,
            self.seconds,
            training.parameters,
            training.outcome.last.loss,
        ));
        if !training.choices.is_empty() {
            line("## Decided from the data\n".to_owned());
            training.choices.iter().for_each(|choice| line(format!("- {choice}")));
            line(String::new());
        }
        if !nlu.config().warnings.is_empty() {
            line("## Otherwise than in its configuration\n".to_owned());
            nlu.config().warnings.iter().for_each(|warning| line(format!("- {warning}")));
            line(String::new());
        }
        if let Some(encoders) = &nlu.parts.encoders {
            line("## Encoders\n\nThe model does not open without these; what is built in comes with the program:\n".to_owned());
            encoders.described().for_each(|encoder| line(format!("- {encoder}")));
            line(String::new());
        }
        line("## Scores\n".to_owned());
        if let Some((epoch, score)) = &training.outcome.best {
            let parts: Vec<String> =
                score.parts.iter().map(|(name, part)| format!("{name} {part:.4}")).collect();
            line(format!("On the held-out examples, after epoch {epoch}: {}.\n", parts.join(", ")));
        }
        line(format!("On {scored_on} ({} messages):\n", scores.messages));
        line("| score | value |\n| --- | --- |".to_owned());
        line(format!("| intent accuracy | {:.4} |", scores.intent.accuracy));
        line(format!("| intent macro F1 | {:.4} |", scores.intent.macro_f1));
        if let Some(sets) = &scores.intent_sets {
            line(format!("| intent micro F1, several in a message | {:.4} |", sets.micro_average.f1));
        }
        line(format!("| entity F1, exact span | {:.4} |", scores.entity.exact_span.f1));
        line(format!("| entity F1, overlap rule | {:.4} |", scores.entity.overlap.f1));
        if let Some(found) = nlu.confidence() {
            line(format!(
                "\n## Confidence\n\nOn {} examples held out from the network, the expected calibration error is {:.1} % \
                 ({:.1} % with the transformer alone). A best intent below {:.2} is taken for out of scope \
                 (`threshold: fitted` of `FallbackClassifier`): {:.0} % of the right answers are surer.",
                found.messages,
                100.0 * found.error_after,
                100.0 * found.error_before,
                found.threshold,
                100.0 * FittedConfidence::KEPT,
            ));
        }
        line("\n## Licence\n".to_owned());
        let unknown = "That of the training data; whoever trained the model has not said.";
        line(self.licence.clone().unwrap_or_else(|| unknown.to_owned()));
        out
    }
}
