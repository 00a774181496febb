//! Downloads from a hub on this machine; nothing here needs the network.

mod refused;
mod server;

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::*;
use server::{Answer, Server};

const WEIGHTS: &[u8] = b"the weights of a very small model";

/// A plain encoder.
fn encoder() -> Server {
    let server = Server::start();
    server.put("config.json", Answer::file("{}"));
    server.put("tokenizer.json", Answer::file("{ }"));
    server.put("model.safetensors", Answer::file(WEIGHTS));
    server
}

fn options(server: &Server) -> HubOptions {
    HubOptions { endpoint: server.endpoint.clone(), ..HubOptions::default() }
}

fn fetch_all(server: &Server, to: &Path) -> Result<(), HubError> {
    download("owner/name", to, &options(server), |_, _| ())
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            found.extend(files(&entry.path()).iter().map(|file| format!("{name}/{file}")));
        } else {
            found.push(name);
        }
    }
    found.sort();
    found
}

fn hash(bytes: &[u8]) -> String {
    crate::files::hex(Sha256::new_with_prefix(bytes))
}

/// The paths that a server was asked for the whole of.
fn gets(server: &Server) -> Vec<String> {
    server.seen().iter().filter(|seen| seen.method == "GET").map(|seen| seen.path.clone()).collect()
}

#[test]
fn a_plain_encoder_arrives_whole() {
    let (server, folder) = (encoder(), tempfile::tempdir().unwrap());
    let to = folder.path().join("new/folder");
    let mut progress = BTreeMap::new();
    download("owner/name", &to, &options(&server), |file, bytes| {
        progress.insert(file.to_owned(), bytes);
    })
    .unwrap();
    assert_eq!(files(&to), ["config.json", "model.safetensors", "tokenizer.json"]);
    assert_eq!(fs::read(to.join("model.safetensors")).unwrap(), WEIGHTS);
    assert_eq!(progress["model.safetensors"], WEIGHTS.len() as u64);
}

#[test]
fn sentence_transformers_say_where_the_encoder_lies() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let modules = r#"[{"path": "0_Transformer", "type": "sentence_transformers.models.Transformer"},
        {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"path": "2_Dense", "type": "sentence_transformers.base.modules.dense.Dense"},
        {"path": "3_Normalize", "type": "sentence_transformers.models.Normalize"}]"#;
    server.put("modules.json", Answer::file(modules));
    for file in [
        "1_Pooling/config.json",
        "2_Dense/config.json",
        "2_Dense/model.safetensors",
        "config_sentence_transformers.json",
    ] {
        server.put(file, Answer::file("{}"));
    }
    for file in ["config.json", "tokenizer.json", "sentence_bert_config.json", "model.safetensors"] {
        server.put(&format!("0_Transformer/{file}"), Answer::file("{}"));
    }
    fetch_all(&server, folder.path()).unwrap();
    assert_eq!(
        files(folder.path()),
        [
            "0_Transformer/config.json",
            "0_Transformer/model.safetensors",
            "0_Transformer/sentence_bert_config.json",
            "0_Transformer/tokenizer.json",
            "1_Pooling/config.json",
            "2_Dense/config.json",
            "2_Dense/model.safetensors",
            "config_sentence_transformers.json",
            "modules.json",
        ]
    );
}

#[test]
fn shards_come_with_their_index() {
    let (server, folder) = (encoder(), tempfile::tempdir().unwrap());
    server.put("model.safetensors", Answer::status(404));
    let index = r#"{"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors", "c": "m-1.safetensors"}}"#;
    server.put("model.safetensors.index.json", Answer::file(index));
    server.put("m-1.safetensors", Answer::file("1"));
    let error = fetch_all(&server, folder.path()).unwrap_err();
    assert!(matches!(&error, HubError::Missing { url, .. } if url.ends_with("/m-2.safetensors")), "{error}");
    server.put("m-2.safetensors", Answer::file("2"));
    fetch_all(&server, folder.path()).unwrap();
    assert_eq!(
        files(folder.path())[1..4],
        ["m-1.safetensors", "m-2.safetensors", "model.safetensors.index.json"]
    );
}

#[test]
fn the_token_stays_with_the_hub() {
    let (server, store, folder) = (encoder(), Server::start(), tempfile::tempdir().unwrap());
    let away = Answer::redirect(&format!("{}/blob?signature=1", store.endpoint));
    let away = away.header("X-Linked-Size", &WEIGHTS.len().to_string());
    server.put("model.safetensors", away.header("X-Linked-Etag", &format!("\"{}\"", hash(WEIGHTS))));
    store.at("/blob?signature=1", Answer::file(WEIGHTS));
    // Within the hub the token goes along.
    server.put("config.json", Answer::redirect("/cache/config.json"));
    server.at("/cache/config.json", Answer::file("{}"));
    let options = HubOptions { token: Some("hf_secret".to_owned()), ..options(&server) };
    download("owner/name", folder.path(), &options, |_, _| ()).unwrap();

    assert_eq!(store.seen().len(), 1);
    assert!(store.seen().iter().all(|seen| seen.authorization.is_none()));
    assert!(server.seen().iter().any(|seen| seen.path == "/cache/config.json"));
    assert!(server.seen().iter().all(|seen| seen.authorization.as_deref() == Some("Bearer hf_secret")));
    assert!(!format!("{options:?}").contains("secret"));

    // What is whole is not fetched again, from either of them.
    server.seen().clear();
    download("owner/name", folder.path(), &options, |_, _| ()).unwrap();
    assert_eq!(store.seen().len(), 1);
    assert!(gets(&server).iter().all(|path| !folder.path().join(path.rsplit('/').next().unwrap()).is_file()));
}

#[test]
fn a_stranger_gets_no_token_and_sets_no_hash() {
    let (server, store, folder) = (encoder(), Server::start(), tempfile::tempdir().unwrap());
    server.put("model.safetensors", Answer::redirect(&format!("{}/blob", store.endpoint)));
    store.at("/blob", Answer::redirect(&format!("{}/elsewhere", server.endpoint)));
    // A tag that did not come from the hub itself is no SHA-256.
    server.at("/elsewhere", Answer::file(WEIGHTS).header("ETag", &hash(b"other")));
    let options = HubOptions { token: Some("hf_secret".to_owned()), ..options(&server) };
    download("owner/name", folder.path(), &options, |_, _| ()).unwrap();
    let seen = server.seen().iter().find(|seen| seen.path == "/elsewhere").cloned().unwrap();
    assert_eq!(seen.authorization, None);
}

#[test]
fn an_interrupted_download_goes_on() {
    let (server, folder) = (encoder(), tempfile::tempdir().unwrap());
    server.put("model.safetensors", Answer::file(WEIGHTS).cut(10));
    fetch_all(&server, folder.path()).unwrap_err();
    server.put("model.safetensors", Answer::file(WEIGHTS));
    server.seen().clear();
    fetch_all(&server, folder.path()).unwrap();
    let again = gets(&server);
    assert!(again.iter().any(|path| path.ends_with("/model.safetensors")), "{again:?}");
    assert!(!again.iter().any(|path| path.ends_with("/config.json") || path.ends_with("/tokenizer.json")));
}

#[test]
fn weights_of_another_revision_are_not_kept() {
    let (server, folder) = (encoder(), tempfile::tempdir().unwrap());
    let file = folder.path().join("model.safetensors");
    // As long as the right ones.
    fs::write(&file, vec![b'x'; WEIGHTS.len()]).unwrap();
    server.put("model.safetensors", Answer::file(WEIGHTS).header("X-Linked-Etag", &hash(WEIGHTS)));
    fetch_all(&server, folder.path()).unwrap();
    assert_eq!(fs::read(&file).unwrap(), WEIGHTS);
}

#[test]
fn errors_cross_threads() {
    fn check<T: Send + Sync + 'static>() {}
    check::<HubError>();
    check::<HubOptions>();
}
