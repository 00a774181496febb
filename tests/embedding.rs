//! `embed`, `similar`, `attention` and `vectors convert`, run as programs.

mod common;

use std::fs;
use std::path::Path;

use common::{command, encoder, run, stderr, stdout, workplace};
use serde_json::Value;

const VECTORS: &str = "money 2 0 0\nriver 0 2 0\nbank 1 1 0\nthe 0 0 0.5\n";

fn tiny(family: &str) -> String {
    encoder(family).display().to_string()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Files that are being written end in `.tmp`.
fn assert_nothing_unfinished(folder: &Path) {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let unfinished: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "tmp")).collect();
    assert!(unfinished.is_empty(), "{unfinished:?}");
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

#[test]
fn lines_become_lines_and_the_same_numbers_in_every_format() {
    let folder = workplace(false);
    let model = tiny("bert");
    fs::write(folder.path().join("texts.txt"), "money in the bank\n\nthe bank of the river\n").unwrap();
    let texts = ["money in the bank", "", "the bank of the river"];
    let json: String =
        texts.iter().map(|text| serde_json::json!({"id": 1, "text": text}).to_string() + "\n").collect();
    fs::write(folder.path().join("texts.jsonl"), json).unwrap();

    let found = lines(&stdout(&run(folder.path(), &["embed", "--model", &model, "--input", "texts.txt"])));
    assert_eq!(found.iter().map(|line| line["text"].as_str().unwrap()).collect::<Vec<_>>(), texts);
    let expected: Vec<f64> = found.iter().flat_map(|line| numbers(&line["embedding"])).collect();
    assert_eq!(expected.len(), 36);

    for (input, out) in [("texts.txt", "x.npy"), ("texts.jsonl", "y.npy")] {
        let output = run(folder.path(), &["embed", "--model", &model, "--input", input, "--out", out]);
        assert!(output.status.success() && stdout(&output).is_empty(), "{}", stderr(&output));
        assert_nothing_unfinished(folder.path());
    }
    let npy = fs::read(folder.path().join("x.npy")).unwrap();
    assert!(npy.starts_with(
        b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (3, 12), }"
    ));
    let values: Vec<f32> =
        npy[128..].as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    assert_eq!(values.len(), 36);
    assert!(values.iter().zip(&expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5));
    assert_eq!(npy, fs::read(folder.path().join("y.npy")).unwrap());
}

#[cfg(feature = "arrow")]
#[test]
fn arrow_files_hold_the_numbers_of_the_array() {
    let folder = workplace(false);
    for out in ["x.npy", "x.arrow"] {
        let output =
            run(folder.path(), &["embed", "--model", &tiny("bert"), "--out", out, "a bank", "the river"]);
        assert!(output.status.success() && stdout(&output).is_empty(), "{}", stderr(&output));
    }
    let npy = fs::read(folder.path().join("x.npy")).unwrap();
    let arrow = fs::read(folder.path().join("x.arrow")).unwrap();
    assert!(arrow.starts_with(b"ARROW1") && arrow.ends_with(b"ARROW1"));
    // The numbers lie in one piece, as they do in the array.
    assert!(arrow.windows(npy.len() - 128).any(|part| part == &npy[128..]));
}

#[cfg(feature = "hub")]
#[test]
fn a_download_that_fails_names_what_was_asked_for_and_leaves_no_folder() {
    let folder = workplace(false);
    // Nobody listens there, and a wrong name asks nobody.
    for (repository, word) in [("somebody/encoder", "127.0.0.1:9"), ("../encoder", "../encoder")] {
        let output = run(folder.path(), &["download", repository, "to", "--endpoint", "http://127.0.0.1:9"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(word), "{}", stderr(&output));
        assert!(!folder.path().join("to/config.json").exists());
    }
}

#[cfg(not(feature = "arrow"))]
#[test]
fn without_arrow_the_program_says_how_to_get_it() {
    let folder = workplace(false);
    let output = run(folder.path(), &["embed", "--model", &tiny("bert"), "--out", "x.arrow", "a bank"]);
    assert!(!output.status.success() && stderr(&output).contains("--features arrow"), "{}", stderr(&output));
}

#[test]
fn tokens_come_with_their_places_in_characters() {
    let folder = workplace(false);
    let output = run(folder.path(), &["embed", "--model", &tiny("bert"), "--tokens", "Zürich bank"]);
    let line = &lines(&stdout(&output))[0];
    let tokens = line["tokens"].as_array().unwrap();
    let last = tokens.last().unwrap();
    assert_eq!((last["end"].as_u64(), numbers(&last["embedding"]).len()), (Some(11), 12));
    let covered: String = tokens.iter().map(|token| token["text"].as_str().unwrap()).collect();
    assert_eq!(covered, "Zürichbank");
}

#[test]
fn similar_lines_are_found_and_word_vectors_convert() {
    let folder = workplace(false);
    fs::write(folder.path().join("words.txt"), VECTORS).unwrap();
    fs::write(folder.path().join("faq.txt"), "the river\nthe money\nnothing known\n").unwrap();
    let output = run(folder.path(), &["vectors", "convert", "words.txt", "words.safetensors"]);
    assert!(
        output.status.success() && stderr(&output).contains("4 words of 3 numbers"),
        "{}",
        stderr(&output)
    );
    for model in ["words.txt", "words.safetensors"] {
        let arguments =
            ["similar", "--model", model, "--input", "faq.txt", "--most", "2", "--json", "money bank"];
        let answer = lines(&stdout(&run(folder.path(), &arguments))).pop().unwrap();
        let hits = answer["similar"].as_array().unwrap();
        assert_eq!(
            (hits.len(), hits[0]["line"].as_u64(), &hits[0]["text"]),
            (2, Some(2), &"the money".into())
        );
        assert!(hits[0]["similarity"].as_f64() > hits[1]["similarity"].as_f64());
    }
    let arguments = ["similar", "--model", "words.txt", "--input", "faq.txt", "river"];
    let shown = stdout(&run(folder.path(), &arguments));
    assert!(shown.starts_with("river\n  ") && shown.contains("line 1: the river"), "{shown}");
}

#[test]
fn attention_is_shown_as_a_table_a_picture_and_numbers() {
    let folder = workplace(false);
    let model = tiny("mpnet");
    let show = |more: &[&str]| {
        let arguments = [&["attention", "--model", &model, "money in the bank"][..], more].concat();
        run(folder.path(), &arguments)
    };
    let table = stdout(&show(&["--layer", "1", "--head", "2", "--svg", "bank.svg"]));
    assert!(
        table.starts_with("layer 1 of 2, head 2 of 3, in percent: each row attends to the columns\n"),
        "{table}"
    );
    let svg = fs::read_to_string(folder.path().join("bank.svg")).unwrap();
    assert!(svg.contains("head 2") && !svg.contains("head 1"));
    let found = lines(&stdout(&show(&["--json"]))).pop().unwrap();
    assert_eq!(table.lines().count(), 2 + found["tokens"].as_array().unwrap().len());
    let sum: f64 = numbers(&found["layers"][1][2][3]).iter().sum();
    assert!((sum - 1.0).abs() < 1e-5);
    for (flag, hint) in [("--layer", "the encoder has 2"), ("--head", "a layer has 3")] {
        let output = show(&[flag, "9"]);
        assert!(!output.status.success() && stderr(&output).contains(hint), "{}", stderr(&output));
    }
}

#[test]
fn a_trained_model_embeds_too() {
    let folder = workplace(true);
    let texts = ["take me to Prague please", "take me to Rome please", "many thanks"];
    let output = run(folder.path(), &[&["embed", "--model", "model"][..], &texts].concat());
    let rows: Vec<Vec<f64>> =
        lines(&stdout(&output)).iter().map(|line| numbers(&line["embedding"])).collect();
    let alike = |a: usize, b: usize| rows[a].iter().zip(&rows[b]).map(|(a, b)| a * b).sum::<f64>();
    assert!(alike(0, 1) > alike(0, 2) && (alike(0, 0) - 1.0).abs() < 1e-5);
    let output = run(folder.path(), &["attention", "--model", "model", "x"]);
    assert!(stderr(&output).contains("no attention weights"), "{}", stderr(&output));
}

#[test]
fn what_cannot_be_embedded_says_what_to_change() {
    let folder = workplace(false);
    let write = |name: &str, content: &[u8]| fs::write(folder.path().join(name), content).unwrap();
    write("words.txt", VECTORS.as_bytes());
    write("short.txt", b"money 2 0 0\nriver 0 2\n");
    write("broken.txt", b"money 2 0\nr\xffver 0 2\n");
    write("header.vec", b"3 2\nmoney 2 0\nriver 0 2\n");
    write("not.jsonl", b"{\"text\": \"a\"}\nplain\n");
    write("latin.txt", b"caf\xe9\n");
    fs::create_dir(folder.path().join("empty")).unwrap();
    let model = tiny("bert");
    let cases: [(&[&str], &[&str]); 9] = [
        (&["--model", "nowhere", "x"], &["nowhere", "cannot be read"]),
        (&["--model", "empty", "x"], &["empty", "config.json"]),
        (&["--model", "short.txt", "x"], &["short.txt:2", "2 numbers, where 3"]),
        (&["--model", "broken.txt", "x"], &["broken.txt:2", "UTF-8"]),
        (&["--model", "header.vec", "x"], &["header.vec", "3 words"]),
        (&["--model", "words.txt", "--input", "not.jsonl"], &["not.jsonl:2", "field `text`"]),
        (&["--model", "words.txt", "--input", "latin.txt"], &["latin.txt:1", "UTF-8"]),
        (&["--model", &model, "--format", "npy", "x"], &["--out"]),
        (&["--model", &model, "--tokens", "--out", "x.npy", "y"], &["--tokens"]),
    ];
    for (arguments, words) in cases {
        let output = run(folder.path(), &[&["embed"][..], arguments].concat());
        assert!(!output.status.success(), "{arguments:?}");
        let error = stderr(&output);
        assert!(words.iter().all(|word| error.contains(word)), "{arguments:?}: {error}");
    }
    let output = run(folder.path(), &["embed", "--model", &model, "--out", "empty", "x"]);
    assert!(!output.status.success() && stderr(&output).contains("empty: cannot be written"));
    assert!(!folder.path().join("x.npy").exists());
    assert_nothing_unfinished(folder.path());
    let output = run(folder.path(), &["vectors", "convert", "broken.txt", "b.safetensors", "--lossy"]);
    assert!(
        output.status.success() && stderr(&output).contains("warning: broken.txt:2"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_line_that_cannot_be_read_becomes_an_error_and_the_others_vectors() {
    let folder = workplace(false);
    fs::write(folder.path().join("words.txt"), VECTORS).unwrap();
    fs::write(folder.path().join("in.txt"), b"money\nca\xe9\nriver").unwrap();
    fs::write(folder.path().join("in.jsonl"), "{\"text\": \"money\"}\nplain\n{\"text\": \"river\"}\n")
        .unwrap();
    for input in ["in.txt", "in.jsonl"] {
        for more in [&[][..], &["--tokens"]] {
            let arguments = [&["embed", "--model", "words.txt", "--input", input], more].concat();
            let output = run(folder.path(), &arguments);
            assert_eq!(output.status.code(), Some(1));
            assert!(stderr(&output).contains(&format!("error: {input}:2: ")), "{}", stderr(&output));
            let lines = lines(&stdout(&output));
            let texts: Vec<&str> = lines.iter().map(|line| line["text"].as_str().unwrap()).collect();
            assert_eq!(texts, ["money", "", "river"]);
            assert_eq!((&lines[1]["error"]["line"], lines[2].get("error")), (&2.into(), None));
        }
        // In an array row n is line n.
        let output =
            run(folder.path(), &["embed", "--model", "words.txt", "--input", input, "--out", "x.npy"]);
        assert!(output.status.code() == Some(1) && stderr(&output).contains(&format!("{input}:2")));
        assert!(!folder.path().join("x.npy").exists());
    }
    let mut similar = command(
        folder.path(),
        &["similar", "--model", "words.txt", "--input", "words.txt", "--most", "1", "--json"],
    );
    let output = similar.stdin(fs::File::open(folder.path().join("in.txt")).unwrap()).output().unwrap();
    let found = lines(&stdout(&output));
    assert_eq!((found.len(), &found[1]["error"]["line"], output.status.code()), (3, &2.into(), Some(1)));
    assert_nothing_unfinished(folder.path());
}

#[test]
fn long_texts_are_counted() {
    let folder = workplace(false);
    let long = "money in the bank ".repeat(30);
    let mut embed = command(folder.path(), &["embed", "--model", &tiny("bert")]);
    let output = embed.arg(&long).output().unwrap();
    assert!(stderr(&output).contains("1 texts were longer than the model takes"), "{}", stderr(&output));
    let output = run(folder.path(), &["embed", "--model", &tiny("bert"), "--long-texts", "split", &long]);
    assert!(output.status.success() && stderr(&output).is_empty());
}
