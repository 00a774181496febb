use super::*;

const START: &str = "pipeline:\n- name: WhitespaceTokenizer\n";

fn error(rest: &str) -> String {
    PipelineConfig::from_yaml(&format!("{START}{rest}"), "config.yml").unwrap_err().to_string()
}

#[test]
fn the_recipes_are_valid() {
    for recipe in Recipe::ALL {
        assert_eq!(recipe.config().validate(recipe.name()).map_err(|error| error.to_string()), Ok(()));
    }
    assert!(Recipe::find("rasa").is_some() && Recipe::find("none").is_none());
}

#[test]
fn unknown_things_are_named_and_the_known_ones_listed() {
    assert!(error("- name: Oracle\n").contains("unknown component `Oracle`"));
    assert!(error("- name: Oracle\n").contains("DIETClassifier"));
    let message = error("- name: DIETClassifier\n  epoch: 3\n");
    assert!(message.contains("unknown option `epoch`") && message.contains("`epochs`"), "{message}");
    let message = error("- name: DIETClassifier\n  epochs: many\n");
    assert!(
        message.contains("config.yml: component DIETClassifier: option `epochs`: invalid type"),
        "{message}"
    );
    let message = error("- name: EntitySynonymMapper\n  epochs: 1\n");
    assert!(
        message.ends_with("component EntitySynonymMapper: unknown option `epochs`; there are none"),
        "{message}"
    );
    let message = error("- name: FallbackClassifier\n  threshold: 2\n");
    assert!(message.ends_with("option `threshold` must lie between 0 and 1"), "{message}");
    let message = error("- name: WordVectorsFeaturizer\n  path: a\n  file: b\n");
    assert!(message.contains("unknown option `file`; known are"), "{message}");
    let message = error("- name: CountVectorsFeaturizer\n  analyser: word\n");
    assert!(message.contains("unknown option `analyser`, did you mean `analyzer`?"), "{message}");
}

#[test]
fn options_that_make_no_sense_name_the_file() {
    let start = |component| format!("config.yml: component {component}: option ");
    for (component, options, expected) in [
        ("CountVectorsFeaturizer", "min_ngram: 3", "`min_ngram` must be at least 1 and at most `max_ngram`"),
        ("CountVectorsFeaturizer", "max_df: 1.5", "`max_df` must be a count, or a share between 0.0 and 1.0"),
        ("LexicalSyntacticFeaturizer", "features: []", "`features` needs at least one list"),
    ] {
        let message = error(&format!("- name: {component}\n  {options}\n"));
        assert!(message.starts_with(&(start(component) + expected)), "{message}");
    }
}

#[test]
fn components_must_fit_together() {
    assert!(error("- name: DIETClassifier\n").contains("there must be one at least"));
    assert!(error("- name: CountVectorsFeaturizer\n").contains("exactly one DIETClassifier"));
    let twice = "- name: WhitespaceTokenizer\n- name: CountVectorsFeaturizer\n- name: DIETClassifier\n";
    assert!(error(twice).contains("exactly one tokenizer"));
    let alias =
        "- name: CountVectorsFeaturizer\n  alias: words\n- name: DIETClassifier\n  featurizers: [chars]\n";
    assert!(error(alias).contains("called words"));
}

#[test]
fn module_paths_and_policies_are_accepted() {
    let yaml = "recipe: default.v1\nassistant_id: x\nlanguage: de\npolicies:\n- name: TEDPolicy\npipeline:\n\
        - name: rasa.nlu.tokenizers.whitespace_tokenizer.WhitespaceTokenizer\n\
        - name: CountVectorsFeaturizer\n  analyzer: char_wb\n  min_ngram: 1\n  max_ngram: 4\n\
        - name: DIETClassifier\n  epochs: 100\n  constrain_similarities: true\n  random_seed:\n";
    let config = PipelineConfig::from_yaml(yaml, "config.yml").unwrap();
    assert_eq!(config.language.as_deref(), Some("de"));
    assert_eq!(config.diet().training.epochs, 100);
}

#[test]
fn broken_yaml_names_the_line() {
    let message = PipelineConfig::from_yaml("pipeline:\n- name: [\n", "config.yml").unwrap_err().to_string();
    assert!(message.starts_with("config.yml: ") && message.contains("line"), "{message}");
}

#[test]
fn options_that_are_left_empty_or_have_no_effect_change_nothing() {
    let plain =
        "pipeline:\n- name: WhitespaceTokenizer\n- name: CountVectorsFeaturizer\n- name: DIETClassifier\n";
    let empty = plain
        .replace(
            "Featurizer\n",
            "Featurizer\n  analyzer:\n  alias:\n  use_lemma: true\n  use_shared_vocab: false\n",
        )
        .replace("Classifier\n", "Classifier\n  epochs:\n  featurizers:\n  use_gpu: false\n");
    let read = |yaml: &str| PipelineConfig::from_yaml(yaml, "config.yml").unwrap();
    assert_eq!(read(plain), read(&empty));
}

#[test]
fn an_unknown_option_is_refused_though_it_is_left_empty() {
    for component in ["WhitespaceTokenizer", "CountVectorsFeaturizer", "DIETClassifier", "FallbackClassifier"]
    {
        let yaml = format!("pipeline:\n- name: {component}\n  epocs:\n");
        let message = PipelineConfig::from_yaml(&yaml, "config.yml").unwrap_err().to_string();
        assert!(message.contains("unknown option `epocs`"), "{message}");
    }
}

#[test]
fn no_recipe_has_an_option_without_effect() {
    use crate::settings::Settings;

    for recipe in Recipe::ALL {
        assert_eq!(recipe.config().diet().without_effect(), [], "{}", recipe.name());
    }
}
