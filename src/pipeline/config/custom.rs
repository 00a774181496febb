//! Custom components in a pipeline that is written in code.

use super::{Component, PipelineConfig};
use crate::features::{CustomConfig, FeaturizerConfig};

impl PipelineConfig {
    /// With this custom tokenizer, without options, in place of the one it has.
    #[must_use]
    pub fn with_tokenizer(mut self, name: impl Into<String>) -> Self {
        let own = Component::CustomTokenizer(CustomConfig::new(name));
        let is_tokenizer = |component: &&mut Component| component.is_tokenizer();
        match self.components.iter_mut().find(is_tokenizer) {
            Some(tokenizer) => *tokenizer = own,
            None => self.components.insert(0, own),
        }
        self
    }

    /// With this custom featurizer, without options, as the last one before DIET, which listens to it.
    #[must_use]
    pub fn with_featurizer(mut self, name: impl Into<String>) -> Self {
        let alias = name.into();
        let is_diet = |component: &Component| matches!(component, Component::DietClassifier { .. });
        let place = self.components.iter().position(is_diet).unwrap_or(self.components.len());
        if let Some(Component::DietClassifier { featurizers, .. }) = self.components.get_mut(place)
            && !featurizers.is_empty()
        {
            featurizers.push(alias.clone());
        }
        let config = FeaturizerConfig::Custom(CustomConfig::new(alias.clone()));
        self.components.insert(place, Component::Featurizer { alias, config });
        self
    }

    /// With this custom post-processor, without options, as the last component.
    #[must_use]
    pub fn with_post_processor(mut self, name: impl Into<String>) -> Self {
        self.components.push(Component::PostProcessor(CustomConfig::new(name)));
        self
    }
}
