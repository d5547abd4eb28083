//! What clients may do on a connection: how long they may take, and how much they may ask for.

use std::time::Duration;

use crate::check::value::{Count, Size};
use crate::check::{Arguments, Check, Reported};
use crate::diagnostic::{Code, Mistake, Span};

/// How long a client may take (defaults.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    pub handshake: Duration,
    /// From the first byte of a request's head to its last.
    pub header: Duration,
    /// Between two pieces of a request's body.
    pub body: Duration,
    /// Between two requests.
    pub idle: Duration,
    pub idle_http2: Duration,
    /// How long a client may refuse to take more of an answer.
    pub write: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(10),
            body: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            idle_http2: Duration::from_secs(180),
            write: Duration::from_secs(30),
        }
    }
}

/// How much a client may send (defaults.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub header: usize,
    pub uri: usize,
    pub fields: usize,
    /// On one connection; then it is closed in good order.
    pub requests: u32,
    /// How old one gets, before it is closed in good order.
    pub lifetime: Duration,
    pub streams: u32,
    /// `None`: 80 % of the file descriptors that the process may have.
    pub connections: Option<usize>,
    /// Of one address; `None`: as many as there are.
    pub per_address: Option<usize>,
    /// Bytes of memory above which nothing new is begun; `None`: 80 % of what there is, `u64::MAX`: no limit.
    pub memory: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header: 32 * 1024,
            uri: 8 * 1024,
            fields: 100,
            requests: 10_000,
            lifetime: Duration::from_secs(3600),
            streams: 100,
            connections: None,
            per_address: None,
            memory: None,
        }
    }
}

pub(super) fn timeout(timeouts: &mut Timeouts, args: &mut Arguments<'_>, cx: &mut Check) -> Result<(), Reported> {
    const KINDS: [&str; 5] = ["handshake", "header", "body", "idle", "write"];
    let kind = args.expect_word("which timeout", cx)?;
    let slot = match cx.plain(kind)? {
        "handshake" => &mut timeouts.handshake,
        "header" => &mut timeouts.header,
        "body" => &mut timeouts.body,
        "idle" => &mut timeouts.idle,
        "write" => &mut timeouts.write,
        other => return Err(unknown(kind.span, "timeout", other, &KINDS, cx)),
    };
    let time = span(args, cx)?;
    *slot = time;
    if kind.plain() == Some("idle") {
        timeouts.idle_http2 = time;
    }
    Ok(())
}

/// Some time, not none.
fn span(args: &mut Arguments<'_>, cx: &mut Check) -> Result<Duration, Reported> {
    let word = args.expect_word("a duration", cx)?;
    let time: Duration = cx.value(word)?;
    if time.is_zero() {
        return Err(cx.report(
            Mistake::new(Code::E0021, word.span, "no time at all lets nothing through")
                .help("write a longer time: `30s`"),
        ));
    }
    Ok(time)
}

pub(super) fn limit(limits: &mut Limits, args: &mut Arguments<'_>, cx: &mut Check) -> Result<(), Reported> {
    const KINDS: [&str; 9] = [
        "header",
        "uri",
        "fields",
        "requests",
        "lifetime",
        "streams",
        "connections",
        "connections_per_address",
        "memory",
    ];
    let kind = args.expect_word("which limit", cx)?;
    let bytes = |args: &mut Arguments<'_>, cx: &mut Check| {
        args.expect::<Size>("a size", cx).map(|size| usize::try_from(size.0).unwrap_or(usize::MAX))
    };
    match cx.plain(kind)? {
        "header" => limits.header = bytes(args, cx)?,
        "uri" => limits.uri = bytes(args, cx)?,
        "fields" => limits.fields = args.expect::<Count>("a count", cx)?.0 as usize,
        "requests" => limits.requests = args.expect::<Count>("a count", cx)?.0,
        "lifetime" => limits.lifetime = span(args, cx)?,
        "streams" => limits.streams = args.expect::<Count>("a count", cx)?.0,
        "connections" => limits.connections = Some(args.expect::<Count>("a count", cx)?.0 as usize),
        "connections_per_address" => limits.per_address = Some(args.expect::<Count>("a count", cx)?.0 as usize),
        "memory" if args.keyword("off") => limits.memory = Some(u64::MAX),
        "memory" => limits.memory = Some(memory(args, cx)?),
        other => return Err(unknown(kind.span, "limit", other, &KINDS, cx)),
    }
    Ok(())
}

/// The least that a process takes by itself, before its first client.
const LEAST_MEMORY: u64 = 32 * 1024 * 1024;

fn memory(args: &mut Arguments<'_>, cx: &mut Check) -> Result<u64, Reported> {
    let word = args.expect_word("a size", cx)?;
    let size = cx.value::<Size>(word)?.0;
    if size < LEAST_MEMORY {
        return Err(cx.report(
            Mistake::new(Code::E0021, word.span, "in so little memory rp refuses every request")
                .help("write at least `32MiB`, or `off`"),
        ));
    }
    Ok(size)
}

fn unknown(at: Span, what: &str, word: &str, known: &[&str], cx: &mut Check) -> Reported {
    let mistake = Mistake::new(Code::E0020, at, format!("there is no {what} `{word}`"));
    cx.report(match crate::check::near::nearest(word, known.iter().copied()) {
        Some(near) => mistake.meant(word, near).help(format!("write `{near}`")),
        None => mistake.help(crate::check::known(what, known.iter().copied())),
    })
}
