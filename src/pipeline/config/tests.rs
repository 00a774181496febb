use super::*;

const START: &str = "pipeline:\n- name: WhitespaceTokenizer\n";

fn error(rest: &str) -> String {
    PipelineConfig::from_yaml(&format!("{START}{rest}"), "config.yml").unwrap_err().to_string()
}

#[test]
fn the_recipes_are_valid() {
    for recipe in Recipe::ALL {
        assert_eq!(recipe.config().validate(recipe.name()).map_err(|error| error.to_string()), Ok(()));
        assert_eq!(recipe.config().warnings, []);
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
        ("CountVectorsFeaturizer", "max_ngram: 1000000", "`max_ngram` must be at most 100"),
        ("DIETClassifier", "epochs: 9000000000000000000", "`epochs` must be between 1 and 1000000"),
        ("DIETClassifier", "batch_size: [1, 1000000000000]", "`batch_size` must be between 1 and 1000000"),
        (
            "DIETClassifier",
            "number_of_transformer_layers: 64\n  transformer_size: 8192",
            "`number_of_transformer_layers` with this transformer_size has more than two billion weights",
        ),
        (
            "LanguageModelFeaturizer",
            "path: a\n  fine_tune_epochs: 100000",
            "`fine_tune_epochs` must be at least 1 and at most 10,000",
        ),
    ] {
        let message = error(&format!("- name: {component}\n  {options}\n"));
        assert!(message.starts_with(&(start(component) + expected)), "{message}");
    }
    let lists = format!("  features: [{}]\n", "[low],".repeat(100));
    let message = error(&format!("- name: LexicalSyntacticFeaturizer\n{lists}"));
    assert!(message.contains("`features` must have at most 99 lists"), "{message}");
    let layers = format!("  hidden_layers_sizes: {{text: [{}], label: []}}\n", "8,".repeat(65));
    let message = error(&format!("- name: DIETClassifier\n{layers}"));
    assert!(message.contains("`hidden_layers_sizes` must have at most 64 layers"), "{message}");
}

#[test]
fn files_that_are_too_long_or_too_deep_are_refused() {
    assert!(error(&"- name: EntitySynonymMapper\n".repeat(100)).contains("101 components are too many"));
    assert!(error(&"#".repeat(5 << 20)).contains("bytes are too many for a pipeline"));
    let deep =
        format!("- name: FallbackClassifier\n  threshold: {}{}\n", "[".repeat(10_000), "]".repeat(10_000));
    assert!(error(&deep).starts_with("config.yml: "));
    let laughs: Vec<String> =
        (1..40).map(|at| format!("  a{at}: &a{at} [*a{0}, *a{0}, *a{0}]\n", at - 1)).collect();
    let laughs = laughs.concat();
    assert!(
        error(&format!("- name: FallbackClassifier\n  a0: &a0 [1, 1]\n{laughs}")).starts_with("config.yml: ")
    );
    // A name this long is compared with none that exists, which would take its time.
    let long = format!("- name: FallbackClassifier\n  ? {}\n  : 1\n", "x".repeat(3 << 20));
    assert!(error(&long).contains("unknown option"));
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
    assert_eq!(read(plain).components, read(&empty).components);
    let warnings: Vec<String> = read(&empty).warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "CountVectorsFeaturizer: `use_lemma` has no effect here: words have no lemmas",
            "DIETClassifier: `use_gpu` has no effect here: `--device` says what computes",
        ]
    );
    assert_eq!(read(plain).warnings, []);
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

/// The names of components, and the warnings, of a file.
fn read(pipeline: &str) -> (Vec<String>, Vec<String>) {
    let config = PipelineConfig::from_yaml(pipeline, "config.yml").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.validate("config.yml").map_err(|error| error.to_string()), Ok(()));
    let name = |component: &Component| match component {
        Component::Featurizer { alias, .. } | Component::DenseFeaturizer { alias, .. } => alias.clone(),
        other => format!("{other:?}").split(['(', ' ']).next().unwrap_or_default().to_owned(),
    };
    let warnings = config.warnings.iter().map(ToString::to_string).collect();
    (config.components.iter().map(name).collect(), warnings)
}

#[test]
fn a_file_without_a_pipeline_gets_the_default_recipe() {
    for pipeline in
        ["", "pipeline:\n", "pipeline: []\n", "pipeline:\n# - name: WhitespaceTokenizer\n\npolicies:\n"]
    {
        let yaml = format!("recipe: default.v1\nassistant_id: x\nlanguage: no\n{pipeline}");
        let config = PipelineConfig::from_yaml(&yaml, "config.yml").unwrap();
        assert_eq!(config.components, Recipe::accurate().components);
        assert_eq!(config.language.as_deref(), Some("no"));
        assert_eq!(
            config.warnings[0].to_string(),
            "there is no `pipeline`: that of the recipe `accurate` is used"
        );
    }
}

#[test]
fn the_standard_pipeline_of_rasa_is_read() {
    let (components, warnings) = read(
        "pipeline:\n- name: WhitespaceTokenizer\n- name: RegexFeaturizer\n- name: LexicalSyntacticFeaturizer\n\
         - name: CountVectorsFeaturizer\n- name: CountVectorsFeaturizer\n  analyzer: char_wb\n  min_ngram: 1\n  max_ngram: 4\n\
         - name: DIETClassifier\n  epochs: 100\n  constrain_similarities: true\n- name: EntitySynonymMapper\n\
         - name: ResponseSelector\n  epochs: 100\n  constrain_similarities: true\n  retrieval_intent: faq\n\
         - name: FallbackClassifier\n  threshold: 0.3\n  ambiguity_threshold: 0.1\n",
    );
    assert_eq!(components[6..], ["EntitySynonymMapper", "ResponseSelector", "FallbackClassifier"]);
    assert_eq!(
        warnings,
        ["ResponseSelector: `constrain_similarities`, `epochs` have no effect here: \
          DIETClassifier learns the response keys as it learns intents"]
    );
    let message = error("- name: ResponseSelector\n  epocs: 1\n");
    assert!(message.contains("did you mean `epochs`?"), "{message}");
}

#[test]
fn what_is_not_here_is_served_by_what_is() {
    let (components, warnings) = read(
        "pipeline:\n- name: SpacyNLP\n  model: de_core_news_md\n- name: SpacyTokenizer\n  intent_split_symbol: +\n  x: 1\n\
         - name: SpacyFeaturizer\n- name: RegexFeaturizer\n- name: CRFEntityExtractor\n  features: [[low]]\n\
         - name: EntitySynonymMapper\n- name: SklearnIntentClassifier\n- name: DucklingEntityExtractor\n  url: x\n",
    );
    let expected = [
        "WhitespaceTokenizer", "RegexFeaturizer", "CountVectorsFeaturizer", "CountVectorsFeaturizer",
        "CountVectorsFeaturizer", "PieceVectorsFeaturizer", "DietClassifier", "EntitySynonymMapper",
    ];
    assert_eq!(components, expected);
    let starts = [
        "SpacyNLP is left out: ",
        "SpacyTokenizer: `x` has no effect here: ",
        "WhitespaceTokenizer serves for SpacyTokenizer: ",
        "SpacyFeaturizer is left out: its word vectors are lost; ",
        "DucklingEntityExtractor is left out: ",
        "DIETClassifier serves for CRFEntityExtractor: it learns the entities",
        "DIETClassifier serves for SklearnIntentClassifier: it learns the intents",
        "CountVectorsFeaturizer was added: ",
    ];
    assert_eq!(warnings.len(), starts.len(), "{warnings:#?}");
    for (warning, start) in warnings.iter().zip(starts) {
        assert!(warning.starts_with(start) && !warning.contains('\n'), "{warning}");
    }
}

#[test]
fn diet_learns_what_other_components_would_have_learnt_and_no_more() {
    let start = "pipeline:\n- name: WhitespaceTokenizer\n- name: CountVectorsFeaturizer\n";
    for (rest, intents, entities) in [
        ("- name: LogisticRegressionClassifier\n", true, false),
        ("- name: CRFEntityExtractor\n", false, true),
        ("- name: CRFEntityExtractor\n- name: KeywordIntentClassifier\n", true, true),
        ("- name: DIETClassifier\n  entity_recognition: false\n", true, false),
        ("- name: DIETClassifier\n  entity_recognition: false\n- name: CRFEntityExtractor\n", true, true),
    ] {
        let config = PipelineConfig::from_yaml(&format!("{start}{rest}"), "config.yml").unwrap();
        assert_eq!(
            (config.diet().intents.enabled, config.diet().entities.enabled),
            (intents, entities),
            "{rest}"
        );
    }
}

#[test]
fn every_component_of_rasa_trains_on_its_own() {
    for kind in components::KINDS {
        let source = if kind.name == "WordVectorsFeaturizer" { "  path: x\n" } else { "" };
        let yaml = format!("pipeline:\n- name: SpacyNLP\n- name: {}\n{source}", kind.name);
        let (components, warnings) = read(&yaml);
        assert!(components.iter().any(|name| name == "DietClassifier"), "{}", kind.name);
        assert!(warnings.iter().all(|warning| !warning.ends_with('.')), "{warnings:?}");
    }
}

#[test]
fn a_component_of_ones_own_in_python_is_told_apart_from_a_misspelt_name() {
    let message = error("- name: my.module.DIETClassifier\n");
    assert!(message.contains("`my.module.DIETClassifier` is a Python class of your own"), "{message}");
    let message = error("- name: DIETClasifier\n");
    assert!(
        message.contains("unknown component `DIETClasifier`") && message.contains("CRFEntityExtractor"),
        "{message}"
    );
}

#[test]
fn what_was_left_out_is_kept_with_the_configuration() {
    let config = PipelineConfig::from_yaml("language: en\n", "config.yml").unwrap();
    let again: PipelineConfig = serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
    assert_eq!(again, config);
    assert!(!serde_json::to_string(&Recipe::accurate()).unwrap().contains("warnings"));
}

/// The configurations of public projects, where this checkout has them.
#[test]
fn files_of_public_projects_are_read_or_refused_for_a_reason() {
    let shared = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folders = ["dialogue", "formats/rasa_3.6.13"].map(|folder| shared.join(folder));
    if !folders[0].is_dir() {
        eprintln!("skipped: there is no {}", folders[0].display());
        return;
    }
    let (mut open, mut read) = (folders.to_vec(), 0);
    while let Some(path) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&path) else {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !(name.starts_with("config") && path.extension().is_some_and(|end| end == "yml")) {
                continue;
            }
            let yaml = std::fs::read_to_string(&path).unwrap();
            match PipelineConfig::from_yaml(&yaml, &path.display().to_string()) {
                Ok(_) => read += 1,
                Err(error) => eprintln!("{error}"),
            }
            continue;
        };
        open.extend(entries.map(|entry| entry.unwrap().path()));
    }
    assert!(read > 10, "{read}");
}

#[test]
fn other_keys_are_named_and_misspelt_ones_refused() {
    let read = |yaml: &str| PipelineConfig::from_yaml(yaml, "config.yml");
    let config = read("language: en\nsession_config: {a: 1}\ndata: x\n").unwrap();
    assert_eq!(config.warnings[0].to_string(), "the key `session_config` means nothing here");
    assert_eq!(config.warnings.len(), 2);
    for (yaml, expected) in [
        ("pipelines: []\n", "unknown key `pipelines`, did you mean `pipeline`?"),
        ("nlu: []\n", "this is no configuration"),
        ("pipeline: supervised_embeddings\n", "`pipeline` is \"supervised_embeddings\"; list its components"),
        ("pipeline:\n- WhitespaceTokenizer\n", "each entry of `pipeline` needs a `name`"),
    ] {
        let message = read(yaml).unwrap_err().to_string();
        assert!(message.starts_with("config.yml: ") && message.contains(expected), "{message}");
    }
}
