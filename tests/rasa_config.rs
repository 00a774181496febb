//! A `config.yml` of Rasa's trains as it is, and what is done otherwise is said, once, and kept on the card.

mod common;

use std::fs;

use common::{run, stderr, workplace};

const STANDARD: &str = "
recipe: default.v1
assistant_id: some-name
language: en
pipeline:
- name: WhitespaceTokenizer
- name: SpacyNLP
- name: RegexFeaturizer
- name: LexicalSyntacticFeaturizer
- name: CountVectorsFeaturizer
  use_lemma: true
- name: CountVectorsFeaturizer
  analyzer: char_wb
  min_ngram: 1
  max_ngram: 4
  use_lemma: true
- name: DIETClassifier
  epochs: 2
  constrain_similarities: true
- name: EntitySynonymMapper
- name: ResponseSelector
  epochs: 100
- name: FallbackClassifier
  threshold: 0.3
policies:
- name: MemoizationPolicy
";

#[test]
fn the_standard_pipeline_trains_and_says_what_it_leaves_out() {
    let folder = workplace(false);
    fs::write(folder.path().join("config.yml"), STANDARD).unwrap();
    let output =
        run(folder.path(), &["train", "nlu", "--data", "nlu.yml", "--config", "config.yml", "--out", "m"]);
    let talk = stderr(&output);
    assert!(output.status.success(), "{talk}");
    let card = fs::read_to_string(folder.path().join("m/README.md")).unwrap();
    for said in [
        "SpacyNLP is left out: it loads a language model",
        "CountVectorsFeaturizer: `use_lemma` has no effect here: words have no lemmas",
        "ResponseSelector: `epochs` has no effect here: DIETClassifier learns the response keys",
    ] {
        assert_eq!(talk.matches(&format!("warning: config.yml: {said}")).count(), 1, "{talk}");
        assert!(card.contains(&format!("- {said}")), "{card}");
    }
}

#[test]
fn a_configuration_without_a_pipeline_trains_the_default_recipe() {
    let folder = workplace(false);
    fs::write(
        folder.path().join("config.yml"),
        "recipe: default.v1\nlanguage: en\npipeline:\n# none\n\npolicies:\n",
    )
    .unwrap();
    let arguments =
        ["train", "nlu", "--data", "nlu.yml", "--config", "config.yml", "--epochs", "1", "--out", "m"];
    let output = run(folder.path(), &arguments);
    let talk = stderr(&output);
    assert!(output.status.success(), "{talk}");
    assert!(
        talk.contains("config.yml: there is no `pipeline`: that of the recipe `accurate` is used"),
        "{talk}"
    );
}

#[test]
fn an_expression_that_cannot_be_read_is_named_or_left_out() {
    let folder = workplace(false);
    let regexes = "- regex: code\n  examples: |\n    - \\b[A-Z]{2}(?!\\d{3})\\d{2}\\b\n    - [A-Z]{2}[[]?\\d+\n    - \\d+\\Z\n    - a\\q\n";
    fs::write(folder.path().join("nlu.yml"), format!("{}{regexes}", common::DATA)).unwrap();
    let config = |option: &str| STANDARD.replace("RegexFeaturizer\n", &format!("RegexFeaturizer\n{option}"));
    let train = |config: String| {
        fs::write(folder.path().join("config.yml"), config).unwrap();
        run(folder.path(), &["train", "nlu", "--data", "nlu.yml", "--config", "config.yml", "--out", "m"])
    };
    let line = common::DATA.lines().count() + 6;
    let place =
        format!("nlu.yml:{line}: the expression `a\\q` of regex `code` cannot be used: `\\q` means nothing");
    let refused = train(config(""));
    assert!(!refused.status.success() && stderr(&refused).contains(&place), "{}", stderr(&refused));
    let output = train(config("  skip_invalid_regexes: true\n"));
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains(&format!("warning: {place}")), "{}", stderr(&output));
}
