//! Good clients. What they ask for, they get, whatever else goes on.

use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::crowd::Crowd;
use crate::harness::{Client, Frame, H2, H3, H3Response, Message, Opcode, WebSocket, run};
use crate::servers::{DOWNLOAD, pattern, sum, text};
use crate::stage::{NAME, PASSED, Stage};

/// A client that connects again where it was told that the connection ends.
struct Steady {
    connect: Box<dyn Fn() -> Client>,
    client: Option<Client>,
}

impl Steady {
    fn new(connect: impl Fn() -> Client + 'static) -> Self {
        Self { connect: Box::new(connect), client: None }
    }

    fn ask(&mut self, request: impl AsRef<[u8]>) -> Message {
        let client = self.client.get_or_insert_with(&self.connect);
        let answer = client.send(request).response();
        assert!(answer.field("x-request-id").is_some() && answer.field("x-turn").is_some(), "{answer:?}");
        if answer.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            self.client = None;
        }
        answer
    }

    fn get(&mut self, target: &str) -> Message {
        let answer = self.ask(format!("GET {target} HTTP/1.1\r\nHost: {NAME}\r\n\r\n"));
        assert_eq!(answer.status(), 200, "{target}: {answer:?}");
        answer
    }
}

pub fn join(crowd: &mut Crowd, stage: &Stage) {
    let (plain, tls) = (stage.door(false), stage.door(true));
    pages(crowd, plain);
    bodies(crowd, plain);
    tunnels(crowd, plain);
    secure(crowd, stage, tls);
    passed(crowd, stage, tls);
}

const BRISK: Duration = Duration::from_millis(15);
const CALM: Duration = Duration::from_millis(60);

fn pages(crowd: &mut Crowd, door: SocketAddr) {
    for _ in 0..2 {
        crowd.add("pages over one connection", BRISK, move || {
            let mut client = Steady::new(move || Client::connect(door));
            let mut turn = 0;
            move || {
                turn += 1;
                assert_eq!(client.get(&format!("/page/{turn}")).text(), format!("GET /page/{turn}"));
            }
        });
    }
    crowd.add("a page over a connection of its own", BRISK, move || {
        move || assert_eq!(Client::connect(door).get(NAME, "/one").text(), "GET /one")
    });
    crowd.add("a row of requests at once", CALM, move || {
        move || {
            let mut client = Client::connect(door);
            client.send((0..5).map(|n| format!("GET /row/{n} HTTP/1.1\r\nHost: {NAME}\r\n\r\n")).collect::<String>());
            (0..5).for_each(|n| assert_eq!(client.response().text(), format!("GET /row/{n}")));
        }
    });
    crowd.add("a file", BRISK, move || {
        let (mut client, page) = (Steady::new(move || Client::connect(door)), text());
        move || assert_eq!(client.get("/static/page").text(), page)
    });
    crowd.add("a compressed page", CALM, move || {
        let (mut client, page) = (Steady::new(move || Client::connect(door)), text());
        move || {
            let answer = client.ask(format!("GET /text HTTP/1.1\r\nHost: {NAME}\r\nAccept-Encoding: gzip\r\n\r\n"));
            assert_eq!(answer.field("content-encoding"), Some("gzip"));
            let mut plain = String::new();
            flate2::read::GzDecoder::new(&answer.body[..]).read_to_string(&mut plain).expect("gzip");
            assert_eq!(plain, page);
        }
    });
    crowd.add("events", CALM, move || {
        move || {
            let answer = Client::connect(door).get(NAME, "/events");
            assert_eq!(answer.text().matches("data: ").count(), 5);
        }
    });
}

fn bodies(crowd: &mut Crowd, door: SocketAddr) {
    crowd.add("downloads", CALM, move || {
        let (mut client, whole) = (Steady::new(move || Client::connect(door)), pattern(DOWNLOAD));
        move || {
            assert!(client.get("/download").body == whole, "a download is changed");
            assert!(client.get("/chunks").body == whole, "a download in chunks is changed");
        }
    });
    crowd.add("uploads", CALM, move || {
        let (mut client, body) = (Steady::new(move || Client::connect(door)), pattern(150_000));
        let head = format!("POST /upload HTTP/1.1\r\nHost: {NAME}\r\n");
        let sized = [format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), &body].concat();
        let mut chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
        for piece in body.chunks(10_000) {
            chunked.extend([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
        }
        chunked.extend(b"0\r\n\r\n");
        let said = format!("{} {}", body.len(), sum(&body));
        move || {
            assert_eq!(client.ask(&sized).text(), said);
            assert_eq!(client.ask(&chunked).text(), said);
        }
    });
}

fn tunnels(crowd: &mut Crowd, door: SocketAddr) {
    let open = move || {
        let mut client = Client::connect(door);
        client.send(WebSocket::request(NAME, "/ws", ""));
        assert_eq!(client.response().status(), 101);
        client
    };
    let exchange = |client: &mut Client, payload: &[u8]| {
        client.send(Frame::new(Opcode::Binary, payload).masked().encode());
        assert_eq!(Frame::read(&mut client.pipe).expect("the tunnel is cut").payload, payload);
    };
    crowd.add("a tunnel that stays", CALM, move || {
        let mut client = open();
        move || exchange(&mut client, b"there?")
    });
    crowd.add("tunnels that come and go", CALM, move || {
        move || {
            let mut client = open();
            [1, 200, 70_000].into_iter().for_each(|size| exchange(&mut client, &pattern(size)));
        }
    });
}

/// What rp passes on by its name, and can't read.
fn passed(crowd: &mut Crowd, stage: &Stage, door: SocketAddr) {
    let config = stage.authority.client(&["http/1.1"]);
    let open = move || Client::tls(door, PASSED, config.clone()).expect("a handshake with the server");
    let exchange = |client: &mut Client, size: usize| {
        let body = pattern(size);
        client.send(format!("POST / HTTP/1.1\r\nHost: {PASSED}\r\nContent-Length: {size}\r\n\r\n")).send(&body);
        assert_eq!(client.response().text(), format!("{size} {}", sum(&body)));
    };
    let again = open.clone();
    crowd.add("a connection that is passed through and stays", CALM, move || {
        let mut client = again();
        move || exchange(&mut client, 200)
    });
    crowd.add("connections that are passed through, and come and go", CALM, move || {
        let open = open.clone();
        move || {
            let mut client = open();
            [1, 70_000].into_iter().for_each(|size| exchange(&mut client, size));
        }
    });
}

fn secure(crowd: &mut Crowd, stage: &Stage, door: SocketAddr) {
    let config = |alpn: &[&str]| stage.authority.client(alpn);
    let (h1, h2) = (config(&["http/1.1"]), config(&["h2"]));
    let fresh = {
        let mut config = (*h1).clone();
        config.resumption = rustls::client::Resumption::disabled();
        Arc::new(config)
    };
    for (kind, config) in [("a page over TLS, resumed", h1.clone()), ("a page over TLS, from scratch", fresh)] {
        crowd.add(kind, CALM, move || {
            let config = config.clone();
            move || {
                let mut client = Client::tls(door, NAME, config.clone()).expect("a handshake");
                assert_eq!(client.get(NAME, "/tls").text(), "GET /tls");
            }
        });
    }
    crowd.add("pages over one TLS connection", BRISK, move || {
        let config = h1.clone();
        let mut client = Steady::new(move || Client::tls(door, NAME, config.clone()).expect("a handshake"));
        move || assert_eq!(client.get("/steady").text(), "GET /steady")
    });
    crowd.add("streams of HTTP/2 beside each other", CALM, move || {
        let (config, whole) = (h2.clone(), pattern(DOWNLOAD));
        move || run(beside_each_other(door, config.clone(), &whole))
    });
    let h3 = config(&["h3"]);
    crowd.add("streams of HTTP/3 beside each other", CALM, move || {
        let (config, whole) = (h3.clone(), pattern(DOWNLOAD));
        move || run(beside_each_other_over_quic(door, config.clone(), &whole))
    });
}

async fn beside_each_other(door: SocketAddr, config: Arc<rustls::ClientConfig>, whole: &[u8]) {
    let mut client = H2::tls(door, NAME, config).await;
    let mut waiting = Vec::new();
    for _ in 0..10 {
        let request = client.request("GET", NAME, "/stream");
        waiting.push(client.open(request, true).await.expect("a stream").0);
    }
    for response in waiting {
        let answer = crate::harness::H2Response::of(response).await.expect("an answer");
        assert_eq!((answer.status.as_u16(), answer.body.as_slice()), (200, &b"GET /stream"[..]));
    }
    assert!(client.get(NAME, "/download").await.body == whole, "a download over HTTP/2 is changed");
    let upload = client.request("POST", NAME, "/upload");
    let answer = client.send(upload, &whole[..50_000]).await.expect("an answer");
    assert_eq!(answer.body, format!("50000 {}", sum(&whole[..50_000])).into_bytes());
}

async fn beside_each_other_over_quic(door: SocketAddr, config: Arc<rustls::ClientConfig>, whole: &[u8]) {
    let mut client = H3::connect(door, NAME, config).await;
    let mut waiting = Vec::new();
    for _ in 0..10 {
        let mut stream = client.open(H3::request("GET", NAME, "/stream")).await.expect("a stream");
        stream.finish().await.expect("a whole request");
        waiting.push(stream);
    }
    for mut stream in waiting {
        let answer = H3Response::of(&mut stream).await.expect("an answer");
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "GET /stream"));
    }
    client.migrate();
    assert!(client.get(NAME, "/download").await.body == whole, "a download over HTTP/3 is changed");
    let answer = client.send(H3::request("POST", NAME, "/upload"), &whole[..50_000]).await.expect("an answer");
    assert_eq!(answer.text(), format!("50000 {}", sum(&whole[..50_000])));
}
