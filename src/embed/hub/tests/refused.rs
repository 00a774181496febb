//! Downloads that fail, and that they leave no half file behind.

use std::error::Error;
use std::time::Instant;

use super::*;

#[test]
fn redirects_come_to_an_end() {
    let (server, folder) = (encoder(), tempfile::tempdir().unwrap());
    server.put("config.json", Answer::redirect("config.json"));
    let error = fetch_all(&server, folder.path()).unwrap_err();
    assert!(matches!(error, HubError::Redirect { .. }), "{error}");
}

#[test]
fn an_unknown_repository_says_so() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let error = fetch_all(&server, folder.path()).unwrap_err();
    let url = format!("{}/owner/name/resolve/main/config.json", server.endpoint);
    assert!(matches!(&error, HubError::NotFound { url: found } if *found == url), "{error}");
    assert!(files(folder.path()).is_empty());
}

#[test]
fn a_closed_repository_asks_for_a_token() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    for status in [401, 403] {
        server.put("modules.json", Answer::status(status));
        let error = fetch_all(&server, folder.path()).unwrap_err();
        assert!(matches!(error, HubError::Denied { status: found, .. } if found == status), "{error}");
    }
    server.put("modules.json", Answer::status(503));
    let error = fetch_all(&server, folder.path()).unwrap_err();
    assert!(matches!(error, HubError::Status { status: 503, .. }), "{error}");
}

#[test]
fn a_body_that_breaks_off_leaves_nothing() {
    let (server, folder) = (encoder(), tempfile::tempdir().unwrap());
    server.put("model.safetensors", Answer::file(WEIGHTS).cut(10));
    let error = fetch_all(&server, folder.path()).unwrap_err();
    assert!(matches!(error, HubError::Length { expected: 33, found: 10, .. }), "{error}");
    assert_eq!(files(folder.path()), ["config.json", "tokenizer.json"]);

    // Nor does one that never said how long it is, but for the hub.
    let short = Answer::without_length(&WEIGHTS[..20]).header("X-Linked-Size", "33");
    server.put("model.safetensors", short);
    let error = fetch_all(&server, folder.path()).unwrap_err();
    assert!(matches!(error, HubError::Length { expected: 33, found: 20, .. }), "{error}");
    let broken = Answer::without_length("5\r\nab").header("Transfer-Encoding", "chunked");
    server.put("model.safetensors", broken);
    let error = fetch_all(&server, folder.path()).unwrap_err();
    assert!(matches!(error, HubError::Network { .. }), "{error}");
    assert_eq!(files(folder.path()), ["config.json", "tokenizer.json"]);
}

#[test]
fn other_bytes_than_announced_leave_nothing() {
    let (server, folder) = (encoder(), tempfile::tempdir().unwrap());
    for header in ["ETag", "X-Linked-Etag"] {
        let other = hash(b"other").to_uppercase();
        server.put("model.safetensors", Answer::file(WEIGHTS).header(header, &format!("\"{other}\"")));
        let error = fetch_all(&server, folder.path()).unwrap_err();
        assert!(matches!(&error, HubError::Hash { found, .. } if *found == hash(WEIGHTS)), "{error}");
        assert_eq!(files(folder.path()), ["config.json", "tokenizer.json"]);
    }
}

#[test]
fn no_file_leads_out_of_the_folder() {
    let (server, folder) = (encoder(), tempfile::tempdir().unwrap());
    let to = folder.path().join("inside");
    server.put("model.safetensors", Answer::status(404));
    for evil in ["../x.safetensors", "/x.safetensors", "a/x.safetensors", "config.json"] {
        let index = format!(r#"{{"weight_map": {{"a": "fine.safetensors", "b": "{evil}"}}}}"#);
        server.put("model.safetensors.index.json", Answer::file(index));
        let error = fetch_all(&server, &to).unwrap_err();
        assert!(matches!(&error, HubError::File { problem, .. } if problem.contains(evil)), "{error}");
    }
    for evil in ["..", "../x", "/x", "a/../../x"] {
        server.put("modules.json", Answer::file(format!(r#"[{{"path": "{evil}", "type": "Pooling"}}]"#)));
        let error = fetch_all(&server, &to).unwrap_err();
        assert!(matches!(&error, HubError::File { problem, .. } if problem.contains(evil)), "{error}");
    }
    assert!(server.seen().iter().all(|seen| !seen.path.contains("..") && !seen.path.contains("fine")));
    assert!(files(folder.path()).iter().all(|file| file.starts_with("inside/")));
}

#[test]
fn a_repository_of_pickles_says_how_to_convert_them() {
    let (server, folder) = (encoder(), tempfile::tempdir().unwrap());
    server.put("model.safetensors", Answer::status(404));
    server.put("pytorch_model.bin", Answer::file(WEIGHTS));
    let error = fetch_all(&server, folder.path()).unwrap_err();
    assert!(matches!(error, HubError::NoSafetensors { .. }), "{error}");
    assert!(error.to_string().contains("from_pretrained('owner/name').save_pretrained("));
    assert!(!folder.path().join("pytorch_model.bin").exists());
}

#[test]
fn wrong_names_ask_nobody() {
    let (server, folder) = (encoder(), tempfile::tempdir().unwrap());
    let ask = |name: &str, change: &dyn Fn(&mut HubOptions)| {
        let mut options = options(&server);
        change(&mut options);
        download(name, folder.path(), &options, |_, _| ()).unwrap_err()
    };
    assert!(matches!(ask("../name", &|_| ()), HubError::Repository { .. }));
    let error = ask("owner/name", &|options| options.revision = "../main".to_owned());
    assert!(matches!(error, HubError::Revision { .. }));
    for endpoint in
        ["", "huggingface.co", "ftp://hub.test", "https://a:secret@hub.test", "https://hub.test?x"]
    {
        let error = ask("owner/name", &|options| options.endpoint = endpoint.to_owned());
        assert!(matches!(error, HubError::Endpoint { .. }), "{endpoint}: {error}");
        assert!(!error.to_string().contains("secret"));
    }
    let error = ask("owner/name", &|options| options.token = Some("secret\n".to_owned()));
    assert!(matches!(error, HubError::Token) && !format!("{error:?} {error}").contains("secret"));
    assert!(server.seen().is_empty());
}

#[test]
fn no_file_grows_beyond_its_limit() {
    let (server, folder) = (encoder(), tempfile::tempdir().unwrap());
    let large = vec![b' '; MOST_JSON as usize + 1];
    for answer in [Answer::file(large.clone()), Answer::without_length(large)] {
        server.put("config.json", answer);
        let error = fetch_all(&server, folder.path()).unwrap_err();
        assert!(matches!(error, HubError::TooLarge { most: MOST_JSON, .. }), "{error}");
        assert!(files(folder.path()).is_empty());
    }
    server.put("config.json", Answer::file("{}"));
    let options = HubOptions { most_bytes: 32, ..options(&server) };
    let error = download("owner/name", folder.path(), &options, |_, _| ()).unwrap_err();
    assert!(matches!(error, HubError::TooLarge { most: 32, .. }), "{error}");
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let (server, folder) = (encoder(), tempfile::tempdir().unwrap());
    server.put("config.json", Answer::file("{   }").cut(1).silent());
    let hub = Hub::new("owner/name", &options(&server), Duration::from_millis(300)).unwrap();
    let started = Instant::now();
    let error = Folder::new(&hub, folder.path(), &mut |_, _| ()).fetch("config.json", 10).unwrap_err();
    assert!(matches!(error, HubError::Network { .. }), "{error}");
    assert!(error.source().is_some());
    assert!(started.elapsed() < Duration::from_secs(20));
    assert!(files(folder.path()).is_empty());
}

#[test]
fn no_server_and_no_disk_are_told_apart() {
    let (server, folder) = (encoder(), tempfile::tempdir().unwrap());
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = fetch_all(&server, &file).unwrap_err();
    assert!(matches!(error, HubError::Io { .. }), "{error}");
    // A port that nobody listens at.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options = HubOptions { endpoint: format!("http://{nobody}"), ..HubOptions::default() };
    let error = download("owner/name", folder.path(), &options, |_, _| ()).unwrap_err();
    assert!(matches!(error, HubError::Network { .. }), "{error}");
}

#[test]
fn a_server_without_encryption_is_no_https() {
    let (server, folder) = (encoder(), tempfile::tempdir().unwrap());
    let endpoint = server.endpoint.replace("http:", "https:");
    let options = HubOptions { endpoint, ..HubOptions::default() };
    let error = download("owner/name", folder.path(), &options, |_, _| ()).unwrap_err();
    assert!(matches!(error, HubError::Network { .. }), "{error}");
    assert!(server.seen().is_empty());
}
