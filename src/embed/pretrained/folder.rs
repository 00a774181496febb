//! A folder in the layout of Hugging Face or sentence-transformers.
//!
//! ```text
//! config.json  model.safetensors  tokenizer.json            a plain encoder
//! modules.json → 0: Transformer  1: Pooling  2: Dense …     sentence-transformers, which say what comes after it
//! ```
//!
//! Since its release 5.4 sentence-transformers writes other names into these files. Both are read.

use serde::Deserialize;
use serde_json::{Map as JsonMap, Value};

use super::parts::Map;
use super::weights::WeightFiles;
use crate::embed::{EmbedError, Pooling, Source};
use crate::kernels::Activation;

/// The settings in a folder, apart from the encoder itself.
#[derive(Debug)]
pub(super) struct Folder {
    /// Where the encoder is: nothing, or the name of a folder and a slash.
    pub(super) encoder: String,
    /// The vectors of a text, to be concatenated.
    pub(super) poolings: Vec<Pooling>,
    /// What happens to the pooled vector.
    pub(super) stages: Vec<Stage>,
    /// Whether it is scaled to length one after that.
    pub(super) normalize: bool,
    /// The longest text in tokens, if the folder limits it.
    pub(super) longest: Option<usize>,
    /// Whether texts are lower-cased, whatever the tokenizer does.
    pub(super) lower_case: bool,
}

/// What happens to the pooled vector.
#[derive(Debug)]
pub(super) enum Stage {
    /// Scales it to length one.
    Normalize,
    /// `activation(x·Wᵀ + b)`
    Dense { map: Map, activation: Activation },
}

#[derive(Deserialize)]
struct Module {
    #[serde(default)]
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

/// `sentence_bert_config.json`: the first three keys since release 5.4, the last two before.
#[derive(Default, Deserialize)]
#[serde(default)]
struct SentenceConfig {
    transformer_task: Option<String>,
    module_output_name: Option<String>,
    processing_kwargs: Option<JsonMap<String, Value>>,
    max_seq_length: Option<usize>,
    do_lower_case: Option<bool>,
}

#[derive(Deserialize)]
struct PromptConfig {
    default_prompt_name: Option<String>,
}

#[derive(Deserialize)]
struct TokenizerConfig {
    // A huge number stands for none, sometimes larger than any integer.
    model_max_length: Option<f64>,
}

/// What a module reads and writes, where it says so.
#[derive(Deserialize)]
struct Between {
    module_input_name: Option<String>,
    module_output_name: Option<String>,
}

#[derive(Deserialize)]
struct DenseConfig {
    in_features: usize,
    out_features: usize,
    #[serde(default = "yes")]
    bias: bool,
    #[serde(default = "tanh")]
    activation_function: String,
    #[serde(default)]
    use_residual: bool,
}

fn yes() -> bool {
    true
}

fn tanh() -> String {
    "Tanh".to_owned()
}

/// The poolings by their names since release 5.4, in the order in which the files before say them: `pooling_mode_` and the
/// second name.
const POOLINGS: [(&str, &str, Pooling); 6] = [
    ("cls", "cls_token", Pooling::Cls),
    ("max", "max_tokens", Pooling::Max),
    ("mean", "mean_tokens", Pooling::Mean),
    ("mean_sqrt_len_tokens", "mean_sqrt_len_tokens", Pooling::MeanSqrtLen),
    ("weightedmean", "weightedmean_tokens", Pooling::WeightedMean),
    ("lasttoken", "lasttoken", Pooling::LastToken),
];

/// The activation functions of a Dense module by their classes in `torch.nn`, without parameters.
const ACTIVATIONS: [(&str, Activation); 9] = [
    ("Tanh", Activation::Tanh),
    ("Identity", Activation::Identity),
    ("ReLU", Activation::Relu),
    ("GELU", Activation::Gelu),
    ("SiLU", Activation::Silu),
    ("Sigmoid", Activation::Sigmoid),
    ("LeakyReLU", Activation::LeakyRelu),
    ("ELU", Activation::Elu),
    ("Dropout", Activation::Identity), // which drops nothing outside training
];

/// How sentence-transformers call the file with their own settings; the first releases named it after the family.
pub(crate) const SENTENCE_CONFIGS: [&str; 5] = [
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_xlm-roberta_config.json",
];

/// Modules, poolings and the like beyond these are no encoder that anyone made.
const MOST: usize = 64;

/// The widest vector that a Dense module may take or give.
const WIDEST: usize = 1 << 16;

impl Folder {
    const MODULES: &'static str = "modules.json";

    /// Whether this is the folder of an encoder.
    pub(super) fn is(source: &Source) -> bool {
        ["config.json", Self::MODULES].iter().any(|file| source.has(file))
    }

    /// Reads the settings in a folder.
    pub(super) fn read(source: &Source) -> Result<Self, EmbedError> {
        let mut folder = Self {
            encoder: String::new(),
            poolings: Vec::new(),
            stages: Vec::new(),
            normalize: false,
            longest: None,
            lower_case: false,
        };
        if source.has(Self::MODULES) {
            let modules: Vec<Module> = source.json(Self::MODULES)?;
            if modules.len() > MOST {
                let problem = format!("{} modules are too many; at most {MOST} are read", modules.len());
                return Err(EmbedError::file(source.file(Self::MODULES), problem));
            }
            for module in modules {
                folder.add(source, &module)?;
            }
        }
        if folder.poolings.is_empty() {
            folder.poolings.push(Pooling::Mean);
        }
        // The options of an embedder may say otherwise about the last step, and only about that one.
        while matches!(folder.stages.last(), Some(Stage::Normalize)) {
            folder.stages.pop();
            folder.normalize = true;
        }
        folder.read_sentence_config(source)?;
        let prompts = "config_sentence_transformers.json";
        if source.has(prompts)
            && let Some(name) = source.json::<PromptConfig>(prompts)?.default_prompt_name
        {
            let problem = format!(
                "it puts the prompt `{name}` before every text, which is not supported; set `default_prompt_name` to null and write the prompt yourself"
            );
            return Err(EmbedError::file(source.file(prompts), problem));
        }
        let tokenizer = folder.encoder.clone() + "tokenizer_config.json";
        if folder.longest.is_none() && source.has(&tokenizer) {
            let longest = source.json::<TokenizerConfig>(&tokenizer)?.model_max_length;
            folder.longest =
                longest.filter(|longest| (1.0..1e6).contains(longest)).map(|longest| longest as usize);
        }
        Ok(folder)
    }

    fn add(&mut self, source: &Source, module: &Module) -> Result<(), EmbedError> {
        let wrong = |problem: String| Err(EmbedError::file(source.file(Self::MODULES), problem));
        let path = module.path.strip_suffix('/').unwrap_or(&module.path);
        let inside = |part: &str| {
            (1..=255).contains(&part.len()) && part != "." && part != ".." && !part.contains(['\\', ':'])
        };
        let is_place = path.split('/').all(inside) && path.split('/').count() <= 3;
        if !(path.is_empty() || is_place) {
            return wrong(format!("the path `{}` is no folder in this folder", module.path));
        }
        let place = if path.is_empty() { String::new() } else { format!("{path}/") };
        let config = format!("{place}config.json");
        let kind = module.kind.rsplit('.').next().unwrap_or_default();
        if matches!(kind, "Normalize" | "Dense") && self.poolings.is_empty() {
            return wrong(format!("the module `{kind}` stands before Pooling, which is not supported"));
        }
        match kind {
            "Transformer" => self.encoder = place,
            "Pooling" if !self.poolings.is_empty() => {
                return wrong("there are two Pooling modules; one is supported".to_owned());
            }
            "Pooling" => self.poolings = read_poolings(source, &config)?,
            // Before 5.4 it had no file.
            "Normalize" => {
                if source.has(&config) {
                    check_between(source, &config)?;
                }
                self.stages.push(Stage::Normalize);
            }
            "Dense" => self.stages.push(read_dense(source, &place, &config)?),
            "Dropout" => {} // which drops nothing outside training
            other => {
                return wrong(format!(
                    "the module `{other}` is not supported; supported are Transformer, Pooling, Dense, Normalize and Dropout"
                ));
            }
        }
        Ok(())
    }

    fn read_sentence_config(&mut self, source: &Source) -> Result<(), EmbedError> {
        let file = SENTENCE_CONFIGS.map(|name| format!("{}{name}", self.encoder));
        let Some(file) = file.iter().find(|file| source.has(file)) else { return Ok(()) };
        let config: SentenceConfig = source.json(file)?;
        let wrong = |problem: String| Err(EmbedError::file(source.file(file), problem));
        if let Some(task) = config.transformer_task.filter(|task| task != "feature-extraction") {
            return wrong(format!("`transformer_task` is `{task}`; supported is feature-extraction"));
        }
        if let Some(name) = config.module_output_name.filter(|name| name != "token_embeddings") {
            return wrong(format!("`module_output_name` is `{name}`; supported is token_embeddings"));
        }
        self.longest = config.max_seq_length;
        for (kind, options) in config.processing_kwargs.unwrap_or_default() {
            for (option, value) in options.as_object().into_iter().flatten() {
                match (&kind[..], &option[..], value.as_u64()) {
                    ("text" | "common", "max_length", Some(most)) => {
                        self.longest = usize::try_from(most).ok();
                    }
                    (
                        "text" | "common",
                        "truncation" | "padding" | "pad_to_multiple_of" | "return_tensors",
                        _,
                    ) => {}
                    ("text" | "common", ..) => {
                        return wrong(format!(
                            "`{option}` in `processing_kwargs` is not supported; remove it"
                        ));
                    }
                    _ => {}
                }
            }
        }
        self.lower_case = config.do_lower_case.unwrap_or(false);
        Ok(())
    }
}

fn read_poolings(source: &Source, file: &str) -> Result<Vec<Pooling>, EmbedError> {
    let wrong = |problem: String| EmbedError::file(source.file(file), problem);
    let config: JsonMap<String, Value> = source.json(file)?;
    let names = POOLINGS.map(|(name, ..)| name);
    let named = |name: &Value| {
        let found = POOLINGS.iter().find(|(known, ..)| name.as_str() == Some(known));
        found
            .map(|(.., pooling)| *pooling)
            .ok_or_else(|| wrong(format!("`pooling_mode` is {name}; supported are {}", names.join(", "))))
    };
    let poolings = match config.get("pooling_mode") {
        Some(Value::Array(several)) if several.len() > MOST => {
            return Err(wrong(format!("{} poolings are too many; at most {MOST} are read", several.len())));
        }
        Some(Value::Array(several)) => several.iter().map(named).collect::<Result<_, _>>()?,
        Some(one) => vec![named(one)?],
        None => {
            let is_on = |key: &str| config.get(key).is_some_and(|on| *on == Value::Bool(true));
            let old = POOLINGS.iter().map(|(_, old, pooling)| (format!("pooling_mode_{old}"), *pooling));
            let known: Vec<(String, Pooling)> = old.collect();
            let unknown = config.keys().find(|key| {
                key.starts_with("pooling_mode_") && is_on(key) && !known.iter().any(|(name, _)| name == *key)
            });
            if let Some(unknown) = unknown {
                return Err(wrong(format!(
                    "`{unknown}` is not supported; supported are {}",
                    names.join(", ")
                )));
            }
            known.into_iter().filter(|(key, _)| is_on(key)).map(|(_, pooling)| pooling).collect()
        }
    };
    // With none of them, sentence-transformers takes the mean.
    Ok(if poolings.is_empty() { vec![Pooling::Mean] } else { poolings })
}

/// Refuses a module between anything else than vectors of texts.
fn check_between(source: &Source, file: &str) -> Result<(), EmbedError> {
    let between: Between = source.json(file)?;
    let names = [between.module_input_name, between.module_output_name];
    match names.into_iter().flatten().find(|name| name != "sentence_embedding") {
        Some(name) => {
            let problem = format!("the module works on `{name}`; supported is sentence_embedding");
            Err(EmbedError::file(source.file(file), problem))
        }
        None => Ok(()),
    }
}

fn read_dense(source: &Source, place: &str, file: &str) -> Result<Stage, EmbedError> {
    let wrong = |problem: String| Err(EmbedError::file(source.file(file), problem));
    check_between(source, file)?;
    let config: DenseConfig = source.json(file)?;
    let (input, output) = (config.in_features, config.out_features);
    if !(1..=WIDEST).contains(&input) || !(1..=WIDEST).contains(&output) {
        return wrong(format!(
            "`in_features` {input} and `out_features` {output} must lie between 1 and {WIDEST}"
        ));
    }
    if config.use_residual {
        return wrong("`use_residual` is not supported".to_owned());
    }
    let class = config.activation_function.rsplit('.').next().unwrap_or_default();
    let Some((_, activation)) = ACTIVATIONS.iter().find(|(name, _)| *name == class) else {
        let names = ACTIVATIONS.map(|(name, _)| name);
        let problem = format!(
            "`activation_function` is `{}`; supported are {}",
            config.activation_function,
            names.join(", ")
        );
        return wrong(problem);
    };
    let pickle = format!("{place}pytorch_model.bin");
    if source.has(&pickle) && !source.has(&format!("{place}model.safetensors")) {
        let problem = "a pickle can run code and is never opened; save the folder again, in Python: \
             `from sentence_transformers import SentenceTransformer; SentenceTransformer(FOLDER).save(FOLDER)`";
        return Err(EmbedError::file(source.file(&pickle), problem));
    }
    let files = WeightFiles::open(source, place, "Dense", "linear.weight")?;
    let weight = files.values("linear.weight", &[output, input])?;
    let bias = if config.bias { files.values("linear.bias", &[output])? } else { vec![0.0; output] };
    Ok(Stage::Dense { map: Map { weight, bias }, activation: *activation })
}
