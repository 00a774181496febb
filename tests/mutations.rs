//! Whatever happens to the files of a model, of an encoder, of word vectors or to a `config.yml`: they open or are refused,
//! in bounded time and memory, and nothing panics.
//!
//! Hashes are put right again after each change, so that it reaches the code behind them. `TALKFORMER_MUTATIONS=10000`
//! makes so many changes; without it there are a few hundred. A failure names the number of the change, which is the same
//! one each time.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use common::{DATA, add_dense_module, copy_encoder, data};
use sha2::{Digest, Sha256};
use talkformer::data::{Format, read_str};
use talkformer::embed::vectors::WordVectors;
use talkformer::embed::{EmbedOptions, Embedder};
use talkformer::pipeline::{Nlu, PipelineConfig, Recipe, TrainingOptions};

/// No opening of these small files may take longer, or more memory.
const LONGEST: Duration = Duration::from_secs(10);
const MOST_BYTES: usize = 256 << 20;

/// Counts the bytes that are allocated.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[allow(
    unsafe_code,
    reason = "an allocator is unsafe by its nature; this one hands everything to that of the system"
)]
// SAFETY: every call is passed on as it is, and counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the promises of this method.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn count(bytes: usize) {
    let now = NOW.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(now, Relaxed);
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Numbers that depend on nothing but the seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        (self.next() % most.max(1) as u64) as usize
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// What a number of a text may become.
const NUMBERS: [&str; 16] = [
    "0", "-1", "1", "99999999999999999999", "4294967295", "4294967296", "18446744073709551615",
    "-9223372036854775808", "1e308", "1e999", "-0.0", "NaN", "null", "[]", "{}", "2147483648",
];

/// Changes a file in one of many ways.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let some = at..(at + 1 + random.below(64)).min(bytes.len()).max(at);
    match random.below(10) {
        0 | 1 if !bytes.is_empty() => {
            for _ in 0..=random.below(4) {
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(8);
            }
        }
        2 => drop(bytes.drain(some)),
        3 => {
            let copy = bytes[some.clone()].to_vec();
            let times = *random.of(&[1, 2, 100]);
            drop(bytes.splice(some.end..some.end, copy.repeat(times)));
        }
        4 => {
            let nonsense: Vec<u8> = (0..=random.below(40)).map(|_| random.next() as u8).collect();
            drop(bytes.splice(at..at, nonsense));
        }
        5 => bytes.truncate(at),
        6 => *bytes = other.to_vec(),
        7 => {
            // A count or an offset of a binary file.
            let value =
                *random.of(&[0, 1, u64::from(u32::MAX), u64::MAX, 1 << 31, 1 << 40, u64::MAX / 4 + 1]);
            let width = *random.of(&[4, 8]);
            let end = (at + width).min(bytes.len());
            bytes[at.min(end)..end].copy_from_slice(&value.to_le_bytes()[..end - at.min(end)]);
        }
        8 => {
            let nested = *random.of(&["[", "{\"a\":", "- ", "&a [*a, ", "  "]);
            drop(bytes.splice(at..at, nested.repeat(*random.of(&[1, 200, 100_000])).into_bytes()));
        }
        _ => {
            // A number of a text, from the place on.
            let is_digit = |byte: &u8| byte.is_ascii_digit();
            let Some(start) = bytes[at..].iter().position(is_digit).map(|found| at + found) else { return };
            let length = bytes[start..].iter().take_while(|byte| is_digit(byte)).count();
            drop(bytes.splice(start..start + length, random.of(&NUMBERS).bytes()));
        }
    }
}

/// Held while one test counts: what another allocates meanwhile would count as well.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What came of all changes.
#[derive(Default)]
struct Tally {
    opened: usize,
    refused: usize,
    slowest: (Duration, String),
    largest: (usize, String),
    wrong: Vec<String>,
}

/// The change that is being tried, and since when, for the watchman.
static SINCE: AtomicU64 = AtomicU64::new(0);

impl Tally {
    /// Opens something and remembers how it went.
    fn try_to(&mut self, what: &str, open: impl FnOnce() -> Result<(), String>) {
        let (before, begun) = (NOW.load(Relaxed), Instant::now());
        PEAK.store(before, Relaxed);
        SINCE.store(seconds(), Relaxed);
        let outcome = catch_unwind(AssertUnwindSafe(open));
        SINCE.store(0, Relaxed);
        let (taken, bytes) = (begun.elapsed(), PEAK.load(Relaxed).saturating_sub(before));
        match outcome {
            Ok(Ok(())) => self.opened += 1,
            Ok(Err(message)) => {
                self.refused += 1;
                if message.len() > 4000 || message.trim().is_empty() {
                    self.wrong.push(format!("{what}: a message of {} bytes", message.len()));
                }
            }
            Err(_) => self.wrong.push(format!("{what}: it panics")),
        }
        if taken > LONGEST {
            self.wrong.push(format!("{what}: it takes {taken:?}"));
        }
        if bytes > MOST_BYTES {
            self.wrong.push(format!("{what}: it takes {} MiB", bytes >> 20));
        }
        if taken > self.slowest.0 {
            self.slowest = (taken, what.to_owned());
        }
        if bytes > self.largest.0 {
            self.largest = (bytes, what.to_owned());
        }
    }

    fn report(&self, name: &str) {
        let Self { opened, refused, slowest, largest, wrong } = self;
        println!(
            "{name}: {} changes, {opened} opened, {refused} refused; slowest {:?} ({}), most memory {} KiB ({})",
            opened + refused,
            slowest.0,
            slowest.1,
            largest.0 >> 10,
            largest.1
        );
        assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
        assert!(*opened > 0 && *refused > 0, "{name}: changes that always or never matter test little");
    }
}

fn seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// Ends the process where an opening never ends.
fn watch() {
    static WATCHMAN: Once = Once::new();
    WATCHMAN.call_once(|| {
        let _ = std::thread::spawn(|| {
            loop {
                std::thread::sleep(Duration::from_secs(1));
                let since = SINCE.load(Relaxed);
                if since > 0 && seconds() > since + 120 {
                    eprintln!("an opening takes longer than two minutes");
                    std::process::abort();
                }
            }
        });
    });
}

/// All that the program says about an error.
fn chain(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// How many changes each kind of file gets.
fn changes(share: usize) -> usize {
    let all = std::env::var("TALKFORMER_MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    (all * share / 100_usize).max(1)
}

/// Files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Changes one file of a folder after the other, in so many ways, and opens the whole each time.
fn each_change(
    folder: &Path,
    seeds: Range<usize>,
    tally: &mut Tally,
    mend: impl Fn(&Path),
    open: impl Fn() -> Result<(), String>,
) {
    let whole: BTreeMap<PathBuf, Vec<u8>> =
        files(folder).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    let paths: Vec<&PathBuf> = whole.keys().collect();
    for seed in seeds {
        let mut random = Random(seed as u64);
        let path = paths[seed % paths.len()];
        let mut bytes = whole[path].clone();
        for _ in 0..=random.below(2) {
            mutate(&mut bytes, &whole[*random.of(&paths)], &mut random);
        }
        fs::write(path, &bytes).unwrap();
        mend(path);
        let what = format!("change {seed} of {}", path.strip_prefix(folder).unwrap().display());
        tally.try_to(&what, &open);
        for (path, bytes) in &whole {
            if path.ends_with("config.json") || path == paths[seed % paths.len()] {
                fs::write(path, bytes).unwrap();
            }
        }
    }
}

/// Writes size and hash of a part, and the checksum of the whole, into the manifest of a model.
fn seal(model: &Path, changed: &Path) {
    const OPENING: &[u8] = b"{\n  \"checksum\": \"";
    let manifest = model.join("config.json");
    let mut bytes = fs::read(&manifest).unwrap();
    let hex = |bytes: &[u8]| {
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
    };
    if changed != manifest {
        let name = changed.file_name().unwrap().to_str().unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let Some(start) = text.find(&format!("\"{name}\": {{")) else { return }; // the card has no record
        let end = start + text[start..].find('}').unwrap();
        let content = fs::read(changed).unwrap();
        let record = format!(
            "\"{name}\": {{\n      \"bytes\": {},\n      \"sha256\": \"{}\"\n    ",
            content.len(),
            hex(&content)
        );
        bytes = (text[..start].to_owned() + &record + &text[end..]).into_bytes();
    }
    if let Some(rest) = bytes.strip_prefix(OPENING).filter(|rest| rest.len() > 64) {
        let rest = rest[64..].to_vec();
        let checksum = hex(&[OPENING, &rest].concat());
        bytes = [OPENING, checksum.as_bytes(), &rest].concat();
    }
    fs::write(manifest, bytes).unwrap();
}

const FEATURIZERS: &str = "
pipeline:
- name: WhitespaceTokenizer
- name: RegexFeaturizer
- name: LexicalSyntacticFeaturizer
- name: CountVectorsFeaturizer
  weighting: tf_idf
- name: CountVectorsFeaturizer
  analyzer: char_wb
  min_ngram: 1
  max_ngram: 3
";

const CLASSIFIER: &str = "
- name: DIETClassifier
  epochs: 2
  transformer_size: 16
  number_of_attention_heads: 2
  use_linear_path: true
  learn_intent_names: true
  calibration_share: 0.3
- name: RegexEntityExtractor
- name: EntitySynonymMapper
- name: FallbackClassifier
  threshold: fitted
";

const LISTS: &str = "
- regex: code
  examples: |
    - [0-9]{2,4}[a-z]?
- lookup: city
  examples: |
    - Rome
    - Lisbon
";

/// A model of everything that a model may have.
fn model(folder: &Path) -> PathBuf {
    let encoder = folder.join("encoder");
    copy_encoder("bert", &encoder);
    add_dense_module(&encoder);
    fs::write(folder.join("words.txt"), "cancel 1 0\nride 0 1\nthanks 1 1\n").unwrap();
    let dense = format!(
        "- name: LanguageModelFeaturizer\n  model_weights: {}\n  fine_tune: true\n  fine_tune_epochs: 1\n  keep_in_model: true\n\
         - name: WordVectorsFeaturizer\n  file: {}\n  keep_in_model: true\n",
        encoder.display(),
        folder.join("words.txt").display()
    );
    let yaml = [FEATURIZERS, &dense, CLASSIFIER].concat();
    let config = PipelineConfig::from_yaml(&yaml, "config.yml").unwrap();
    let data = read_str(Format::RasaYaml, &(DATA.to_owned() + LISTS), "nlu.yml").unwrap();
    let options = TrainingOptions::default().threads(1);
    let (nlu, _) = Nlu::train_with(&config, &data, &options, |_| {}).unwrap();
    nlu.save(folder.join("model")).unwrap()
}

#[test]
fn models() {
    let _alone = alone();
    watch();
    let folder = tempfile::tempdir().unwrap();
    let place = model(folder.path());
    let open = || {
        let nlu = Nlu::open(&place).map_err(chain)?;
        for answer in nlu.parse_batch(&["a ride from Rome to NYC", "12a", "", "¿qué? 🎉"]).map_err(chain)?
        {
            let sure = answer.intent.iter().chain(&answer.intent_ranking).map(|intent| intent.confidence);
            assert!(sure.into_iter().all(f32::is_finite));
        }
        nlu.preview_finetuning(&data()).map(drop).map_err(chain)
    };
    open().unwrap();
    let mut tally = Tally::default();
    each_change(&place, 0..changes(60), &mut tally, |changed| seal(&place, changed), open);
    tally.report("models");
}

#[test]
fn encoders() {
    let _alone = alone();
    watch();
    let mut tally = Tally::default();
    for (number, family) in ["bert", "distilbert", "roberta", "mpnet"].iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        copy_encoder(family, folder.path());
        add_dense_module(folder.path());
        fs::write(
            folder.path().join("sentence_bert_config.json"),
            r#"{"max_seq_length": 20, "do_lower_case": true}"#,
        )
        .unwrap();
        fs::write(folder.path().join("tokenizer_config.json"), r#"{"model_max_length": 20}"#).unwrap();
        let open = || {
            let options = EmbedOptions::default().threads(1);
            let embedder = Embedder::open(folder.path(), &options).map_err(chain)?;
            embedder.embed(&["money in the BANK", ""]).map(drop).map_err(chain)
        };
        open().unwrap();
        let count = changes(5);
        each_change(folder.path(), number * count..(number + 1) * count, &mut tally, |_| {}, open);
    }
    tally.report("encoders");
}

/// Small files of every format.
fn word_vectors(folder: &Path) {
    let le = |numbers: &[u32]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
    let floats =
        |count: usize| (0..count).flat_map(|at| (at as f32 * 0.5).to_le_bytes()).collect::<Vec<u8>>();
    let rows = "cat 1 0.5\ndog 0.9 0.6\nfür -1 2e-3\n";
    fs::write(folder.join("glove.txt"), rows).unwrap();
    fs::write(folder.join("word2vec.vec"), format!("3 2\n{rows}")).unwrap();
    let binary =
        ["cat", "dog", "für"].map(|word| [word.as_bytes(), b" ", &floats(2), b"\n"].concat()).concat();
    fs::write(folder.join("word2vec.bin"), [b"3 2\n", &binary[..]].concat()).unwrap();
    // The settings of fastText: dimensions, six others, the kind of model, buckets, shortest and longest n-gram, two more.
    let settings = le(&[793_712_314, 12, 2, 5, 5, 1, 5, 1, 1, 2, 4, 3, 6, 100, 0, 0]);
    let dictionary = [le(&[2, 2, 0, 9, 0, u32::MAX, u32::MAX])].concat();
    let words = ["cat", "dog"].map(|word| [word.as_bytes(), &[0; 10]].concat()).concat();
    let matrix = [vec![0], le(&[6, 0, 2, 0]), floats(12)].concat();
    fs::write(folder.join("fasttext.bin"), [settings, dictionary, words, matrix].concat()).unwrap();
    // A vocabulary with four buckets, and six rows.
    let words = [le(&[3]), b"cat".to_vec(), le(&[3]), b"dog".to_vec()].concat();
    let vocabulary = [le(&[2, 0, 3, 6, 2]), words].concat();
    let head =
        [b"FiFu".to_vec(), le(&[0, 2, 3, 2]), le(&[3, vocabulary.len() as u32, 0]), vocabulary].concat();
    let before = head.len() + 12 + 16;
    let padding = vec![0; 4 - before % 4];
    let array = [le(&[6, 0, 2, 10]), padding, floats(12)].concat();
    let chunk = [le(&[2, array.len() as u32, 0]), array].concat();
    fs::write(folder.join("finalfusion.fifu"), [head, chunk].concat()).unwrap();
    WordVectors::open(folder.join("fasttext.bin"))
        .unwrap()
        .save_mapped(folder.join("mapped.safetensors"))
        .unwrap();
    WordVectors::open(folder.join("finalfusion.fifu")).unwrap();
}

#[test]
fn vectors() {
    let _alone = alone();
    watch();
    let folder = tempfile::tempdir().unwrap();
    word_vectors(folder.path());
    let all = files(folder.path());
    let open = || {
        let mut outcome = Ok(());
        for path in &all {
            match WordVectors::open(path) {
                Err(error) => outcome = Err(chain(error)),
                Ok(vectors) => {
                    let mut row = vec![0.0; vectors.dim()];
                    for word in ["cat", "cap", "für", &"cats and dogs".repeat(20)] {
                        vectors.vector(word, &mut row);
                        assert!(row.iter().all(|number| number.is_finite()));
                    }
                }
            }
        }
        outcome
    };
    open().unwrap();
    let mut tally = Tally::default();
    each_change(folder.path(), 0..changes(10), &mut tally, |_| {}, open);
    tally.report("vectors");
}

#[test]
fn configurations() {
    let _alone = alone();
    watch();
    let mut tally = Tally::default();
    let own =
        [FEATURIZERS, "- name: LanguageModelFeaturizer\n  path: a\n  fine_tune: true\n", CLASSIFIER].concat();
    let all: Vec<&str> = Recipe::ALL.iter().map(|recipe| recipe.yaml()).chain([&own[..]]).collect();
    for seed in 0..changes(10) {
        let mut random = Random(seed as u64);
        let mut bytes = all[seed % all.len()].as_bytes().to_vec();
        for _ in 0..=random.below(3) {
            mutate(&mut bytes, random.of(&all).as_bytes(), &mut random);
        }
        let yaml = String::from_utf8_lossy(&bytes);
        let read = || PipelineConfig::from_yaml(&yaml, "config.yml").map(drop).map_err(chain);
        tally.try_to(&format!("change {seed}"), read);
    }
    tally.report("configurations");
}

/// What chance would hardly find.
#[test]
fn bombs() {
    let _alone = alone();
    watch();
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("model");
    let config = [FEATURIZERS, CLASSIFIER].concat();
    let config = PipelineConfig::from_yaml(&config, "config.yml").unwrap();
    let options = TrainingOptions::default().threads(1);
    Nlu::train_with(&config, &data(), &options, |_| {}).unwrap().0.save(&place).unwrap();
    let path = place.join("features.json");
    let whole = fs::read_to_string(&path).unwrap();
    let lexical = whole.find("\"columns\":[").unwrap() + "\"columns\":[".len();
    let vocabulary = whole.find("\"vocabulary\":\"").unwrap() + "\"vocabulary\":\"".len();
    // Each string is one character longer than the one before: a megabyte would become ten gigabytes.
    let strings = (0..200_000).map(|shared| number(shared) + "1a").collect::<Vec<_>>().concat();
    let table = format!(
        "{{\"Patterns\":{{\"config\":{{}},\"patterns\":[{{\"Lookup\":{{\"name\":\"a\",\"elements\":[\"{}\"]}}}}]}}}},",
        "x".repeat(1 << 20)
    );
    let column = "[0,\"low\",\"x\"],".repeat(100_000);
    let mut tally = Tally::default();
    for (what, at, bomb) in [
        ("nothing", 0, ""),
        ("strings", vocabulary, &strings[..]),
        ("a table", 1, &table),
        ("columns", lexical, &column),
    ] {
        fs::write(&path, [&whole[..at], bomb, &whole[at..]].concat()).unwrap();
        seal(&place, &path);
        tally.try_to(what, || Nlu::open(&place).map(drop).map_err(chain));
    }
    tally.report("bombs");
}

/// A number of a vocabulary, as it is written in a model.
fn number(value: usize) -> String {
    let mut digits = vec![char::from(b'0' + (value % 32) as u8)];
    let mut rest = value / 32;
    while rest > 0 {
        digits.insert(0, char::from(b'`' + (rest % 32) as u8));
        rest /= 32;
    }
    digits.into_iter().collect()
}
