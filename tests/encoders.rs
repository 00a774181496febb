//! Pretrained encoders agree with transformers, alone and in batches, and say what is wrong with a folder.
//!
//! The tiny encoders and what is expected of them are made by `tests/golden/encoders.py`.

mod common;

use std::fs;
use std::path::PathBuf;

use common::{copy_encoder, encoder as folder};
use ndarray::Array2;
use serde_json::Value;
use talkformer::embed::{EmbedOptions, Embedder, LongTexts, Pooling, Precision, pretrained_block};
use talkformer::ndarray;

const FAMILIES: [&str; 4] = ["bert", "distilbert", "roberta", "mpnet"];

fn options(threads: usize, pooling: Pooling) -> EmbedOptions {
    EmbedOptions::default().threads(threads).pooling(Some(pooling))
}

/// A text, its tokens, the row of each and the attention of the last layer.
struct Expected {
    text: String,
    ids: Vec<u32>,
    rows: Array2<f32>,
    /// `[head][query][key]`
    attention: Vec<Vec<Vec<f32>>>,
}

fn expected(family: &str) -> Vec<Expected> {
    let text = fs::read_to_string(folder(family).join("expected.json")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    let one = |value: &Value| {
        let rows: Vec<Vec<f32>> = serde_json::from_value(value["rows"].clone()).unwrap();
        let shape = (rows.len(), rows[0].len());
        Expected {
            text: value["text"].as_str().unwrap().to_owned(),
            ids: serde_json::from_value(value["ids"].clone()).unwrap(),
            rows: Array2::from_shape_vec(shape, rows.concat()).unwrap(),
            attention: serde_json::from_value(value["attention"].clone()).unwrap(),
        }
    };
    all["texts"].as_array().unwrap().iter().map(one).collect()
}

#[track_caller]
fn close<'a>(
    found: impl IntoIterator<Item = &'a f32>,
    expected: impl IntoIterator<Item = &'a f32>,
    most: f32,
    what: &str,
) {
    let (found, expected): (Vec<_>, Vec<_>) = (found.into_iter().collect(), expected.into_iter().collect());
    assert_eq!(found.len(), expected.len(), "{what}");
    let wrong = found.iter().zip(&expected).map(|(a, b)| (*a - *b).abs()).fold(0.0, f32::max);
    assert!(wrong <= most, "{what}: off by {wrong:e}");
}

#[test]
fn every_family_agrees_with_transformers_for_any_number_of_threads() {
    for family in FAMILIES {
        let expected = expected(family);
        for threads in [1, 2, 3] {
            for pooling in [Pooling::Mean, Pooling::Max, Pooling::Cls] {
                let embedder = Embedder::open(folder(family), &options(threads, pooling)).unwrap();
                for one in &expected {
                    let pooled = match pooling {
                        Pooling::Mean => one.rows.mean_axis(ndarray::Axis(0)).unwrap(),
                        Pooling::Max => one.rows.map_axis(ndarray::Axis(0), |column| {
                            column.iter().copied().fold(f32::NEG_INFINITY, f32::max)
                        }),
                        Pooling::Cls => one.rows.row(0).to_owned(),
                    };
                    let found = embedder.embed(&[&one.text]).unwrap().vectors;
                    let what = format!("{family}, {threads} threads, {pooling:?}: {}", one.text);
                    close(&found, &pooled, 2e-5, &what);
                    let tokens = embedder.embed_tokens(&one.text).unwrap().vectors;
                    let inner = one.rows.slice(ndarray::s![1..one.rows.nrows() - 1, ..]);
                    close(&tokens, inner, 2e-5, &what);
                }
            }
        }
    }
}

#[test]
fn the_learnable_block_agrees_as_well() {
    use candle_core::{DType, Device};
    use talkformer::nn::{Pass, Segments};

    for family in FAMILIES {
        // Blocks have no other activation than GELU, which DistilBERT here has not.
        let block = pretrained_block(folder(family), DType::F64, &Device::Cpu);
        if family == "distilbert" {
            assert!(block.unwrap_err().to_string().contains("gelu"));
            continue;
        }
        let block = block.unwrap();
        for one in expected(family) {
            let segments = Segments::from_lengths([one.ids.len()]);
            let rows = block.forward(&one.ids, &segments, &Pass::inference()).unwrap();
            let rows = rows.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            close(&rows, &one.rows, 2e-5, family);
        }
    }
}

#[test]
fn attention_comes_out_as_transformers_has_it() {
    for family in FAMILIES {
        let embedder = Embedder::open(folder(family), &options(2, Pooling::Mean)).unwrap();
        for one in expected(family) {
            let maps = embedder.attention(&one.text).unwrap();
            assert_eq!((maps.layers.len(), maps.labels.len()), (2, one.ids.len()));
            let last = one.attention.iter().flatten().flatten();
            close(&maps.layers[1], last, 1e-5, &one.text);
        }
    }
}

#[test]
fn a_text_has_the_same_vector_in_any_company() {
    for family in FAMILIES {
        let texts: Vec<String> = expected(family).into_iter().map(|one| one.text).collect();
        let many: Vec<&String> = texts.iter().cycle().take(300).collect();
        for threads in [1, 3] {
            let embedder = Embedder::open(folder(family), &options(threads, Pooling::Mean)).unwrap();
            let together = embedder.embed(&many).unwrap().vectors;
            for (text, row) in many.iter().zip(together.rows()) {
                close(row, &embedder.embed(&[text]).unwrap().vectors, 1e-5, family);
            }
        }
    }
}

#[test]
fn long_texts_are_cut_and_counted_or_split() {
    let long = "money in the bank of the river ".repeat(40);
    let open = |long_texts| {
        let options = options(2, Pooling::Mean).long_texts(long_texts);
        Embedder::open(folder("bert"), &options).unwrap()
    };
    let cut = open(LongTexts::Truncate);
    let found = cut.embed(&[&long[..], "money"]).unwrap();
    assert_eq!(found.truncated, 1);
    assert!(cut.embed_tokens(&long).unwrap().truncated);
    let cls = |long_texts| {
        let options = options(2, Pooling::Cls).long_texts(long_texts);
        Embedder::open(folder("bert"), &options).unwrap().embed(&[&long]).unwrap().vectors
    };
    assert_ne!(cls(LongTexts::Split), cls(LongTexts::Truncate));
    let split = open(LongTexts::Split);
    let tokens = split.embed_tokens(&long).unwrap();
    assert!(!tokens.truncated && tokens.spans.last().unwrap().end == long.trim_end().len());
    assert_ne!(split.embed(&[&long]).unwrap().vectors, found.vectors.slice(ndarray::s![..1, ..]));
    // A line of ten megabytes is as long as any other: only its beginning is looked at.
    let huge = "money in the bank ".repeat(600_000);
    close(&cut.embed(&[&huge]).unwrap().vectors, &cut.embed(&[&huge[..2000]]).unwrap().vectors, 1e-6, "huge");
    assert_eq!(cut.embed(&[&"x".repeat(10 << 20)]).unwrap().truncated, 1);
}

#[test]
fn spans_point_into_the_text() {
    for family in FAMILIES {
        let embedder = Embedder::open(folder(family), &options(1, Pooling::Mean)).unwrap();
        let text = "Café Zürich: naïve façade";
        for (span, _) in embedder.embed_tokens(text).unwrap().iter() {
            assert!(text.get(span.start..span.end).is_some(), "{family}: {span:?}");
        }
        let words: Vec<_> =
            talkformer::text::Tokenizer::tokenize(&talkformer::text::WhitespaceTokenizer::default(), text);
        let found = embedder.embed_words(&[text], std::slice::from_ref(&words), 1).unwrap().pop().unwrap();
        assert_eq!((found.text.len(), found.words.dim()), (12, (words.len(), 12)));
        assert!(found.words.rows().into_iter().all(|row| row.iter().any(|x| *x != 0.0)), "{family}");
    }
}

#[test]
fn products_of_bf16_are_nearly_right() {
    let exact = Embedder::open(folder("bert"), &options(1, Pooling::Mean)).unwrap();
    let options = options(1, Pooling::Mean).precision(Precision::Bf16);
    let rough = Embedder::open(folder("bert"), &options).unwrap();
    let [exact, rough] =
        [exact, rough].map(|embedder| embedder.embed(&["money in the bank"]).unwrap().vectors);
    close(&exact, &rough, 0.1, "bf16");
    #[cfg(target_arch = "x86_64")]
    assert_eq!(
        exact != rough,
        is_x86_feature_detected!("avx512bf16"),
        "products are rounded where there are such"
    );
}

/// A copy of a tiny encoder, to be spoilt.
struct Copy(tempfile::TempDir);

impl Copy {
    fn of(family: &str) -> Self {
        let copy = tempfile::tempdir().unwrap();
        copy_encoder(family, copy.path());
        Self(copy)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn change(&self, file: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(file)).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(self.path(file), text.replace(from, to)).unwrap();
    }

    fn open(&self) -> Result<Embedder, String> {
        Embedder::open(self.0.path(), &EmbedOptions::default()).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn refused(&self, words: &[&str]) {
        let error = self.open().unwrap_err();
        for word in words {
            assert!(error.contains(word), "`{word}` is not in: {error}");
        }
    }
}

#[test]
fn what_is_missing_or_does_not_fit_is_named() {
    for (file, hint) in [("tokenizer.json", "AutoTokenizer"), ("model.safetensors", "download")] {
        let copy = Copy::of("bert");
        fs::remove_file(copy.path(file)).unwrap();
        copy.refused(&["there is no", file, hint]);
    }
    let copy = Copy::of("bert");
    fs::remove_file(copy.path("config.json")).unwrap();
    copy.refused(&["no model to embed with", "config.json"]);

    let copy = Copy::of("bert");
    fs::rename(copy.path("model.safetensors"), copy.path("pytorch_model.bin")).unwrap();
    copy.refused(&["pytorch_model.bin", "pickle", "safe_serialization=True"]);

    let copy = Copy::of("bert");
    copy.change("config.json", "\"intermediate_size\": 20", "\"intermediate_size\": 24");
    copy.refused(&["model.safetensors", "encoder.layer.0.intermediate.dense.weight", "[20, 12]", "[24, 12]"]);

    let copy = Copy::of("bert");
    copy.change("config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
    copy.refused(&["no tensor `encoder.layer.2.attention.self.query.weight`", "type `bert`"]);

    let copy = Copy::of("bert");
    fs::copy(folder("roberta").join("tokenizer.json"), copy.path("tokenizer.json")).unwrap();
    copy.refused(&["tokenizer.json", "different models"]);

    // What the file says of other batches is nothing to us, what it cannot mean is refused.
    let copy = Copy::of("bert");
    let padding = r#"{"strategy": {"Fixed": 1000}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 1, "pad_type_id": 0, "pad_token": "[PAD]"}"#;
    copy.change("tokenizer.json", "\"padding\":null", &format!("\"padding\":{padding}"));
    copy.change("tokenizer.json", "\"truncation\":null", "\"truncation\":{\"direction\":\"Right\",\"max_length\":1,\"strategy\":\"LongestFirst\",\"stride\":0}");
    assert_eq!(copy.open().unwrap().embed_tokens("money").unwrap().spans.last().unwrap().end, 5);
    copy.change("tokenizer.json", "{\"Sequence\":{\"id\":\"A\"", "{\"Sequence\":{\"id\":\"B\"");
    copy.refused(&["tokenizer.json", "`post_processor`"]);

    let copy = Copy::of("bert");
    fs::write(copy.path("tokenizer.json"), "{}").unwrap();
    copy.refused(&["tokenizer.json"]);
    fs::write(copy.path("config.json"), "{\"model_type\": \"llama\"}").unwrap();
    copy.refused(&["config.json", "`llama`", "bert, distilbert"]);
}

#[test]
fn damaged_weights_are_refused_or_harmless() {
    let copy = Copy::of("bert");
    let whole = fs::read(copy.path("model.safetensors")).unwrap();
    for len in (0..whole.len()).step_by(701) {
        fs::write(copy.path("model.safetensors"), &whole[..len]).unwrap();
        copy.refused(&["model.safetensors"]);
    }
    for at in (0..whole.len()).step_by(97) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x41;
        fs::write(copy.path("model.safetensors"), &damaged).unwrap();
        if let Ok(embedder) = copy.open() {
            // What only shows in use is an error as well.
            match embedder.embed(&["money in the bank"]) {
                Ok(found) => assert!(found.vectors.iter().all(|x| x.is_finite()), "byte {at}"),
                Err(error) => assert!(error.to_string().contains("not finite"), "byte {at}: {error}"),
            }
        }
    }
}

#[test]
fn weights_in_several_files_and_other_numbers_are_read() {
    use candle_core::{DType, Device, safetensors};

    let copy = Copy::of("bert");
    let reference = copy.open().unwrap().embed(&["money in the bank"]).unwrap().vectors;
    let weights = safetensors::load(copy.path("model.safetensors"), &Device::Cpu).unwrap();
    for (dtype, most) in [(DType::F64, 1e-6), (DType::F16, 0.02), (DType::BF16, 0.1)] {
        let cast = weights.iter().map(|(name, tensor)| (name.clone(), tensor.to_dtype(dtype).unwrap()));
        safetensors::save(&cast.collect(), copy.path("model.safetensors")).unwrap();
        let found = copy.open().unwrap().embed(&["money in the bank"]).unwrap().vectors;
        close(&found, &reference, most, "other numbers");
    }
    let whole = weights.iter().map(|(name, tensor)| (name.clone(), tensor.to_dtype(DType::U32).unwrap()));
    safetensors::save(&whole.collect(), copy.path("model.safetensors")).unwrap();
    copy.refused(&["numbers of the type U32", "supported are F32"]);

    fs::remove_file(copy.path("model.safetensors")).unwrap();
    let mut parts = [std::collections::HashMap::new(), std::collections::HashMap::new()];
    let mut map = serde_json::Map::new();
    for (at, (name, tensor)) in weights.into_iter().enumerate() {
        map.insert(name.clone(), format!("part-{}.safetensors", at % 2).into());
        parts[at % 2].insert(format!("bert.{name}"), tensor);
    }
    for (at, part) in parts.iter().enumerate() {
        safetensors::save(part, copy.path(&format!("part-{at}.safetensors"))).unwrap();
    }
    let index = |map: &serde_json::Map<String, Value>| {
        let text = serde_json::json!({ "weight_map": map }).to_string();
        fs::write(copy.path("model.safetensors.index.json"), text).unwrap();
    };
    index(&map);
    close(&copy.open().unwrap().embed(&["money in the bank"]).unwrap().vectors, &reference, 0.0, "shards");
    map.insert("more".into(), "../part-0.safetensors".into());
    index(&map);
    copy.refused(&["index.json", "../part-0.safetensors"]);
}

#[test]
fn sentence_transformers_folders_say_how_to_pool() {
    let copy = Copy::of("bert");
    let modules = |third: &str| {
        let text = format!(
            r#"[{{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}},
                {{"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}},
                {{"idx": 2, "name": "2", "path": "2_Last", "type": "sentence_transformers.models.{third}"}}]"#
        );
        fs::write(copy.path("modules.json"), text).unwrap();
    };
    modules("Normalize");
    copy.refused(&["1_Pooling"]);
    fs::create_dir(copy.path("1_Pooling")).unwrap();
    fs::write(copy.path("1_Pooling/config.json"), r#"{"pooling_mode_cls_token": true}"#).unwrap();
    fs::write(copy.path("sentence_bert_config.json"), r#"{"max_seq_length": 4}"#).unwrap();
    let found = copy.open().unwrap().embed(&["money in the bank"]).unwrap();
    assert_eq!(found.truncated, 1);
    assert!((found.vectors.row(0).dot(&found.vectors.row(0)) - 1.0).abs() < 1e-6);
    modules("Dense");
    copy.refused(&["modules.json", "`Dense` is not supported"]);
}
