//! Every flipped byte and every cut of a small model is noticed, and the error names the file.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::json;

use super::TestResult;
use crate::bundle::manifest::{CARD, FileRecord, MANIFEST, Manifest, WEIGHTS};
use crate::bundle::weights::decode;
use crate::bundle::{Bundle, BundleError, BundleWriter, Weight, WeightError, Weights};
use crate::numbers::Table;

const PARTS: [&str; 3] = ["features.json", "labels.json", WEIGHTS];

fn weights() -> Weights {
    Weights::from([
        ("encoder.0.bias".to_owned(), Weight::f32(vec![3], vec![0.5, -0.25, 1e-9])),
        ("encoder.0.weight".to_owned(), Weight::bf16(vec![1, 3], &[0.5, -0.25, 3.0])),
        ("encoder.table".to_owned(), Weight::table(Table::new(&[0.5; 20], 5, |row| row != 2))),
        ("head.scale".to_owned(), Weight::f32(vec![], vec![1234.5])),
    ])
}

fn save(place: &Path) -> Result<(), BundleError> {
    BundleWriter::new("nlu", &json!({ "layers": 2, "dropout": 0.2 }))?
        .json("labels.json", &["greet", "goodbye"])?
        .json("features.json", &json!({ "words": { "hello": 0 } }))?
        .text(CARD, "# A model\n")?
        .weights(&weights())?
        .save(place)
        .map(drop)
}

/// Writes a manifest with the hashes of the parts as they are now, as someone who alters a model on purpose would.
fn forge(place: &Path, names: &[&str]) -> TestResult {
    let record = |name: &&str| {
        let content = fs::read(place.join(name)).unwrap_or_default();
        ((*name).to_owned(), FileRecord::of(&content))
    };
    let files = names.iter().map(record).collect();
    let manifest = Manifest::new("nlu", "2026-01-01T00:00:00.000000000Z".to_owned(), files, json!({}));
    Ok(fs::write(place.join(MANIFEST), manifest.seal()?)?)
}

/// The bytes with each of these masks applied to each byte, and which byte and mask it was.
fn flips<const N: usize>(whole: &[u8], masks: [u8; N]) -> impl Iterator<Item = (String, Vec<u8>)> {
    (0..whole.len()).flat_map(move |at| masks.map(|mask| (at, mask))).map(|(at, mask)| {
        let mut damaged = whole.to_vec();
        damaged[at] ^= mask;
        (format!("byte {at} xor {mask:#x}"), damaged)
    })
}

/// Opens the model and takes everything out of it.
fn open_fully(place: &Path) -> Result<Bundle, BundleError> {
    let bundle = Bundle::open(place)?;
    bundle.config::<serde_json::Value>()?;
    bundle.json::<Vec<String>>("labels.json")?;
    bundle.weights()?;
    Ok(bundle)
}

/// Opening must fail with a message that begins with the file.
fn assert_refused(place: &Path, file: &str, damage: &str) {
    let error = open_fully(place).expect_err(damage).to_string();
    assert!(error.starts_with(&place.display().to_string()), "{damage}: {error}");
    assert!(error.contains(file) || error.contains("no model here"), "{damage}: {error}");
}

#[test]
fn every_flipped_byte_is_noticed() -> TestResult {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("model");
    save(&place)?;
    for file in [PARTS.as_slice(), &[MANIFEST]].concat() {
        let path = place.join(file);
        let whole = fs::read(&path)?;
        for (damage, damaged) in flips(&whole, [0x01, 0x04, 0x20, 0x80, 0xff]) {
            fs::write(&path, damaged)?;
            assert_refused(&place, file, &format!("{file}: {damage}"));
        }
        fs::write(&path, whole)?;
    }
    open_fully(&place)?;
    Ok(())
}

#[test]
fn every_cut_and_every_addition_is_noticed() -> TestResult {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("model");
    save(&place)?;
    for file in [PARTS.as_slice(), &[MANIFEST]].concat() {
        let path = place.join(file);
        let whole = fs::read(&path)?;
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length])?;
            assert_refused(&place, file, &format!("{file}: cut to {length}"));
        }
        fs::write(&path, [whole.as_slice(), b"\n"].concat())?;
        assert_refused(&place, file, "one byte more");
        fs::remove_file(&path)?;
        assert_refused(&place, file, "deleted");
        fs::create_dir(&path)?;
        assert_refused(&place, file, "a folder instead");
        fs::remove_dir(&path)?;
        fs::write(&path, whole)?;
    }
    open_fully(&place)?;
    Ok(())
}

#[test]
fn each_damage_has_its_own_error() -> TestResult {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("model");
    save(&place)?;
    let labels = place.join("labels.json");
    let whole = fs::read(&labels)?;

    fs::write(&labels, whole.to_ascii_uppercase())?;
    assert!(matches!(Bundle::open(&place), Err(BundleError::Altered { path }) if path == labels));
    fs::write(&labels, [whole.as_slice(), b"\n"].concat())?;
    assert!(matches!(Bundle::open(&place), Err(BundleError::Size { expected: 20, found: 21, .. })));
    fs::write(&labels, b"[]")?;
    assert!(matches!(Bundle::open(&place), Err(BundleError::Size { expected: 20, found: 2, .. })));
    fs::remove_file(&labels)?;
    assert!(matches!(Bundle::open(&place), Err(BundleError::Missing { path }) if path == labels));
    Ok(())
}

#[test]
fn what_was_made_of_an_altered_part_is_not_handed_out() -> TestResult {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("model");
    save(&place)?;
    let made = Bundle::open_and(&place, |bundle| bundle.json::<[String; 2]>("labels.json"))?;
    assert_eq!(made, ["greet", "goodbye"]);
    let labels = place.join("labels.json");
    for altered in [&br#"["greet","goodbyf"]"#[..], b"a text of nineteen."] {
        let whole = fs::read(&labels)?;
        assert!(altered.len() <= whole.len(), "{}", whole.len());
        fs::write(&labels, [altered, &vec![b' '; whole.len() - altered.len()]].concat())?;
        let made = Bundle::open_and(&place, |bundle| bundle.json::<[String; 2]>("labels.json"));
        assert!(matches!(made, Err(BundleError::Altered { path }) if path == labels));
    }
    Ok(())
}

#[test]
fn people_may_edit_the_card() -> TestResult {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("model");
    save(&place)?;
    fs::write(place.join(CARD), "# Our model\n")?;
    assert_eq!(Bundle::open(&place)?.text(CARD)?, "# Our model\n");
    fs::remove_file(place.join(CARD))?;
    let bundle = Bundle::open(&place)?;
    assert!(matches!(bundle.text(CARD), Err(BundleError::NoPart { present, .. }) if present == PARTS));
    Ok(())
}

#[test]
fn a_newer_format_says_to_update() -> TestResult {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("model");
    save(&place)?;
    let newer = r#"{ "format": "talkformer-bundle", "format_version": 5, "files": ["of another shape"] }"#;
    fs::write(place.join(MANIFEST), newer)?;
    let error = Bundle::open(&place).unwrap_err().to_string();
    let sentence = "written by a newer talkformer, format 5; this one reads format 4: update";
    assert!(error.contains(sentence), "{error}");
    Ok(())
}

#[test]
fn an_older_format_says_to_train_again() -> TestResult {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("model");
    save(&place)?;
    let older = r#"{ "format": "talkformer-bundle", "format_version": 1, "files": {} }"#;
    fs::write(place.join(MANIFEST), older)?;
    let error = Bundle::open(&place).unwrap_err().to_string();
    let sentence = "written by an older talkformer, format 1; this one reads format 4: train the model again";
    assert!(error.contains(sentence), "{error}");
    Ok(())
}

#[test]
fn manifests_of_others_are_refused() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join(MANIFEST);
    for text in ["{}", "[]", "1", r#"{ "model_type": "bert" }"#, r#"{ "format": 7 }"#] {
        fs::write(&path, text)?;
        assert!(matches!(Bundle::open(folder.path()), Err(BundleError::UnknownFormat { .. })), "{text}");
    }
    let nested = "[".repeat(100_000); // a parser without a depth limit would overflow the stack
    for text in ["", "{", nested.as_str()] {
        fs::write(&path, text)?;
        assert!(matches!(Bundle::open(folder.path()), Err(BundleError::Manifest { .. })));
    }
    Ok(())
}

#[test]
fn names_cannot_lead_out_of_the_folder() -> TestResult {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("model");
    fs::create_dir(&place)?;
    fs::write(folder.path().join("secret"), "")?;
    for name in ["../secret", "..", "/etc/hostname", "a/../../secret", "a\\b", "C:secret", ""] {
        forge(&place, &[name])?;
        let outcome = Bundle::open(&place);
        assert!(matches!(outcome, Err(BundleError::PartName { name: refused, .. }) if refused == name));
    }
    Ok(())
}

#[test]
fn huge_files_are_refused_before_they_are_read() -> TestResult {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("model");
    save(&place)?;
    fs::File::create(place.join(MANIFEST))?.set_len(1 << 40)?; // a hole: takes no room on the disk
    assert!(matches!(Bundle::open(&place), Err(BundleError::TooLarge { limit: 0x0040_0000, .. })));

    let huge = FileRecord { bytes: u64::MAX, ..FileRecord::of(b"") };
    let files = [("a".to_owned(), huge.clone()), ("b".to_owned(), huge)].into();
    let manifest = Manifest::new("nlu", String::new(), files, json!({}));
    fs::write(place.join(MANIFEST), manifest.seal()?)?;
    assert!(matches!(Bundle::open(&place), Err(BundleError::TooLarge { .. })));
    Ok(())
}

#[test]
fn forged_weights_are_refused_or_sound() -> TestResult {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("model");
    save(&place)?;
    let whole = fs::read(place.join(WEIGHTS))?;
    flips(&whole, [0x01, 0x10, 0x80, 0xff]).for_each(|(_, forged)| assert_sound(&forged));
    for length in 0..whole.len() {
        assert!(decode(&whole[..length].to_vec().into()).is_err(), "cut to {length}");
    }
    let mut forged = whole;
    let scale = forged.windows(4).position(|bytes| bytes == 1234.5_f32.to_le_bytes()).expect("it is there");
    forged[scale..scale + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(place.join(WEIGHTS), forged)?;
    forge(&place, &PARTS)?;
    let error = Bundle::open(&place)?.weights().unwrap_err().to_string();
    assert!(error.contains("tensor `head.scale` holds NaN at position 0"), "{error}");
    Ok(())
}

/// Weights that are read at all are finite and fit their shape.
fn assert_sound(bytes: &[u8]) {
    for weight in decode(&bytes.to_vec().into()).unwrap_or_default().values() {
        let values = weight.to_f32();
        assert_eq!(weight.shape.iter().product::<usize>(), values.len());
        assert!(values.iter().all(|value| value.is_finite()));
    }
}

fn file_with(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

#[test]
fn headers_that_lie_are_refused() {
    let whole = u64::MAX;
    let eighth = (1_u64 << 61) - 4; // eight of these and a little more pass the end of the address space
    let long = |at: u64| {
        let (shape, start) = (eighth / 4, at * eighth);
        format!(r#""t{at}":{{"dtype":"F32","shape":[{shape}],"data_offsets":[{start},{}]}}"#, start + eighth)
    };
    let last =
        format!(r#""u":{{"dtype":"F32","shape":[7],"data_offsets":[{},{}]}}"#, 8 * eighth, 8 * eighth + 28);
    let around = format!("{{{},{last}}}", (0..8).map(long).collect::<Vec<_>>().join(","));
    for header in [
        String::new(),
        "{".to_owned(),
        r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#.to_owned(),
        r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#.to_owned(),
        r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#.to_owned(),
        r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}"#.to_owned(),
        format!(r#"{{"a":{{"dtype":"F32","shape":[{whole}],"data_offsets":[0,4]}}}}"#),
        r#"{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#.to_owned(),
        around,
    ] {
        let outcome = decode(&file_with(&header, &[0; 4]).into());
        assert!(matches!(outcome, Err(WeightError::Format { .. })), "{header}: {outcome:?}");
    }
    assert!(decode(&file_with("{}", b"").into()).is_ok_and(|weights| weights.is_empty()));
    assert!(decode(&vec![0xff; 16].into()).is_err(), "a header of 2^64 - 1 bytes");
    let long = format!("{{{}}}", " ".repeat(17 << 20));
    let error = decode(&file_with(&long, b"").into()).unwrap_err().to_string();
    assert!(error.contains("longer than 16 MiB"), "{error}");
}

#[test]
fn other_number_types_are_named() {
    let header = r#"{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}"#;
    let error = decode(&file_with(header, &[0; 4]).into()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "tensor `a` is F16, which cannot be read here; copy or train the model again"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_sound(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        assert_sound(&bytes);
        let _ = Manifest::parse(&bytes, Path::new(MANIFEST));
    }

    #[test]
    fn any_header_is_refused_or_sound(
        header in r#"\{("a":\{("dtype":"(F32|BF16|U8|F4)",|"shape":\[[0-9]{1,20}(,[0-9])?\],|"data_offsets":\[0,[0-9]{1,20}\],?){3}\})?\}"#,
        data in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        assert_sound(&file_with(&header, &data));
    }
}
