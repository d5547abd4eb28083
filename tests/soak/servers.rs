//! The servers behind it: one that does its work, one for tunnels, and one that fails in each way that there is.
//! They keep no record of what they were sent, since the test may run for hours.

use std::fmt::Write as _;

use crate::harness::{Frame, Identity, Message, Origin, WebSocket, Wire};

pub const DOWNLOAD: usize = 300_000;

pub fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

/// A sum that tells when bytes are lost, changed or out of order.
pub fn sum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(7, |sum: u32, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte)))
}

/// Some 20 KB that can be compressed.
pub fn text() -> String {
    (0..500).fold(String::new(), |mut text, n: u32| {
        let _ = writeln!(text, "line {n} of the page, {}", n * 7919 % 1000);
        text
    })
}

fn serve(wire: &mut Wire, answer: impl Fn(&Message, &mut Wire)) {
    wire.pipe.record = None;
    // What a hostile client breaks off is broken off here: an end like any other.
    while let Ok(Some(request)) = Message::request(&mut wire.pipe) {
        answer(&request, wire);
    }
}

pub fn good() -> Origin {
    let (download, text) = (pattern(DOWNLOAD), text());
    Origin::raw(move |wire| {
        serve(wire, |request, wire| match request.target().split('?').next().unwrap() {
            "/download" => {
                wire.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {DOWNLOAD}\r\n\r\n"));
                wire.say(&download);
            }
            "/chunks" => {
                wire.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                for piece in download.chunks(16 * 1024) {
                    wire.say([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
                }
                wire.say("0\r\n\r\n");
            }
            "/text" => wire.say(format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            )),
            "/events" => {
                wire.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n");
                for n in 0..5 {
                    wire.say(format!("data: {n}\n\n"));
                }
                wire.close();
            }
            "/upload" => wire.ok(&format!("{} {}", request.body.len(), sum(&request.body))),
            target => wire.ok(&format!("{} {target}", request.method())),
        });
    })
}

/// Sends every message back.
pub fn tunnel() -> Origin {
    Origin::raw(|wire| {
        wire.pipe.record = None;
        wire.until(b"\r\n\r\n");
        wire.say(WebSocket::accepted(""));
        while let Some(frame) = Frame::read(&mut wire.pipe) {
            let answer = Frame { masked: false, ..frame };
            wire.say(answer.encode());
        }
    })
}

/// With a certificate and a key of its own.
pub fn passed(identity: &Identity) -> Origin {
    Origin::raw_tls(identity.server(&["http/1.1"]), |wire| {
        serve(wire, |request, wire| wire.ok(&format!("{} {}", request.body.len(), sum(&request.body))));
    })
}

pub fn faulty() -> Origin {
    Origin::raw(|wire| {
        serve(wire, |request, wire| match request.target() {
            "/hang" => wire.wait_closed(),
            "/fault/cut" => {
                wire.say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it");
                wire.close();
            }
            "/fault/reset" => {
                wire.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
                wire.reset();
            }
            "/fault/chunk" => {
                wire.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n");
                wire.close();
            }
            "/fault/silence" => wire.close(),
            "/fault/more" => wire.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\nevil"),
            _ => {
                wire.say("SSH-2.0-garbage\r\n\0\0\0\r\n\r\n");
                wire.close();
            }
        });
    })
}
