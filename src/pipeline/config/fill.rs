//! What a pipeline lacks once some of its components are served by others or left out.

use super::components::{TOKENIZER, Task};
use super::{Component, ConfigWarning, Recipe};
use crate::features::{FeaturizerConfig, NGramConfig};
use crate::prediction::DIET_CLASSIFIER;

/// The components of a file, and those that it lists and that are not among them.
#[derive(Default)]
pub(super) struct Filling {
    pub(super) components: Vec<Component>,
    /// The aliases of those that were left out.
    pub(super) left_out: Vec<String>,
    /// Classifiers and extractors whose task `DIETClassifier` takes over.
    pub(super) learnt: Vec<(String, Task)>,
}

impl Filling {
    /// A pipeline in which no task is left undone because of what is not here. What the file itself lacks is not added.
    pub(super) fn fill(mut self, warnings: &mut Vec<ConfigWarning>) -> Vec<Component> {
        let selects = self.place(|component| matches!(component, Component::ResponseSelector(_))).is_some();
        if selects || !self.left_out.is_empty() || !self.learnt.is_empty() {
            self.classifier(warnings);
            self.featurizers(warnings);
            self.tokenizer(warnings);
        }
        self.components
    }

    fn place(&self, wanted: impl Fn(&Component) -> bool) -> Option<usize> {
        self.components.iter().position(wanted)
    }

    /// Lets `DIETClassifier` learn what other components would have learnt.
    fn classifier(&mut self, warnings: &mut Vec<ConfigWarning>) {
        let is_diet = |component: &Component| matches!(component, Component::DietClassifier { .. });
        let wants = |wanted: Task| self.learnt.iter().any(|(_, task)| *task == wanted);
        let (intents, entities) = (wants(Task::Intents), wants(Task::Entities));
        for (component, task) in &self.learnt {
            let what = match task {
                Task::Intents => "it learns the intents from the same examples, with its own options",
                Task::Entities => "it learns the entities from the same annotations, with its own options",
            };
            let (component, by, how) = (component.clone(), DIET_CLASSIFIER.to_owned(), what.to_owned());
            warnings.push(ConfigWarning::ServedBy { component, by, how });
        }
        if let Some(place) = self.place(is_diet) {
            if let Component::DietClassifier { config, featurizers } = &mut self.components[place] {
                config.intents.enabled |= intents;
                config.entities.enabled |= entities;
                featurizers.retain(|alias| !self.left_out.contains(alias));
            }
            return;
        }
        let recipe = Recipe::ALL[0].config().components;
        let Some(mut own) = recipe.into_iter().find(is_diet) else { return };
        if let Component::DietClassifier { config, .. } = &mut own
            && !self.learnt.is_empty()
        {
            config.intents.enabled = intents;
            config.entities.enabled = entities;
        } else {
            let missing = "nothing else in the pipeline learns".to_owned();
            warnings.push(ConfigWarning::Added { component: DIET_CLASSIFIER.to_owned(), missing });
        }
        // Behind what it reads and before what changes its answers.
        let reads = |component: &Component| component.is_tokenizer() || component.alias().is_some();
        let place = self.components.iter().rposition(reads).map_or(0, |last| last + 1);
        self.components.insert(place, own);
    }

    /// Gives the classifier words to read, where the featurizer that did is gone.
    fn featurizers(&mut self, warnings: &mut Vec<ConfigWarning>) {
        let reads_words = |component: &Component| match component {
            Component::DenseFeaturizer { .. } => true,
            Component::Featurizer { config, .. } => {
                matches!(config, FeaturizerConfig::NGrams(_) | FeaturizerConfig::Custom(_))
            }
            _ => false,
        };
        let Some(place) = self.place(|component| matches!(component, Component::DietClassifier { .. }))
        else {
            return;
        };
        if self.components.iter().any(reads_words) {
            return;
        }
        let missing = "no other featurizer of the pipeline reads words".to_owned();
        warnings.push(ConfigWarning::Added { component: NGramConfig::COMPONENT.to_owned(), missing });
        if let Component::DietClassifier { featurizers, .. } = &mut self.components[place]
            && !featurizers.is_empty()
        {
            featurizers.push(NGramConfig::COMPONENT.to_owned());
        }
        let own = Recipe::ALL[0].config().components.into_iter().filter(reads_words);
        self.components.splice(place..place, own);
    }

    fn tokenizer(&mut self, warnings: &mut Vec<ConfigWarning>) {
        if self.place(Component::is_tokenizer).is_none() {
            let missing = "nothing else in the pipeline finds tokens".to_owned();
            warnings.push(ConfigWarning::Added { component: TOKENIZER.to_owned(), missing });
            self.components
                .insert(0, Component::WhitespaceTokenizer(crate::text::WhitespaceTokenizerConfig::default()));
        }
    }
}
