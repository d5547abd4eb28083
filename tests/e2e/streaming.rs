//! Requirements P05 to P08, N02, N03 and N08: what flows must not be held up, cut off or gathered.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::HeaderMap;

use crate::harness::h2::next;
use crate::harness::{Ask, Framing, Message, Origin, Protocol, Speaker, each, each_of, eventually, together};

#[test]
fn p07_an_event_is_there_as_soon_as_it_was_said() {
    each(|over| {
        let (say, heard) = mpsc::channel::<&'static str>();
        let heard = Mutex::new(heard);
        let origin = Origin::new(move |_, wire| {
            wire.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
            for event in heard.lock().unwrap().iter() {
                wire.say(format!("{:x}\r\n{event}\r\n", event.len()));
            }
            wire.say("0\r\n\r\n");
        });
        let proxy = over.to(&origin);
        let mut speaker = proxy.speaker();
        let asked = Ask::get("/events").fields("Accept: text/event-stream\r\nAccept-Encoding: gzip, br\r\n");
        let mut stream = speaker.send(asked).unwrap();
        assert_eq!(stream.head().expect("the head comes before any event").status(), 200);
        for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
            let start = Instant::now();
            say.send(event).unwrap();
            let mut heard = Vec::new();
            while heard.len() < event.len() {
                heard.extend(stream.piece().unwrap().expect("it goes on"));
            }
            assert_eq!(heard, event.as_bytes());
            assert!(start.elapsed() < Duration::from_millis(50 * 10), "ten times what is asked for, on a busy machine");
        }
        drop(say);
        assert_eq!(stream.piece(), Ok(None));
    });
}

#[test]
fn p07_the_last_event_of_a_server_that_dies_arrives() {
    each(|over| {
        let origin = Origin::new(|_, wire| {
            wire.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n");
            wire.close();
        });
        let proxy = over.to(&origin);
        let mut speaker = proxy.speaker();
        let mut stream = speaker.send(Ask::get("/events")).unwrap();
        stream.head().unwrap();
        assert_eq!(stream.piece().unwrap().as_deref(), Some(&b"data: 1\n\n"[..]));
        let end = stream.piece();
        assert!(end.is_err(), "it must not look whole: {end:?}");
    });
}

#[test]
fn p08_a_long_stream_is_not_cut_while_it_moves() {
    together(|over| {
        let origin = Origin::new(|_, wire| {
            wire.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            for _ in 0..8 {
                // The pace of a slow stream is what is tested.
                std::thread::sleep(Duration::from_millis(200));
                wire.say("2\r\nhi\r\n");
            }
            wire.say("0\r\n\r\n");
        });
        let options = "{ timeout first_byte 1s; timeout read 1200ms; timeout send 1s }";
        let proxy = over
            .of(&format!(
                "global {{ timeout header 1s; timeout body 1s; timeout idle 1s; timeout write 1s }}
         :0 {{\n bind 127.0.0.1\n reverse_proxy {{$ORIGIN}} {options}\n}}"
            ))
            .with("ORIGIN", &origin)
            .start();
        assert_eq!(proxy.get("/").text(), "hihihihihihihihi");
    });
}

#[test]
fn n03_a_body_reaches_the_origin_while_it_is_sent() {
    each(|over| {
        let (seen, piece) = mpsc::channel::<Vec<u8>>();
        let seen = Mutex::new(seen);
        let origin = Origin::raw(move |wire| {
            if wire.until(b"\r\n\r\n").is_some() {
                for length in [1000, 1000, 1003] {
                    let Some(bytes) = wire.exactly(length) else { break };
                    seen.lock().unwrap().send(bytes).unwrap();
                }
            }
            wire.ok("done");
            wire.wait_closed();
        });
        let proxy = over.to(&origin);
        let mut speaker = proxy.speaker();
        let mut stream = speaker.begin(Ask::of("POST", "/").length(3003));
        for byte in [b'a', b'b'] {
            stream.say(&[byte; 1000]);
            assert_eq!(piece.recv_timeout(crate::harness::PATIENCE).unwrap(), [byte; 1000], "before the next is sent");
        }
        stream.say(&[b'c'; 1000]).say(b"end").end();
        assert_eq!(stream.answer().unwrap().text(), "done");
        assert!(piece.recv_timeout(crate::harness::PATIENCE).unwrap().ends_with(b"cend"));
    });
}

#[test]
fn n08_a_slow_upload_is_not_cut_while_it_moves() {
    together(|over| {
        let origin = Origin::saying("thanks");
        let proxy = over
            .of("global { timeout header 1200ms; timeout body 1200ms; timeout idle 1200ms }
         :0 {\n bind 127.0.0.1\n reverse_proxy {$ORIGIN} { timeout first_byte 1200ms; timeout send 1200ms }\n}")
            .with("ORIGIN", &origin)
            .start();
        let mut speaker = proxy.speaker();
        let mut stream = speaker.begin(Ask::of("POST", "/").length(80_000));
        for _ in 0..8 {
            std::thread::sleep(Duration::from_millis(200));
            stream.say(&[b'x'; 10_000]);
        }
        assert_eq!(stream.end().answer().unwrap().text(), "thanks");
        assert_eq!(origin.request().body.len(), 80_000);
    });
}

#[test]
fn n02_memory_is_bounded_when_a_client_does_not_read() {
    each(|over| {
        let origin = Origin::new(|_, wire| {
            wire.say("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
            let piece = vec![b'x'; 1_000_000];
            for _ in 0..100 {
                if wire.pipe.send(&piece).is_err() {
                    break;
                }
            }
        });
        let proxy = over.to(&origin);
        let resident = || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid())).unwrap();
            let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
        };
        proxy.get("/warm").status();
        let before = resident();
        let mut speakers: Vec<_> = (0..20).map(|_| proxy.speaker()).collect();
        let begin = |speaker| {
            let mut stream = Speaker::send(speaker, Ask::get("/")).unwrap();
            stream.head().unwrap();
            stream
        };
        let _held: Vec<_> = speakers.iter_mut().map(begin).collect();
        let growth = resident().saturating_sub(before);
        assert!(growth < 20 * 1_024, "{growth} KiB for 20 clients");
    });
}

/// What speaks gRPC, or could.
const GRPC: [Protocol; 3] = [Protocol::PlainHttp2, Protocol::Http2, Protocol::Http3];

/// One call of gRPC: its messages, and the trailers that end it.
fn call(speaker: &mut Speaker, messages: &[&[u8]], fields: &str) -> Message {
    let asked = Ask::of("POST", "/pkg.Service/Method").unsized_body("");
    let mut stream = speaker.begin(asked.fields("Content-Type: application/grpc\r\nTE: trailers\r\n").fields(fields));
    for message in messages {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        stream.say(&[&[0], &length[..], message].concat());
    }
    stream.end().answer().unwrap()
}

/// A value among fields or trailers.
fn value<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
}

/// An HTTP/2 server without TLS that answers every call with its own messages, and says these trailers.
fn grpc_origin(
    trailers: &'static [(&'static str, &'static str)],
) -> (std::net::SocketAddr, Arc<Mutex<Vec<HeaderMap>>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::<Mutex<Vec<HeaderMap>>>::default();
    let heads = seen.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let heads = heads.clone();
                tokio::spawn(async move {
                    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                    while let Some(Ok((request, mut respond))) = connection.accept().await {
                        heads.lock().unwrap().push(request.headers().clone());
                        tokio::spawn(async move {
                            let mut body = request.into_body();
                            let head =
                                http::Response::builder().header("content-type", "application/grpc").body(()).unwrap();
                            let mut stream = respond.send_response(head, false).unwrap();
                            while let Ok(Some(chunk)) = next(&mut body).await {
                                if stream.send_data(chunk, false).is_err() {
                                    return;
                                }
                            }
                            let trailers: HeaderMap = trailers
                                .iter()
                                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                                .collect();
                            let _ = stream.send_trailers(trailers);
                        });
                    }
                });
            }
        });
    });
    (address, seen)
}

#[test]
fn p05_grpc_calls_pass_with_their_trailers() {
    each_of(&GRPC, |over| {
        let (origin, seen) = grpc_origin(&[("grpc-status", "3"), ("grpc-message", "why%20not"), ("x-bin", "AAH/")]);
        let proxy = over.to(format!("h2c://{origin}"));
        let mut speaker = proxy.speaker();
        for count in [1, 3] {
            let response = call(&mut speaker, &vec![&b"message"[..]; count], "grpc-timeout: 5S\r\nx-meta: m\r\n");
            assert_eq!(response.status(), 200);
            assert_eq!(response.body.len(), count * 12);
            assert_eq!(value(&response.trailers, "grpc-status"), Some("3"));
            assert_eq!(value(&response.trailers, "grpc-message"), Some("why%20not"));
            assert_eq!(value(&response.trailers, "x-bin"), Some("AAH/"));
        }
        assert_eq!(seen.lock().unwrap().len(), 2);
        for head in seen.lock().unwrap().iter() {
            assert_eq!(head["te"], "trailers");
            assert_eq!((&head["grpc-timeout"], &head["x-meta"]), (&"5S".parse().unwrap(), &"m".parse().unwrap()));
        }
    });
}

#[test]
fn p05_both_sides_of_a_call_speak_in_turn() {
    each_of(&GRPC, |over| {
        let (origin, _) = grpc_origin(&[("grpc-status", "0")]);
        let proxy = over.to(format!("h2c://{origin}"));
        let mut speaker = proxy.speaker();
        let asked = Ask::of("POST", "/s/Bidi").unsized_body("").field("Content-Type", "application/grpc");
        let mut stream = speaker.begin(asked);
        stream.say(b"\0\0\0\0\x01a");
        let head = stream.head().unwrap();
        for byte in *b"abc" {
            if byte != b'a' {
                stream.say(&[0, 0, 0, 0, 1, byte]);
            }
            assert_eq!(stream.piece().unwrap().unwrap(), [0, 0, 0, 0, 1, byte]);
        }
        let rest = stream.end().rest(head).unwrap();
        assert!(rest.body.is_empty());
        assert_eq!(value(&rest.trailers, "grpc-status"), Some("0"));
    });
}

#[test]
fn p06_a_failure_is_told_in_the_terms_of_grpc() {
    each_of(&GRPC, |over| {
        let down = over.to(format!("h2c://{}", Origin::nobody()));
        let silent = Origin::raw(super::harness::origin::Wire::wait_closed);
        let slow = over.site("reverse_proxy h2c://{$ORIGIN} { timeout first_byte 300ms }", &silent);
        for (proxy, status, error) in
            [(&down, "14", "upstream_connection_refused"), (&slow, "4", "upstream_header_timeout")]
        {
            let response = call(&mut proxy.speaker(), &[b"x"], "");
            assert_eq!(response.status(), 200);
            assert_eq!(response.field("content-type"), Some("application/grpc"));
            assert_eq!(response.field("grpc-status"), Some(status));
            assert!(response.body.is_empty() && !format!("{:?}", response.fields).contains("127.0.0.1"));
            let line = proxy.logged_for(&response);
            assert_eq!(line["error"], error);
        }
    });
}

#[test]
fn an_h2c_server_answers_clients_of_http_1() {
    each(|over| {
        let (origin, _) = grpc_origin(&[]);
        let proxy = over.to(format!("h2c://{origin}"));
        let response = proxy.request(Ask::of("POST", "/").body("hello"));
        assert_eq!((response.status(), response.text()), (200, "hello"));
        if over.is_http1() {
            assert!(matches!(response.framing, Framing::Chunked(_)));
        }
    });
}

#[test]
fn xg02_a_length_that_does_not_fit_the_data_ends_the_stream() {
    each_of(&GRPC, |over| {
        let origin = Origin::new(|_, wire| wire.ok("whole"));
        let proxy = over.to(&origin);
        for (declared, body) in [(10, &b"short"[..]), (3, b"longer")] {
            let mut speaker = proxy.speaker();
            let outcome = speaker.begin(Ask::of("POST", "/").length(declared)).say(body).end().answer();
            assert!(!outcome.is_ok_and(|response| response.status() == 200), "{declared}");
        }
        eventually("the half requests are left", || (origin.open() == 0).then_some(()));
    });
}

#[test]
fn xg07_crumbs_of_cookies_count_as_fields() {
    each_of(&GRPC, |over| {
        let origin = Origin::saying("ok");
        let proxy = over.to(&origin);
        let mut speaker = proxy.speaker();
        let crumbs = (0..150).fold(Ask::get("/"), |asked, at| asked.field("cookie", &format!("c{at}=1")));
        assert_eq!(speaker.ask(crumbs).status(), 431);
        let big = (0..40).fold(Ask::get("/"), |asked, _| asked.field("x-big", &"b".repeat(1_000)));
        let outcome = speaker.try_ask(big);
        assert!(!outcome.as_ref().is_ok_and(|response| response.status() != 431), "{outcome:?}");
        assert_eq!(origin.connections(), 0);
    });
}
