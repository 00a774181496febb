//! A minimal hub that runs on this machine.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// What it answers to one path.
#[derive(Clone)]
pub(super) struct Answer {
    status: u16,
    headers: Vec<String>,
    body: Vec<u8>,
    /// How much of the body is sent before the connection closes, or falls silent.
    sent: usize,
    silent: bool,
}

impl Answer {
    /// A file, with its length.
    pub(super) fn file(body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let headers = vec![format!("Content-Length: {}", body.len())];
        Self { status: 200, headers, sent: body.len(), body, silent: false }
    }

    /// A file whose end is the end of the connection.
    pub(super) fn without_length(body: impl Into<Vec<u8>>) -> Self {
        Self { headers: Vec::new(), ..Self::file(body) }
    }

    /// No file.
    pub(super) fn status(status: u16) -> Self {
        Self { status, ..Self::file("") }
    }

    pub(super) fn redirect(to: &str) -> Self {
        Self::status(302).header("Location", to)
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push(format!("{name}: {value}"));
        self
    }

    /// Sends no more than so many bytes.
    pub(super) fn cut(mut self, sent: usize) -> Self {
        self.sent = sent;
        self
    }

    /// Never closes the connection.
    pub(super) fn silent(mut self) -> Self {
        self.silent = true;
        self
    }
}

/// A request that came in.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) authorization: Option<String>,
}

pub(super) struct Server {
    pub(super) endpoint: String,
    answers: Arc<Mutex<BTreeMap<String, Answer>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Answers 404 to everything.
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { endpoint, answers: Arc::default(), seen: Arc::default() };
        let (answers, seen) = (Arc::clone(&server.answers), Arc::clone(&server.seen));
        // Ends with the tests.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (answers, seen) = (Arc::clone(&answers), Arc::clone(&seen));
                thread::spawn(move || serve(stream.unwrap(), &answers, &seen));
            }
        });
        server
    }

    /// Sets the answer to a path.
    pub(super) fn at(&self, path: &str, answer: Answer) {
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// Sets the answer to a file of the repository `owner/name` at `main`.
    pub(super) fn put(&self, file: &str, answer: Answer) {
        self.at(&format!("/owner/name/resolve/main/{file}"), answer);
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap()
    }
}

fn serve(stream: TcpStream, answers: &Mutex<BTreeMap<String, Answer>>, seen: &Mutex<Vec<Seen>>) {
    let lines = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let lines: Vec<String> = lines.collect();
    let Some([method, path]) = lines.first().and_then(|line| {
        let mut words = line.split(' ').map(str::to_owned);
        Some([words.next()?, words.next()?])
    }) else {
        return;
    };
    let authorization = lines.iter().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("authorization").then(|| value.trim().to_owned())
    });
    seen.lock().unwrap().push(Seen { method: method.clone(), path: path.clone(), authorization });
    let answer = answers.lock().unwrap().get(&path).cloned().unwrap_or_else(|| Answer::status(404));
    let head = format!("HTTP/1.1 {} -\r\nConnection: close", answer.status);
    let head = answer.headers.iter().fold(head, |head, header| head + "\r\n" + header) + "\r\n\r\n";
    let mut stream = &stream;
    // The client may have hung up.
    let _ = stream.write_all(head.as_bytes());
    if method == "GET" {
        let _ = stream.write_all(&answer.body[..answer.sent]);
    }
    if answer.silent {
        thread::sleep(Duration::from_secs(30));
    }
}
