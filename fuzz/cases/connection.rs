//! Whatever a client of HTTP/1 says, servers are sent the requests that a strict reader finds in it, in their order, and
//! nothing else; and the client is sent whole answers.
//!
//! The input: how many bytes come at a time, then the bytes.

use http::Uri;
use proxyfile::http::target::Target;

use super::strict::{Request, answers, requests};
use super::through::{Protocol, pass};

pub fn run(data: &[u8]) {
    let [cut, wire @ ..] = data else { return };
    let passed = pass(Protocol::Http1, wire, usize::from(*cut));
    let meant = requests(wire);
    let mut left = meant.iter();
    for seen in &passed.seen {
        // Some are answered by rp, and some are refused.
        let same = left.find(|meant| is_of(seen, meant));
        let meant = same.unwrap_or_else(|| panic!("nobody meant {seen:#?}; meant was {meant:#?}"));
        fields(seen, meant);
    }
    let methods = meant.iter().map(|request| request.method.as_str());
    if let Err(why) = answers(&passed.answer, methods) {
        panic!("the client is sent {why}: {}", passed.answer.escape_ascii());
    }
}

fn is_of(seen: &Request, meant: &Request) -> bool {
    let target = Uri::try_from(meant.target.as_slice()).ok().and_then(|uri| Target::of(&uri).ok());
    seen.method == meant.method
        && target.is_some_and(|target| *target.wire() == *seen.target)
        && if seen.whole { seen.body == meant.body && meant.whole } else { meant.body.starts_with(&seen.body) }
}

/// Fields of an ordinary name come out as they went in, and none is made up.
fn fields(seen: &Request, meant: &Request) {
    let names = |request: &Request| -> Vec<String> {
        let ordinary = |name: &&String| is_ordinary(name) && !meant.lists("connection", name);
        request.fields.iter().map(|(name, _)| name).filter(ordinary).cloned().collect()
    };
    for name in names(seen).into_iter().chain(names(meant)) {
        let (out, wanted): (Vec<_>, Vec<_>) = (seen.values(&name).collect(), meant.values(&name).collect());
        assert_eq!(out, wanted, "{name}");
    }
}

/// Neither of one hop, nor about framing or forwarding, nor of a spelling that is taken out.
fn is_ordinary(name: &str) -> bool {
    const OTHERS: [&str; 12] = [
        "connection",
        "content-length",
        "expect",
        "forwarded",
        "host",
        "http2-settings",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
    ];
    !OTHERS.contains(&name)
        && !name.starts_with("x-")
        && !name.starts_with("proxy")
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
