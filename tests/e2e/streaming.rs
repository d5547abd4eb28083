//! Requirements P05 to P08, N02, N03 and N08: what flows must not be held up, cut off or gathered.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;

use crate::harness::h2::next;
use crate::harness::{Framing, H2, H2Response, Origin, Proxy, eventually, of, run};

#[test]
fn p07_an_event_is_there_as_soon_as_it_was_said() {
    let (say, heard) = mpsc::channel::<&'static str>();
    let heard = Mutex::new(heard);
    let origin = Origin::new(move |_, wire| {
        wire.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        for event in heard.lock().unwrap().iter() {
            wire.say(format!("{:x}\r\n{event}\r\n", event.len()));
        }
        wire.say("0\r\n\r\n");
    });
    let proxy = Proxy::to(&origin);
    let mut client = proxy.client();
    client.send(
        "GET /events HTTP/1.1\r\nHost: example.com\r\nAccept: text/event-stream\r\nAccept-Encoding: gzip, br\r\n\r\n",
    );
    let head = client.pipe.until(b"\r\n\r\n").expect("the head comes before any event");
    assert!(head.starts_with(b"HTTP/1.1 200 "));
    for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
        let start = Instant::now();
        say.send(event).unwrap();
        assert!(client.pipe.until(event.as_bytes()).is_some());
        assert!(start.elapsed() < Duration::from_millis(50 * 10), "ten times what is asked for, on a busy machine");
    }
    drop(say);
    assert!(client.pipe.until(b"0\r\n\r\n").is_some());
}

#[test]
fn p07_the_last_event_of_a_server_that_dies_arrives() {
    let origin = Origin::new(|_, wire| {
        wire.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n");
        wire.close();
    });
    let proxy = Proxy::to(&origin);
    let mut client = proxy.client();
    client.send("GET /events HTTP/1.1\r\nHost: example.com\r\n\r\n");
    let (bytes, _) = client.pipe.drain();
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("data: 1\n\n") && !text.ends_with("0\r\n\r\n"), "{text:?}");
}

#[test]
fn p08_a_long_stream_is_not_cut_while_it_moves() {
    let origin = Origin::new(|_, wire| {
        wire.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..8 {
            // The pace of a slow stream is what is tested.
            std::thread::sleep(Duration::from_millis(200));
            wire.say("2\r\nhi\r\n");
        }
        wire.say("0\r\n\r\n");
    });
    let options = "{ timeout first_byte 500ms; timeout read 700ms; timeout send 500ms }";
    let proxy = of(&format!(
        "global {{ timeout header 500ms; timeout body 500ms; timeout idle 500ms; timeout write 500ms }}
         :0 {{\n bind 127.0.0.1\n reverse_proxy {{$ORIGIN}} {options}\n}}"
    ))
    .with("ORIGIN", &origin)
    .start();
    assert_eq!(proxy.get("/").text(), "hihihihihihihihi");
}

#[test]
fn n03_a_body_reaches_the_origin_while_it_is_sent() {
    let (seen, piece) = mpsc::channel::<Vec<u8>>();
    let seen = Mutex::new(seen);
    let origin = Origin::raw(move |wire| {
        if wire.until(b"\r\n\r\n").is_some() {
            while let Some(bytes) = wire.exactly(1000) {
                seen.lock().unwrap().send(bytes).unwrap();
                if wire.number == 0 && wire.pipe.buffer.ends_with(b"end") {
                    break;
                }
            }
        }
        wire.ok("done");
        wire.wait_closed();
    });
    let proxy = Proxy::to(&origin);
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 3003\r\n\r\n");
    for byte in [b'a', b'b'] {
        client.send([byte; 1000]);
        assert_eq!(piece.recv_timeout(crate::harness::PATIENCE).unwrap(), [byte; 1000], "before the next is sent");
    }
    client.send([[b'c'; 1000].as_slice(), b"end"].concat());
    assert_eq!(client.response().text(), "done");
}

#[test]
fn n08_a_slow_upload_is_not_cut_while_it_moves() {
    let origin = Origin::saying("thanks");
    let proxy = of("global { timeout header 600ms; timeout body 600ms; timeout idle 600ms }
         :0 {\n bind 127.0.0.1\n reverse_proxy {$ORIGIN} { timeout first_byte 600ms; timeout send 600ms }\n}")
    .with("ORIGIN", &origin)
    .start();
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 80000\r\n\r\n");
    for _ in 0..8 {
        std::thread::sleep(Duration::from_millis(200));
        client.send(vec![b'x'; 10_000]);
    }
    assert_eq!(client.response().text(), "thanks");
    assert_eq!(origin.request().body.len(), 80_000);
}

#[test]
fn n02_memory_is_bounded_when_a_client_does_not_read() {
    let origin = Origin::new(|_, wire| {
        wire.say("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
        let piece = vec![b'x'; 1_000_000];
        for _ in 0..100 {
            if wire.pipe.send(&piece).is_err() {
                break;
            }
        }
    });
    let proxy = Proxy::to(&origin);
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    proxy.get("/warm").status();
    let before = resident();
    let mut clients: Vec<_> = (0..20).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
        assert!(client.pipe.until(b"\r\n\r\n").is_some());
    }
    let growth = resident().saturating_sub(before);
    assert!(growth < 20 * 1_024, "{growth} KiB for 20 clients");
}

/// One call of gRPC: its messages, and the trailers that end it.
async fn call(client: &mut H2, messages: &[&[u8]], fields: &[(&str, &str)]) -> H2Response {
    let mut request = client
        .request("POST", "example.com", "/pkg.Service/Method")
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let (response, mut stream) = client.open(request, false).await.unwrap();
    for message in messages {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        stream.send_data(Bytes::from([&[0], &length[..], message].concat()), false).unwrap();
    }
    stream.send_data(Bytes::new(), true).unwrap();
    H2Response::of(response).await.unwrap()
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
    let (origin, seen) = grpc_origin(&[("grpc-status", "3"), ("grpc-message", "why%20not"), ("x-bin", "AAH/")]);
    let proxy = Proxy::to(format!("h2c://{origin}"));
    run(async {
        let mut client = H2::connect(proxy.address()).await;
        for count in [1, 3] {
            let response =
                call(&mut client, &vec![&b"message"[..]; count], &[("grpc-timeout", "5S"), ("x-meta", "m")]).await;
            assert_eq!(response.status, 200);
            assert_eq!(response.body.len(), count * 12);
            let trailers = response.trailers.unwrap();
            assert_eq!(trailers["grpc-status"], "3");
            assert_eq!(
                (&trailers["grpc-message"], &trailers["x-bin"]),
                (&"why%20not".parse().unwrap(), &"AAH/".parse().unwrap())
            );
        }
    });
    for head in seen.lock().unwrap().iter() {
        assert_eq!(head["te"], "trailers");
        assert_eq!((&head["grpc-timeout"], &head["x-meta"]), (&"5S".parse().unwrap(), &"m".parse().unwrap()));
    }
}

#[test]
fn p05_both_sides_of_a_call_speak_in_turn() {
    let (origin, _) = grpc_origin(&[("grpc-status", "0")]);
    let proxy = Proxy::to(format!("h2c://{origin}"));
    run(async {
        let mut client = H2::connect(proxy.address()).await;
        let request = client.request("POST", "example.com", "/s/Bidi").header("content-type", "application/grpc");
        let (response, mut sender) = client.open(request, false).await.unwrap();
        sender.send_data(Bytes::from_static(b"\0\0\0\0\x01a"), false).unwrap();
        let mut receiver = response.await.unwrap().into_body();
        for byte in *b"abc" {
            if byte != b'a' {
                sender.send_data(Bytes::from(vec![0, 0, 0, 0, 1, byte]), false).unwrap();
            }
            assert_eq!(next(&mut receiver).await.unwrap().unwrap()[..], [0, 0, 0, 0, 1, byte]);
        }
        sender.send_data(Bytes::new(), true).unwrap();
        assert!(next(&mut receiver).await.unwrap().is_none());
        assert_eq!(receiver.trailers().await.unwrap().unwrap()["grpc-status"], "0");
    });
}

#[test]
fn p06_a_failure_is_told_in_the_terms_of_grpc() {
    let down = Proxy::to(format!("h2c://{}", Origin::nobody()));
    let silent = Origin::raw(super::harness::origin::Wire::wait_closed);
    let slow = Proxy::site("reverse_proxy h2c://{$ORIGIN} { timeout first_byte 300ms }", &silent);
    for (proxy, status, error) in
        [(&down, "14", "upstream_connection_refused"), (&slow, "4", "upstream_header_timeout")]
    {
        let response = run(async { call(&mut H2::connect(proxy.address()).await, &[b"x"], &[]).await });
        assert_eq!(response.status, 200);
        assert_eq!(response.field("content-type"), Some("application/grpc"));
        assert_eq!(response.field("grpc-status"), Some(status));
        assert!(response.body.is_empty() && !format!("{:?}", response.headers).contains("127.0.0.1"));
        let line = proxy.logged(response.field("x-request-id").unwrap());
        assert_eq!(line["error"], error);
    }
}

#[test]
fn an_h2c_server_answers_clients_of_http_1() {
    let (origin, _) = grpc_origin(&[]);
    let proxy = Proxy::to(format!("h2c://{origin}"));
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\nhello");
    let response = client.response();
    assert_eq!((response.status(), response.text()), (200, "hello"));
    assert!(matches!(response.framing, Framing::Chunked(_)));
}

#[test]
fn xg02_a_length_that_does_not_fit_the_data_ends_the_stream() {
    let origin = Origin::new(|_, wire| wire.ok("whole"));
    let proxy = Proxy::to(&origin);
    for (declared, body) in [("10", &b"short"[..]), ("3", b"longer")] {
        let outcome = run(async {
            let mut client = H2::connect(proxy.address()).await;
            let request = client.request("POST", "example.com", "/").header("content-length", declared);
            client.send(request, body).await
        });
        assert!(!outcome.is_ok_and(|response| response.status == 200), "{declared}");
    }
    eventually("the half requests are left", || (origin.open() == 0).then_some(()));
}

#[test]
fn xg07_crumbs_of_cookies_count_as_fields() {
    let origin = Origin::saying("ok");
    let proxy = Proxy::to(&origin);
    run(async {
        let mut client = H2::connect(proxy.address()).await;
        let mut request = client.request("GET", "example.com", "/");
        for at in 0..150 {
            request = request.header("cookie", format!("c{at}=1"));
        }
        assert_eq!(client.send(request, b"").await.unwrap().status, 431);
        let mut request = client.request("GET", "example.com", "/");
        for _ in 0..40 {
            request = request.header("x-big", "b".repeat(1_000));
        }
        let outcome = client.send(request, b"").await;
        assert!(!outcome.as_ref().is_ok_and(|response| response.status != 431), "{outcome:?}");
    });
    assert_eq!(origin.connections(), 0);
}
