//! Pretrained encoders agree with transformers, alone and in batches, and say what is wrong with a folder.
//!
//! The tiny encoders and what is expected of them are made by `tests/golden/encoders.py`.

mod common;

use std::fs;
use std::path::PathBuf;

use common::{copy_encoder, encoder as folder};
use ndarray::{Array1, Array2, Axis};
use serde_json::Value;
use talkformer::embed::{EmbedOptions, Embedder, LongTexts, Pooling, Precision, pretrained_block};
use talkformer::ndarray;

const FAMILIES: [&str; 4] = ["bert", "distilbert", "roberta", "mpnet"];

const POOLINGS: [Pooling; 6] = [
    Pooling::Cls,
    Pooling::Max,
    Pooling::Mean,
    Pooling::MeanSqrtLen,
    Pooling::WeightedMean,
    Pooling::LastToken,
];

/// The formulas of sentence-transformers, for a text alone.
fn pooled(rows: &Array2<f32>, pooling: Pooling) -> Array1<f32> {
    let count = rows.nrows() as f32;
    match pooling {
        Pooling::Cls => rows.row(0).to_owned(),
        Pooling::LastToken => rows.row(rows.nrows() - 1).to_owned(),
        Pooling::Max => {
            rows.map_axis(Axis(0), |column| column.iter().copied().fold(f32::NEG_INFINITY, f32::max))
        }
        Pooling::MeanSqrtLen => rows.sum_axis(Axis(0)) / count.sqrt(),
        Pooling::WeightedMean => {
            let weights = Array1::range(1.0, count + 1.0, 1.0);
            weights.dot(rows) / weights.sum()
        }
        _ => rows.mean_axis(Axis(0)).unwrap(),
    }
}

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
            for pooling in POOLINGS {
                let embedder = Embedder::open(folder(family), &options(threads, pooling)).unwrap();
                for one in &expected {
                    let pooled = pooled(&one.rows, pooling);
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
        let block = pretrained_block(folder(family), DType::F64, &Device::Cpu).unwrap();
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
    modules("WeightedLayerPooling");
    copy.refused(&["modules.json", "`WeightedLayerPooling` is not supported; supported are Transformer, "]);
}

/// A folder of sentence-transformers around the tiny BERT, whose rows and theirs are known.
struct Sentences(Copy);

impl Sentences {
    /// With these modules behind the encoder: the file of each folder, in the order of `modules.json`.
    fn new(prefix: &str, modules: &[(&str, &str, Value)]) -> Self {
        let copy = Copy::of("bert");
        let entry = |at: usize, path: &str, kind: &str| serde_json::json!({"idx": at, "name": at.to_string(), "path": path, "type": format!("{prefix}{kind}")});
        let mut entries = vec![entry(0, "", "Transformer")];
        for (at, (path, kind, config)) in modules.iter().enumerate() {
            fs::create_dir_all(copy.path(path)).unwrap();
            if !config.is_null() {
                fs::write(copy.path(path).join("config.json"), config.to_string()).unwrap();
            }
            entries.push(entry(at + 1, path, kind));
        }
        fs::write(copy.path("modules.json"), Value::from(entries).to_string()).unwrap();
        Self(copy)
    }

    /// The weights of a Dense module.
    fn dense(self, path: &str, weight: &Array2<f32>, bias: Option<&Array1<f32>>) -> Self {
        use candle_core::{Device, Tensor, safetensors};
        let tensor =
            |shape: &[usize], values: Vec<f32>| Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
        let mut tensors = std::collections::HashMap::new();
        let (output, input) = weight.dim();
        tensors
            .insert("linear.weight".to_owned(), tensor(&[output, input], weight.iter().copied().collect()));
        if let Some(bias) = bias {
            tensors.insert("linear.bias".to_owned(), tensor(&[output], bias.to_vec()));
        }
        safetensors::save(&tensors, self.0.path(path).join("model.safetensors")).unwrap();
        self
    }

    /// Texts have these vectors, and tokens the rows of the encoder whatever comes behind it.
    #[track_caller]
    fn gives(&self, vector: impl Fn(&Array2<f32>) -> Array1<f32>) {
        let embedder = self.0.open().unwrap();
        for one in expected("bert") {
            let expected = vector(&one.rows);
            assert_eq!((embedder.dim(), embedder.token_dim()), (expected.len(), 12));
            close(&embedder.embed(&[&one.text]).unwrap().vectors, &expected, 2e-5, &one.text);
            let inner = one.rows.slice(ndarray::s![1..one.rows.nrows() - 1, ..]);
            close(&embedder.embed_tokens(&one.text).unwrap().vectors, inner, 2e-5, &one.text);
        }
    }
}

fn unit(vector: Array1<f32>) -> Array1<f32> {
    let length = vector.dot(&vector).sqrt();
    vector / length
}

const OLD: &str = "sentence_transformers.models.";

#[test]
fn one_pooling_or_several_under_old_and_new_names() {
    use serde_json::json;

    let new = |mode: Value| json!({"embedding_dimension": 12, "pooling_mode": mode, "include_prompt": true});
    let names = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"];
    for (name, pooling) in names.iter().zip(POOLINGS) {
        let kind = "sentence_transformers.sentence_transformer.modules.pooling.";
        let sentences = Sentences::new(kind, &[("1_Pooling", "Pooling", new(json!(name)))]);
        // As release 5.4 writes it beside the encoder.
        let config = json!({"transformer_task": "feature-extraction", "module_output_name": "token_embeddings",
            "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}});
        fs::write(sentences.0.path("sentence_bert_config.json"), config.to_string()).unwrap();
        sentences.gives(|rows| pooled(rows, pooling));
    }
    let two = Sentences::new(OLD, &[("1_Pooling", "Pooling", new(json!(["lasttoken", "cls"])))]);
    two.gives(|rows| {
        ndarray::concatenate![Axis(0), pooled(rows, Pooling::LastToken), pooled(rows, Pooling::Cls)]
    });
    let all = json!({"word_embedding_dimension": 12, "pooling_mode_lasttoken": true, "pooling_mode_mean_tokens": true,
        "pooling_mode_weightedmean_tokens": true, "pooling_mode_cls_token": true, "pooling_mode_max_tokens": true,
        "pooling_mode_mean_sqrt_len_tokens": true});
    Sentences::new(OLD, &[("1_Pooling", "Pooling", all), ("2_Normalize", "Normalize", Value::Null)])
        .gives(|rows| unit(POOLINGS.iter().flat_map(|pooling| pooled(rows, *pooling)).collect()));
    // Without any, sentence-transformers takes the mean.
    let none = Sentences::new(OLD, &[("1_Pooling", "Pooling", json!({"word_embedding_dimension": 12}))]);
    none.gives(|rows| pooled(rows, Pooling::Mean));

    let refused = |config: Value, words: &[&str]| {
        Sentences::new(OLD, &[("1_Pooling", "Pooling", config)]).0.refused(words);
    };
    refused(
        new(json!("attention")),
        &["1_Pooling/config.json", "`pooling_mode` is \"attention\"; supported are cls, max"],
    );
    refused(new(json!(["mean", 7])), &["`pooling_mode` is 7"]);
    refused(json!({"pooling_mode_attention": true}), &["`pooling_mode_attention` is not supported"]);
    refused(new(json!(vec!["mean"; 1000])), &["1000 poolings are too many"]);
}

#[test]
fn a_dense_module_is_applied_where_it_stands() {
    use serde_json::json;

    type Function = fn(f32) -> f32;

    let weight = Array2::from_shape_fn((5, 12), |(row, column)| ((row * 12 + column) as f32 * 0.7).sin());
    let bias = Array1::from_shape_fn(5, |at| 0.3 - 0.2 * at as f32);
    let pooling = || ("1_Pooling", "Pooling", json!({"pooling_mode_mean_tokens": true}));
    let normalize = || ("3_Normalize", "Normalize", Value::Null);
    let config = |activation: &str| json!({"in_features": 12, "out_features": 5, "bias": true, "activation_function": activation});
    let dense = |activation: &str| ("2_Dense", "Dense", config(activation));
    let torch = |name: &str| format!("torch.nn.modules.activation.{name}");
    let mapped = |rows: &Array2<f32>| weight.dot(&pooled(rows, Pooling::Mean)) + &bias;
    let functions: [(&str, Function); 5] = [
        ("Tanh", f32::tanh),
        ("ReLU", |x| x.max(0.0)),
        ("GELU", |x| x * 0.5 * (1.0 + libm::erff(x / 2.0_f32.sqrt()))),
        ("SiLU", |x| x / (1.0 + (-x).exp())),
        ("Sigmoid", |x| 1.0 / (1.0 + (-x).exp())),
    ];
    for (name, function) in functions {
        let sentences = Sentences::new(OLD, &[pooling(), dense(&torch(name))]);
        sentences.dense("2_Dense", &weight, Some(&bias)).gives(|rows| mapped(rows).mapv(function));
    }
    let identity = "torch.nn.modules.linear.Identity";
    let after = Sentences::new(OLD, &[pooling(), dense(identity), normalize()]);
    after.dense("2_Dense", &weight, Some(&bias)).gives(|rows| unit(mapped(rows)));
    let before = Sentences::new(OLD, &[pooling(), normalize(), dense(identity)]);
    let before = before.dense("2_Dense", &weight, Some(&bias));
    before.gives(|rows| weight.dot(&unit(pooled(rows, Pooling::Mean))) + &bias);
    let options = EmbedOptions::default().normalize(Some(true));
    let embedder = Embedder::open(before.0.0.path(), &options).unwrap();
    let one = &expected("bert")[0];
    let vector = unit(weight.dot(&unit(pooled(&one.rows, Pooling::Mean))) + &bias);
    close(&embedder.embed(&[&one.text]).unwrap().vectors, &vector, 2e-5, "what is asked for comes last");

    // As it was written before there was a choice: without a bias, with the hyperbolic tangent.
    let bare = ("2_Dense", "Dense", json!({"in_features": 12, "out_features": 5, "bias": false}));
    let bare = Sentences::new(OLD, &[pooling(), bare]).dense("2_Dense", &weight, None);
    bare.gives(|rows| weight.dot(&pooled(rows, Pooling::Mean)).mapv(f32::tanh));

    let refused = |modules: &[(&str, &str, Value)], words: &[&str]| {
        Sentences::new(OLD, modules).dense("2_Dense", &weight, Some(&bias)).0.refused(words);
    };
    refused(
        &[pooling(), dense(&torch("Softmax"))],
        &["2_Dense/config.json", "Softmax", "supported are Tanh, Identity"],
    );
    refused(&[dense(identity), pooling()], &["modules.json", "`Dense` stands before Pooling"]);
    let both = ("1_Pooling", "Pooling", json!({"pooling_mode": ["mean", "cls"]}));
    refused(&[both, dense(identity)], &["a Dense module takes 12 numbers, and 24 come before it"]);
    let wide = json!({"in_features": 12, "out_features": 1_u64 << 40});
    refused(
        &[pooling(), ("2_Dense", "Dense", wide)],
        &["`out_features` 1099511627776 must lie between 1 and"],
    );
    let tokens = json!({"in_features": 12, "out_features": 5, "module_input_name": "token_embeddings"});
    refused(&[pooling(), ("2_Dense", "Dense", tokens)], &["the module works on `token_embeddings`"]);
    let pickle = Sentences::new(OLD, &[pooling(), dense(identity)]);
    fs::write(pickle.0.path("2_Dense/pytorch_model.bin"), "").unwrap();
    pickle.0.refused(&["2_Dense/pytorch_model.bin", "SentenceTransformer(FOLDER).save(FOLDER)"]);
    // Pooling otherwise than the module was made for shows when it is used.
    let one_of_two = ("1_Pooling", "Pooling", json!({"pooling_mode": ["mean", "cls"]}));
    let wide = Array2::<f32>::ones((5, 24));
    let config = json!({"in_features": 24, "out_features": 5, "bias": false});
    let two = Sentences::new(OLD, &[one_of_two, ("2_Dense", "Dense", config)]).dense("2_Dense", &wide, None);
    let embedder = Embedder::open(two.0.0.path(), &options_of(Pooling::Max)).unwrap();
    let error = embedder.embed(&["money"]).unwrap_err().to_string();
    assert!(error.contains("the pooling gives 12 numbers, but the layer behind it takes 24"), "{error}");
}

fn options_of(pooling: Pooling) -> EmbedOptions {
    options(1, pooling)
}

#[test]
fn texts_are_lower_cased_where_the_folder_says_so() {
    let copy = Copy::of("bert");
    copy.change("tokenizer.json", "\"lowercase\":true", "\"lowercase\":false");
    let text = "The BANK of the River";
    let [upper, lower] =
        [text, &text.to_lowercase()].map(|text| copy.open().unwrap().embed(&[text]).unwrap().vectors);
    assert_ne!(upper, lower);
    fs::write(copy.path("sentence_bert_config.json"), r#"{"max_seq_length": 32, "do_lower_case": true}"#)
        .unwrap();
    let embedder = copy.open().unwrap();
    assert_eq!(embedder.embed(&[text]).unwrap().vectors, lower);
    // The small form of `İ` is longer; places are those of the text all the same.
    let text = "Ein İ: RIVER";
    let spans = embedder.embed_tokens(text).unwrap().spans;
    let river: String = spans.iter().skip_while(|span| span.start < 8).map(|span| span.of(text)).collect();
    assert_eq!(river, "RIVER");
    for (config, word) in [
        (r#"{"transformer_task": "fill-mask"}"#, "`transformer_task` is `fill-mask`"),
        (r#"{"module_output_name": "sentence_embedding"}"#, "`module_output_name`"),
        (r#"{"processing_kwargs": {"text": {"add_special_tokens": false}}}"#, "`add_special_tokens`"),
    ] {
        fs::write(copy.path("sentence_bert_config.json"), config).unwrap();
        copy.refused(&["sentence_bert_config.json", word]);
    }
    let config = r#"{"processing_kwargs": {"text": {"max_length": 4, "truncation": true}}}"#;
    fs::write(copy.path("sentence_bert_config.json"), config).unwrap();
    assert_eq!(copy.open().unwrap().embed(&["money in the bank"]).unwrap().truncated, 1);
}
