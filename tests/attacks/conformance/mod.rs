//! HTTP/2 as its standards have it, case by case, named by their sections: what a client may do, what it may not, and what a
//! server answers to that (RFC 9113), and how heads are packed (RFC 7541). Over TLS, and without.
//!
//! A case is what a client sends behind its preface, and what must come of it. After each one another client is served.

mod exchanges;
mod frames;
mod h2spec;
mod packing;
mod streams;

use std::sync::Arc;

use crate::frames::{
    ACK, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PING, RST_STREAM, Raw, SETTINGS, WINDOW_UPDATE, block,
    frame, request,
};
use crate::harness::{Authority, Client, Folder, Origin, Proxy, of};

pub const PROTOCOL: u32 = 1;
pub const FLOW_CONTROL: u32 = 3;
pub const STREAM_CLOSED: u32 = 5;
pub const FRAME_SIZE: u32 = 6;
pub const REFUSED_STREAM: u32 = 7;
pub const COMPRESSION: u32 = 9;

/// Streams that a connection may have at once.
pub const STREAMS: u32 = 5;

pub struct Case {
    /// Section and what is done: `6.9.1 a window that grows beyond 2^31-1`.
    pub name: &'static str,
    pub steps: Vec<Step>,
    pub wanted: Wanted,
}

pub enum Step {
    Say(Vec<u8>),
    /// Waits for the whole answer on a stream.
    Answered(u32),
    /// Waits for a frame of this kind on this stream.
    Came(u8, u32),
}

/// What must come of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wanted {
    /// Stream 1 is answered, 200, to its end.
    Served,
    /// The connection goes on: a PING is answered.
    GoesOn,
    /// The first thing that the server says are its settings.
    Settings,
    /// The next settings that come are an acknowledgement.
    Acknowledged,
    /// The next PING that comes is an answer, of these bytes.
    Pong(&'static [u8]),
    /// It is not taken for HTTP/2, and the connection ends.
    Foreign,
    /// The connection ends for this reason, said in GOAWAY.
    Connection(u32),
    /// And this is the last stream that the server has seen.
    Last(u32, u32),
    /// As `Connection`, or for `PROTOCOL_ERROR`: the HTTP/2 library says that in place of this reason, be it a stream's
    /// or the connection's. The client learns less, and the connection ends as it may (RFC 9113, section 5.4).
    Vaguely(u32),
    /// The stream is reset for this reason, and the connection goes on.
    Stream(u32, u32),
    /// The next frames of this kind and stream have this many bytes.
    Sizes(u8, u32, &'static [usize]),
}

pub fn case(name: &'static str, bytes: Vec<u8>, wanted: Wanted) -> Case {
    Case { name, steps: vec![Step::Say(bytes)], wanted }
}

pub fn steps(name: &'static str, steps: Vec<Step>, wanted: Wanted) -> Case {
    Case { name, steps, wanted }
}

/// A whole request; the path says what the server does with it.
pub fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &request("GET", path, &[]))
}

/// A request whose body is to come.
pub fn post(stream: u32, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &request("POST", path, more))
}

pub fn data(flags: u8, stream: u32, bytes: &[u8]) -> Vec<u8> {
    frame(DATA, flags, stream, bytes)
}

/// A whole request of these fields alone.
pub fn head(fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(fields))
}

struct Stage {
    plain: Proxy,
    tls: Proxy,
    authority: Authority,
    _origin: Origin,
}

/// A name, and a way to connect.
type Door<'s> = (&'static str, Box<dyn Fn() -> Client + 's>);

impl Stage {
    fn set() -> Self {
        let origin = Origin::new(|request, wire| match request.target() {
            "/hang" => wire.wait_closed(),
            _ if request.method() == "HEAD" => wire.say("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"),
            _ => wire.ok("served"),
        });
        let (authority, folder) = (Authority::new(), Folder::new());
        let (certificate, key) = authority.issue(&["example.com"]).save(&folder, "site");
        let site = |address: &str, tls: &str| {
            let global = format!("global {{ workers 1; limit streams {STREAMS} }}");
            of(&format!("{global}\n{address} {{\n bind 127.0.0.1\n {tls}\n reverse_proxy {{$ORIGIN}}\n}}"))
                .with("ORIGIN", &origin)
                .with("CERT", certificate.display())
                .with("KEY", key.display())
                .start()
        };
        let plain = site("http://:0", "");
        let mut tls = site("https://:0", "tls {$CERT} {$KEY}");
        tls.kept.push(folder);
        Self { plain, tls, authority, _origin: origin }
    }

    fn doors(&self) -> [Door<'_>; 2] {
        let config: Arc<rustls::ClientConfig> = self.authority.client(&["h2"]);
        let tls = move || Client::tls(self.tls.address(), "example.com", config.clone()).unwrap();
        [("plain", Box::new(|| self.plain.client())), ("tls", Box::new(tls))]
    }
}

/// Tries each case through each door.
fn all(cases: &[Case], least: usize) {
    assert!(cases.len() >= least, "{} cases", cases.len());
    let stage = Stage::set();
    let mut wrong = Vec::new();
    for (door, connect) in stage.doors() {
        for case in cases {
            if let Err(why) = attempt(case, connect()) {
                wrong.push(format!("{door}: {}: wanted {:?}: {why}", case.name, case.wanted));
            }
            let mut beside = greet(connect(), b"");
            beside.get(1, "/");
            if let Err(why) = served(&mut beside) {
                wrong.push(format!("{door}: beside {}: {why}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The client's preface (RFC 9113, section 3.4), and what comes with it.
fn greet(client: Client, more: &[u8]) -> Raw {
    let mut raw = Raw { client };
    raw.client.send([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", frame(SETTINGS, 0, 0, &[]).as_slice(), more].concat());
    raw
}

fn attempt(case: &Case, client: Client) -> Result<(), String> {
    let mut raw = if case.wanted == Wanted::Foreign { Raw { client } } else { greet(client, b"") };
    for step in &case.steps {
        match step {
            Step::Say(bytes) => drop(raw.client.send(bytes)),
            Step::Answered(stream) => answered(&mut raw, *stream)?,
            Step::Came(kind, stream) => drop(raw.wait(*kind, *stream).ok_or("the connection ends too early")?),
        }
    }
    match case.wanted {
        Wanted::Served => served(&mut raw),
        Wanted::GoesOn => raw.settled().then_some(()).ok_or("the connection ends".to_owned()),
        Wanted::Settings => said(raw.next(), SETTINGS, 0, None),
        Wanted::Acknowledged => said(raw.wait(SETTINGS, 0), SETTINGS, ACK, Some(b"")),
        Wanted::Pong(bytes) => said(raw.wait(PING, 0), PING, ACK, Some(bytes)),
        Wanted::Foreign => foreign(&mut raw.client),
        Wanted::Connection(code) => ends(&mut raw, &[code]).map(drop),
        Wanted::Vaguely(code) => ends(&mut raw, &[code, PROTOCOL]).map(drop),
        Wanted::Last(code, last) => match ends(&mut raw, &[code])? {
            named if named == last => Ok(()),
            named => Err(format!("the last stream is {named}")),
        },
        Wanted::Stream(stream, code) => resets(&mut raw, stream, code),
        Wanted::Sizes(kind, stream, sizes) => sizes.iter().try_for_each(|size| {
            let frame = raw.wait(kind, stream).ok_or("the connection ends")?;
            if frame.payload.len() == *size { Ok(()) } else { Err(format!("{} bytes", frame.payload.len())) }
        }),
    }
}

fn served(raw: &mut Raw) -> Result<(), String> {
    answered(raw, 1)
}

/// Reads up to the end of an answer.
fn answered(raw: &mut Raw, stream: u32) -> Result<(), String> {
    let mut ok = false;
    loop {
        let frame = next(raw)?;
        match frame.kind {
            _ if frame.stream != stream => {}
            HEADERS if !ok && frame.payload.first() != Some(&0x88) => return Err("answered, but not by 200".to_owned()),
            HEADERS => ok = true,
            RST_STREAM => return Err(format!("reset, {}", code(&frame))),
            _ => {}
        }
        if frame.stream == stream && ok && frame.flags & END_STREAM != 0 && frame.kind <= HEADERS {
            return Ok(());
        }
    }
}

/// The next frame of an open connection.
fn next(raw: &mut Raw) -> Result<Frame, String> {
    match raw.next() {
        Some(frame) if frame.kind == GOAWAY => Err(format!("the connection ends, {}", code(&frame))),
        Some(frame) => Ok(frame),
        None => Err("the connection ends without a word".to_owned()),
    }
}

fn code(frame: &Frame) -> u32 {
    let at = if frame.kind == GOAWAY { 4 } else { 0 };
    u32::from_be_bytes(frame.payload[at..at + 4].try_into().unwrap())
}

/// Whether a frame came, and is this one.
fn said(frame: Option<Frame>, kind: u8, ack: u8, payload: Option<&[u8]>) -> Result<(), String> {
    let frame = frame.ok_or("the connection ends")?;
    let good = frame.kind == kind && frame.flags & ACK == ack && payload.is_none_or(|payload| frame.payload == payload);
    if good { Ok(()) } else { Err(format!("{frame:?}")) }
}

/// RFC 9113, section 5.4.1: GOAWAY with the reason and the last stream, and then the end.
fn ends(raw: &mut Raw, codes: &[u32]) -> Result<u32, String> {
    raw.send(PING, 0, 0, b"still on");
    let mut reason = None;
    while let Some(frame) = raw.next() {
        match frame.kind {
            GOAWAY => reason = Some((code(&frame), u32::from_be_bytes(frame.payload[..4].try_into().unwrap()))),
            PING if frame.flags & ACK != 0 && frame.payload == b"still on" => {
                return Err("the connection goes on".to_owned());
            }
            _ => {}
        }
    }
    match reason {
        Some((code, last)) if codes.contains(&code) => Ok(last),
        Some((code, _)) => Err(format!("the connection ends, {code}")),
        None => Err("the connection ends without a word".to_owned()),
    }
}

/// RFC 9113, section 5.4.2: `RST_STREAM` with the reason, and nothing else suffers.
fn resets(raw: &mut Raw, stream: u32, wanted: u32) -> Result<(), String> {
    raw.send(PING, 0, 0, b"still on");
    let mut pong = false;
    loop {
        let frame = next(raw)?;
        match frame.kind {
            RST_STREAM if frame.stream == stream && code(&frame) == wanted => break,
            RST_STREAM if frame.stream == stream => return Err(format!("reset, {}", code(&frame))),
            HEADERS if frame.stream == stream => return Err("answered".to_owned()),
            PING if frame.flags & ACK != 0 && pong => return Err("nothing comes of it".to_owned()),
            PING if frame.flags & ACK != 0 => {
                // A refusal may need a turn.
                pong = true;
                raw.send(PING, 0, 0, b"and now?");
            }
            _ => {}
        }
    }
    if raw.settled() { Ok(()) } else { Err("reset, and the connection ends".to_owned()) }
}

/// A port without TLS speaks HTTP/1, too, and answers in it what is not HTTP/2's preface. Elsewhere the connection ends, with
/// or without GOAWAY (RFC 9113, section 3.4).
fn foreign(client: &mut Client) -> Result<(), String> {
    let (said, _) = client.pipe.drain();
    let mut rest = said.as_slice();
    while let [a, b, c, kind, _, _, _, _, _, more @ ..] = rest
        && [SETTINGS, WINDOW_UPDATE, GOAWAY].contains(kind)
    {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        rest = more.get(length..).unwrap_or(b"cut off");
    }
    let http1 = said.starts_with(b"HTTP/1.1 400 ");
    if rest.is_empty() || http1 { Ok(()) } else { Err(format!("{}", said.escape_ascii())) }
}

#[test]
fn frames_are_read_as_rfc_9113_sections_3_to_4_and_6_have_them() {
    all(&frames::cases(), 55);
}

#[test]
fn streams_live_and_end_as_rfc_9113_section_5_has_it() {
    all(&streams::cases(), 20);
}

#[test]
fn requests_are_what_rfc_9113_section_8_calls_so() {
    all(&exchanges::cases(), 20);
}

#[test]
fn heads_are_unpacked_as_rfc_7541_has_it() {
    all(&packing::cases(), 20);
}
