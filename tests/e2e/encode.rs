//! Requirements M11 and P07, threats XZ01 and XZ02: encoded answers between real peers.

use std::io::Read;
use std::sync::Mutex;
use std::sync::mpsc;

use compression_codecs::{BrotliDecoder, DecodeV2, ZstdDecoder};
use compression_core::util::{PartialBuffer, WriteBuffer};

use crate::harness::{Ask, Framing, Message, Origin, PATIENCE, Proxy, each};

/// Some 100 KB, in which records differ as records do.
fn json() -> String {
    let record =
        |id: u32| format!("{{\"id\":{id},\"name\":\"user {}\",\"score\":{}}},\n", id * 7919 % 1000, id * id % 101);
    (0..2500).map(record).collect()
}

/// Gives the list, with a tag, ranges, and 304 to whoever has it.
fn lists() -> Origin {
    Origin::new(|request, wire| {
        let body = json();
        let about = "Content-Type: application/json\r\nETag: \"v1\"\r\nAccept-Ranges: bytes";
        if request.field("if-none-match").is_some_and(|tags| tags.contains("\"v1\"")) {
            wire.say("HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n");
        } else {
            let head = format!("HTTP/1.1 200 OK\r\n{about}\r\nContent-Length: {}\r\n\r\n", body.len());
            wire.say(if request.method() == "HEAD" { head } else { head + &body });
        }
    })
}

fn ask(proxy: &Proxy, method: &str, fields: &str) -> Message {
    proxy.request(Ask::of(method, "/list").fields(fields))
}

fn decode(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut decoder: Box<dyn DecodeV2> = match coding {
        "gzip" => {
            let mut text = Vec::new();
            flate2::read::GzDecoder::new(bytes).read_to_end(&mut text).expect("a whole gzip stream");
            return text;
        }
        "br" => Box::new(BrotliDecoder::new()),
        _ => Box::new(ZstdDecoder::new()),
    };
    let (mut input, mut room, mut text) = (PartialBuffer::new(bytes), vec![0; 1 << 16], Vec::new());
    loop {
        let mut out = WriteBuffer::new_initialized(&mut room);
        let ended = decoder.decode(&mut input, &mut out).expect("a good stream");
        text.extend_from_slice(out.written());
        if ended {
            assert!(input.unwritten().is_empty(), "bytes behind the end");
            return text;
        }
        assert!(!(out.written().is_empty() && input.unwritten().is_empty()), "the stream has no end");
    }
}

#[test]
fn m11_each_client_gets_what_it_likes_best() {
    each(|over| {
        let origin = lists();
        let proxy = over.site("encode; reverse_proxy {$ORIGIN}", &origin.address);
        for (accepts, coding) in [
            ("gzip, deflate, br, zstd", "zstd"),
            ("gzip, br", "br"),
            ("gzip", "gzip"),
            ("br;q=0.5, gzip;q=0.8, zstd;q=0", "gzip"),
        ] {
            let response = ask(&proxy, "GET", &format!("Accept-Encoding: {accepts}\r\n"));
            assert_eq!((response.status(), response.field("content-encoding")), (200, Some(coding)));
            assert_eq!(response.field("vary"), Some("Accept-Encoding"));
            assert_eq!(response.field("etag"), Some("W/\"v1\""));
            assert_eq!((response.field("accept-ranges"), response.field("content-length")), (None, None));
            assert!(response.body.len() < 30_000, "{coding}: {}", response.body.len());
            assert_eq!(decode(coding, &response.body), json().as_bytes(), "{coding}");
            assert_eq!(proxy.logged_for(&response)["bytes_out"], response.body.len());
        }
        for accepts in ["", "Accept-Encoding: identity\r\n", "Accept-Encoding: gzip;q=0\r\n"] {
            let response = ask(&proxy, "GET", accepts);
            assert_eq!((response.field("content-encoding"), response.text()), (None, &*json()));
            assert_eq!((response.field("vary"), response.field("etag")), (Some("Accept-Encoding"), Some("\"v1\"")));
        }
    });
}

#[test]
fn m11_head_has_the_fields_of_get() {
    each(|over| {
        let origin = lists();
        let proxy = over.site("encode gzip; reverse_proxy {$ORIGIN}", &origin.address);
        let get = ask(&proxy, "GET", "Accept-Encoding: gzip\r\n");
        let head = ask(&proxy, "HEAD", "Accept-Encoding: gzip\r\n");
        assert_eq!((head.status(), head.framing.clone(), head.body.len()), (200, Framing::None, 0));
        for name in ["content-type", "content-encoding", "vary", "etag", "content-length", "accept-ranges"] {
            assert_eq!(head.field(name), get.field(name), "{name}");
        }
        let plain = ask(&proxy, "HEAD", "");
        assert_eq!(plain.field("content-length"), Some(json().len().to_string().as_str()));
    });
}

#[test]
fn m11_a_client_that_has_it_is_told_so_by_its_own_tag() {
    each(|over| {
        let origin = lists();
        let proxy = over.site("encode gzip; reverse_proxy {$ORIGIN}", &origin.address);
        let response = ask(&proxy, "GET", "Accept-Encoding: gzip\r\nIf-None-Match: W/\"v1\"\r\n");
        assert_eq!((response.status(), response.field("etag")), (304, Some("W/\"v1\"")));
        assert_eq!(response.field("vary"), Some("Accept-Encoding"));
    });
}

#[test]
fn m11_an_answer_of_our_own_has_a_length() {
    each(|over| {
        let text = "All work and no play makes Jack a dull boy. ".repeat(60);
        let proxy = over.site(&format!("encode br; respond \"{text}\""), "127.0.0.1:1");
        let response = ask(&proxy, "GET", "Accept-Encoding: br\r\n");
        assert_eq!(response.framing, Framing::Length(response.body.len()));
        assert_eq!(decode("br", &response.body), text.as_bytes());
        let head = ask(&proxy, "HEAD", "Accept-Encoding: br\r\n");
        assert_eq!(head.field("content-length"), response.field("content-length"));
    });
}

const EVENTS: [&str; 2] = ["data: first\n\n", "data: second\n\n"];

#[test]
fn p07_an_event_arrives_while_the_origin_waits() {
    each(|over| {
        let (go, gone) = mpsc::channel::<()>();
        let gone = Mutex::new(gone);
        let origin = Origin::new(move |_, wire| {
            let events = gone.lock().unwrap();
            wire.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
            for event in EVENTS {
                wire.say(format!("{:x}\r\n{event}\r\n", event.len()));
                // Nothing more comes until the client has what there is.
                events.recv_timeout(PATIENCE).expect("the client has got it");
            }
            wire.say("0\r\n\r\n");
        });
        let proxy = over.site("encode gzip; reverse_proxy {$ORIGIN}", &origin.address);
        let mut speaker = proxy.speaker();
        let mut stream = speaker.send(Ask::get("/events").field("Accept-Encoding", "gzip")).unwrap();
        assert_eq!(stream.head().unwrap().field("content-encoding"), Some("gzip"));
        let mut inflate = flate2::Decompress::new_gzip(15);
        for expected in EVENTS {
            let mut text = Vec::with_capacity(1000);
            while text.len() < expected.len() {
                let flush = flate2::FlushDecompress::Sync;
                let piece = stream.piece().unwrap().expect("more of it comes");
                inflate.decompress_vec(&piece, &mut text, flush).unwrap();
            }
            assert_eq!(String::from_utf8(text).unwrap(), expected);
            go.send(()).unwrap();
        }
    });
}

#[test]
fn p07_what_breaks_off_at_the_origin_breaks_off_at_the_client() {
    each(|over| {
        let origin = Origin::new(|_, wire| {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100000\r\n\r\n";
            wire.say(format!("{head}{}", "some text, but not all\n".repeat(2000)));
            wire.close();
        });
        let proxy = over.site("encode; reverse_proxy {$ORIGIN}", &origin.address);
        let response = proxy.speaker().try_ask(Ask::get("/").field("Accept-Encoding", "zstd"));
        assert!(response.is_err(), "it must not look whole: {response:?}");
    });
}

#[test]
fn xz01_what_another_site_asks_for_is_not_encoded() {
    each(|over| {
        let origin = lists();
        let proxy = over.site("encode gzip; reverse_proxy {$ORIGIN}", &origin.address);
        let forced = "Accept-Encoding: gzip\r\nCookie: session=1\r\nSec-Fetch-Site: cross-site\r\n";
        let response = ask(&proxy, "GET", forced);
        assert_eq!((response.field("content-encoding"), response.text()), (None, &*json()));
        let clicked = ask(&proxy, "GET", &format!("{forced}Sec-Fetch-User: ?1\r\n"));
        assert_eq!(clicked.field("content-encoding"), Some("gzip"));
    });
}

#[test]
fn m11_answers_with_a_reader_that_stops_do_not_stop_others() {
    each(|over| {
        let origin = lists();
        let proxy = over.site("encode br { level 6 }; reverse_proxy {$ORIGIN}", &origin.address);
        let asked = Ask::get("/list").field("Accept-Encoding", "br");
        // Left while they are being encoded.
        for _ in 0..10 {
            let mut speaker = proxy.speaker();
            drop(speaker.send(asked.clone()));
            speaker.leave();
        }
        let response = proxy.request(asked);
        assert_eq!(decode("br", &response.body), json().as_bytes());
    });
}
