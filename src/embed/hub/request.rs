//! One request to the hub, with all its redirects.
//!
//! The hub answers small files itself and sends large ones on to a storage host. The length and
//! SHA-256 in its redirect are kept; the token is not sent to the other host.

use std::io::Read;
use std::time::Duration;

use ureq::http::header::{AUTHORIZATION, CONTENT_LENGTH, ETAG, LOCATION};
use ureq::http::{HeaderMap, Uri};
use ureq::{Agent, Body};

use super::names;
use super::{HubError, HubOptions};
use crate::embed::named::is_repository;

/// A repository at one revision.
pub(super) struct Hub {
    agent: Agent,
    /// The address of its files, with a slash behind it.
    base: String,
    token: Option<String>,
}

/// What the server says about a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Announced {
    pub(super) length: Option<u64>,
    /// 64 small hex digits.
    pub(super) sha256: Option<String>,
}

/// Whether the file itself is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Head,
    Get,
}

struct Reply {
    status: u16,
    announced: Announced,
    body: Body,
}

impl Hub {
    const MOST_REDIRECTS: usize = 10;

    /// Checks all names; sends nothing yet.
    pub(super) fn new(repository: &str, options: &HubOptions, patience: Duration) -> Result<Self, HubError> {
        if !is_repository(repository) {
            return Err(HubError::Repository { repository: repository.to_owned() });
        }
        let revision = names::revision(&options.revision)
            .ok_or_else(|| HubError::Revision { revision: options.revision.clone() })?;
        let endpoint = options.endpoint.trim_end_matches('/');
        let address = parse_endpoint(endpoint)?;
        let is_token =
            |token: &String| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        if !options.token.iter().all(is_token) {
            return Err(HubError::Token);
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            // Followed here, where the token can be left out.
            .max_redirects(0)
            .user_agent(concat!("talkformer/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(patience))
            .timeout_connect(Some(patience))
            .timeout_recv_response(Some(patience))
            .timeout_per_read(Some(patience))
            .timeout_per_write(Some(patience));
        if matches!(address.host(), Some("localhost" | "127.0.0.1" | "[::1]")) {
            // A mirror on this machine is not behind the proxy that the environment may name.
            config = config.proxy(None);
        }
        let base = format!("{endpoint}/{repository}/resolve/{revision}/");
        Ok(Self { agent: config.build().into(), base, token: options.token.clone() })
    }

    /// The address of a file.
    pub(super) fn url(&self, file: &str) -> String {
        format!("{}{file}", self.base)
    }

    /// What the hub says about a file, without downloading it; empty if it does not say.
    pub(super) fn announced(&self, file: &str) -> Result<Announced, HubError> {
        let reply = self.ask(Method::Head, &self.url(file))?;
        Ok(if reply.status < 400 { reply.announced } else { Announced::default() })
    }

    /// The file, if there is one.
    pub(super) fn open(&self, file: &str) -> Result<Option<(Announced, impl Read)>, HubError> {
        let url = self.url(file);
        let reply = self.ask(Method::Get, &url)?;
        match reply.status {
            200 => Ok(Some((reply.announced, reply.body.into_reader()))),
            404 => Ok(None),
            status @ (401 | 403) => Err(HubError::Denied { url, status }),
            status => Err(HubError::Status { url, status }),
        }
    }

    fn ask(&self, method: Method, url: &str) -> Result<Reply, HubError> {
        let start: Uri = url.parse().map_err(|_| HubError::Endpoint { endpoint: url.to_owned() })?;
        let (mut at, mut home, mut linked) = (start.clone(), true, Announced::default());
        for _ in 0..=Self::MOST_REDIRECTS {
            let reply = self.ask_once(method, &at, home, url)?;
            let (status, headers) = (reply.status().as_u16(), reply.headers());
            if home {
                linked = linked.or(Announced {
                    length: number(headers, "x-linked-size"),
                    sha256: sha256(headers, "x-linked-etag"),
                });
            }
            if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                // The `ETag` of another host is no SHA-256.
                let sha256 = if home { sha256(headers, ETAG.as_str()) } else { None };
                let own = Announced { length: number(headers, CONTENT_LENGTH.as_str()), sha256 };
                return Ok(Reply { status, announced: linked.or(own), body: reply.into_body() });
            }
            let next = redirected(&at, headers, url)?;
            home &= origin(&next) == origin(&start);
            if method == Method::Head && !home {
                // A signed address may allow nothing but the download itself.
                return Ok(Reply { status, announced: linked, body: reply.into_body() });
            }
            at = next;
        }
        let problem = "there are too many such steps";
        Err(HubError::Redirect { url: url.to_owned(), to: without_query(&at.to_string()), problem })
    }

    fn ask_once(
        &self,
        method: Method,
        at: &Uri,
        home: bool,
        url: &str,
    ) -> Result<ureq::http::Response<Body>, HubError> {
        let request = match method {
            Method::Head => self.agent.head(at),
            Method::Get => self.agent.get(at),
        };
        // A compressed body would have another length than the file.
        let request = request.header("accept-encoding", "identity");
        let request = match &self.token {
            Some(token) if home => request.header(AUTHORIZATION, format!("Bearer {token}")),
            _ => request,
        };
        request.call().map_err(|error| HubError::Network { url: url.to_owned(), error: error.into_io() })
    }
}

impl Announced {
    /// What is not said here, from `other`.
    fn or(self, other: Self) -> Self {
        Self { length: self.length.or(other.length), sha256: self.sha256.or(other.sha256) }
    }
}

fn parse_endpoint(endpoint: &str) -> Result<Uri, HubError> {
    let parsed = endpoint.parse::<Uri>().ok().filter(|uri| {
        let known = matches!(uri.scheme_str(), Some("http" | "https"));
        let bare = uri.query().is_none() && !endpoint.contains(['@', '#']);
        known && bare && uri.host().is_some_and(|host| !host.is_empty())
    });
    parsed.ok_or_else(|| {
        let shown = endpoint.rsplit('@').next().unwrap_or_default();
        HubError::Endpoint { endpoint: shown.to_owned() }
    })
}

/// Where a redirect leads.
fn redirected(from: &Uri, headers: &HeaderMap, url: &str) -> Result<Uri, HubError> {
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let refused = |problem| HubError::Redirect { url: url.to_owned(), to: without_query(location), problem };
    let next = join(from, location).ok_or_else(|| refused("that is no address"))?;
    match (from.scheme_str(), next.scheme_str()) {
        (Some("https"), Some("http")) => Err(refused("that is not encrypted")),
        (_, Some("http" | "https")) => Ok(next),
        _ => Err(refused("that is no address of the web")),
    }
}

/// An address, relative to another.
fn join(from: &Uri, location: &str) -> Option<Uri> {
    let (scheme, authority) = (from.scheme_str()?, from.authority()?);
    let whole = if location.is_empty() {
        return None;
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else if location.split(['/', '?', '#']).next().is_some_and(|start| start.ends_with(':')) {
        location.to_owned()
    } else {
        let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    whole.parse().ok().filter(|uri: &Uri| uri.host().is_some())
}

/// Scheme, host and port.
fn origin(uri: &Uri) -> (Option<&str>, Option<String>, u16) {
    let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    (uri.scheme_str(), uri.host().map(str::to_ascii_lowercase), uri.port_u16().unwrap_or(usual))
}

/// The query of a storage host is a signature that gives access.
fn without_query(address: &str) -> String {
    address.split('?').next().unwrap_or_default().to_owned()
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// The tag of a large file is its SHA-256; others are shorter.
fn sha256(headers: &HeaderMap, name: &str) -> Option<String> {
    let tag = headers.get(name)?.to_str().ok()?.trim();
    let tag = tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"');
    (tag.len() == 64 && tag.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| tag.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_read_as_browsers_read_them() {
        let from: Uri = "https://hub.test:8443/a/b?c".parse().unwrap();
        let to = |location| join(&from, location).map(|uri| uri.to_string());
        assert_eq!(to("https://other.test/x?y=z").as_deref(), Some("https://other.test/x?y=z"));
        assert_eq!(to("//other.test/x").as_deref(), Some("https://other.test/x"));
        assert_eq!(to("/x").as_deref(), Some("https://hub.test:8443/x"));
        assert_eq!(to("x?to=http://y").as_deref(), Some("https://hub.test:8443/a/x?to=http://y"));
        assert_eq!(to(""), None);
        assert_eq!(to("file:///etc/passwd"), None);
    }

    #[test]
    fn a_redirect_never_gives_up_encryption() {
        let from: Uri = "https://hub.test/a".parse().unwrap();
        let headers = HeaderMap::from_iter([(LOCATION, "http://hub.test/a?secret".parse().unwrap())]);
        let error = redirected(&from, &headers, "u").unwrap_err();
        assert!(matches!(&error, HubError::Redirect { to, .. } if to == "http://hub.test/a"), "{error}");
    }

    #[test]
    fn another_scheme_host_or_port_is_another_origin() {
        let uri = |text: &str| text.parse::<Uri>().unwrap();
        let home = uri("https://hub.test/a");
        assert_eq!(origin(&home), origin(&uri("https://HUB.test:443/b")));
        for other in
            ["http://hub.test", "https://hub.test:8443", "https://hub.test.evil", "https://a.hub.test"]
        {
            assert_ne!(origin(&home), origin(&uri(other)), "{other}");
        }
    }
}
