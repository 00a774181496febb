//! A folder in the layout of Hugging Face or sentence-transformers.
//!
//! ```text
//! config.json  model.safetensors  tokenizer.json            a plain encoder
//! modules.json → 0: Transformer  1: Pooling  2: Normalize   sentence-transformers, which say what comes after it
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::embed::{EmbedError, Pooling};

/// The settings in a folder, apart from the encoder itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Folder {
    /// Where the encoder is.
    pub(super) encoder: PathBuf,
    pub(super) pooling: Pooling,
    pub(super) normalize: bool,
    /// The longest text in tokens, if the folder limits it.
    pub(super) longest: Option<usize>,
}

#[derive(Deserialize)]
struct Module {
    #[serde(default)]
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
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

#[derive(Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "the file has them so")]
struct PoolingConfig {
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
    #[serde(default)]
    pooling_mode_max_tokens: bool,
    #[serde(default)]
    pooling_mode_mean_sqrt_len_tokens: bool,
    #[serde(default)]
    pooling_mode_weightedmean_tokens: bool,
    #[serde(default)]
    pooling_mode_lasttoken: bool,
}

impl Folder {
    /// Whether this is the folder of an encoder.
    pub(super) fn is(path: &Path) -> bool {
        ["config.json", "modules.json"].iter().any(|file| path.join(file).is_file())
    }

    /// Reads the settings in a folder.
    pub(super) fn read(path: &Path) -> Result<Self, EmbedError> {
        let modules = path.join("modules.json");
        let mut folder =
            Self { encoder: path.to_owned(), pooling: Pooling::Mean, normalize: false, longest: None };
        if modules.is_file() {
            for module in read_json::<Vec<Module>>(&modules)? {
                folder.add(path, &modules, &module)?;
            }
        }
        let sentences = folder.encoder.join("sentence_bert_config.json");
        if sentences.is_file() {
            let config = read_json::<SentenceConfig>(&sentences)?;
            folder.longest = config.max_seq_length;
            if config.do_lower_case {
                let problem = "`do_lower_case` is not supported; set it to false if the tokenizer lowers letters itself";
                return Err(EmbedError::file(sentences, problem));
            }
        }
        let prompts = path.join("config_sentence_transformers.json");
        if prompts.is_file()
            && let Some(name) = read_json::<PromptConfig>(&prompts)?.default_prompt_name
        {
            let problem = format!(
                "it puts the prompt `{name}` before every text, which is not supported; set `default_prompt_name` to null and write the prompt yourself"
            );
            return Err(EmbedError::file(prompts, problem));
        }
        let tokenizer = folder.encoder.join("tokenizer_config.json");
        if folder.longest.is_none() && tokenizer.is_file() {
            let longest = read_json::<TokenizerConfig>(&tokenizer)?.model_max_length;
            folder.longest =
                longest.filter(|longest| (1.0..1e6).contains(longest)).map(|longest| longest as usize);
        }
        Ok(folder)
    }

    fn add(&mut self, root: &Path, file: &Path, module: &Module) -> Result<(), EmbedError> {
        let inside =
            Path::new(&module.path).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if !inside {
            let problem = format!("the path `{}` leads out of the folder", module.path);
            return Err(EmbedError::file(file, problem));
        }
        let place = if module.path.is_empty() { root.to_owned() } else { root.join(&module.path) };
        match module.kind.rsplit('.').next().unwrap_or_default() {
            "Transformer" => self.encoder = place,
            "Pooling" => self.pooling = read_pooling(&place.join("config.json"))?,
            "Normalize" => self.normalize = true,
            other => {
                let problem = format!(
                    "the module `{other}` is not supported; supported are Transformer, Pooling and Normalize"
                );
                return Err(EmbedError::file(file, problem));
            }
        }
        Ok(())
    }
}

fn read_pooling(path: &Path) -> Result<Pooling, EmbedError> {
    let config: PoolingConfig = read_json(path)?;
    let modes = [
        (config.pooling_mode_cls_token, Some(Pooling::Cls)),
        (config.pooling_mode_mean_tokens, Some(Pooling::Mean)),
        (config.pooling_mode_max_tokens, Some(Pooling::Max)),
        (config.pooling_mode_mean_sqrt_len_tokens, None),
        (config.pooling_mode_weightedmean_tokens, None),
        (config.pooling_mode_lasttoken, None),
    ];
    let wanted: Vec<Option<Pooling>> = modes.iter().filter(|(on, _)| *on).map(|(_, mode)| *mode).collect();
    match wanted[..] {
        [Some(pooling)] => Ok(pooling),
        _ => Err(EmbedError::file(
            path,
            "exactly one of the poolings cls_token, mean_tokens and max_tokens must be on",
        )),
    }
}

pub(super) fn read_text(path: &Path) -> Result<String, EmbedError> {
    let bytes = fs::read(path).map_err(EmbedError::io(path))?;
    String::from_utf8(bytes).map_err(|_| EmbedError::file(path, "not valid UTF-8; download it again"))
}

pub(super) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, EmbedError> {
    serde_json::from_str(&read_text(path)?).map_err(|error| EmbedError::file(path, error))
}
