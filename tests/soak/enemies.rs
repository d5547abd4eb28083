//! Hostile clients, and clients of servers that fail. Nothing that they do may hold anything for longer than it must, and
//! what each of them gets is what it ought to get.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use crate::crowd::Crowd;
use crate::frames::{CONTINUATION, HEADERS, RST_STREAM, Raw, request};
use crate::harness::h3::{DATA, HEADERS as HEAD, RawH3, frame, head};
use crate::harness::{Client, H2, WebSocket, run};
use crate::stage::{NAME, Stage};

const OFTEN: Duration = Duration::from_millis(50);
const SOMETIMES: Duration = Duration::from_millis(200);
/// What costs the servers of the test more than rp.
const NOW_AND_THEN: Duration = Duration::from_secs(1);

pub fn join(crowd: &mut Crowd, stage: &Stage) {
    let (plain, tls) = (stage.door(false), stage.door(true));
    smugglers(crowd, plain);
    slow(crowd, plain);
    rude(crowd, plain);
    strangers(crowd, stage, tls);
    frames(crowd, plain);
    datagrams(crowd, stage, tls);
    faults(crowd, plain);
}

/// Each ends with a request that nobody must answer.
const SMUGGLED: [&str; 8] = [
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Content-Length: 1\r\nContent-Length: 5\r\n\r\nx",
    "Content-Length: +1\r\n\r\nx",
    "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n1\r\nxx0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n10000000000000001\r\nx\r\n0\r\n\r\n",
    "X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
];

fn smugglers(crowd: &mut Crowd, door: SocketAddr) {
    crowd.add("smugglers", OFTEN, move || {
        let mut turn = 0;
        move || {
            turn += 1;
            let mut client = Client::connect(door);
            let rest = SMUGGLED[turn % SMUGGLED.len()];
            client.send(format!("POST /smuggle HTTP/1.1\r\nHost: {NAME}\r\n{rest}GET /hidden HTTP/1.1\r\n\r\n"));
            let said = String::from_utf8_lossy(&client.pipe.drain().0).into_owned();
            assert!(said.is_empty() || said.starts_with("HTTP/1.1 400"), "{rest:?}: {said:?}");
            assert!(!said.contains("/hidden"), "{said:?}");
        }
    });
    crowd.add("what is too much", OFTEN, move || {
        move || {
            let status = |request: String| {
                let mut client = Client::connect(door);
                client.send(request).try_response().ok().flatten().map_or(0, |answer| answer.status())
            };
            let body = format!("POST /small HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 20000\r\n\r\n");
            assert_eq!(status(body), 413);
            let long = format!("GET /{} HTTP/1.1\r\nHost: {NAME}\r\n\r\n", "x".repeat(9_000));
            assert!([0, 414].contains(&status(long)));
            let many = format!("GET / HTTP/1.1\r\nHost: {NAME}\r\n{}\r\n", "X: y\r\n".repeat(200));
            assert!([0, 431].contains(&status(many)));
            let limited = status(format!("GET /limited HTTP/1.1\r\nHost: {NAME}\r\n\r\n"));
            assert!([200, 429].contains(&limited), "{limited}");
            assert_eq!(status(format!("GET /%70rivate HTTP/1.1\r\nHost: {NAME}\r\n\r\n")), 403);
        }
    });
}

fn slow(crowd: &mut Crowd, door: SocketAddr) {
    crowd.add("heads that never end", SOMETIMES, move || {
        move || {
            let mut clients: Vec<Client> = (0..10).map(|_| Client::connect(door)).collect();
            for client in &mut clients {
                client.send(format!("GET / HTTP/1.1\r\nHost: {NAME}\r\nX-"));
            }
            for mut client in clients {
                assert_eq!(client.response().status(), 408);
            }
        }
    });
    crowd.add("bodies that never end", SOMETIMES, move || {
        move || {
            let mut client = Client::connect(door);
            client.send(format!("POST /upload HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 100\r\n\r\nhalf"));
            assert_eq!(client.response().status(), 408);
        }
    });
    crowd.add("answers that nobody takes", SOMETIMES, move || {
        move || {
            let mut client = Client::connect(door);
            client.send(format!("GET /download HTTP/1.1\r\nHost: {NAME}\r\n\r\n").repeat(60));
            // It is given up on, at the latest when its time is over: then what it did not take is gone.
            std::thread::sleep(Duration::from_millis(300));
        }
    });
}

fn rude(crowd: &mut Crowd, door: SocketAddr) {
    crowd.add("who resets within a request", OFTEN, move || {
        let whole =
            format!("POST /upload HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 40000\r\n\r\n{}", "x".repeat(9000));
        let mut turn = 0;
        move || {
            turn += 1;
            let mut client = Client::connect(door);
            client.send(&whole[..whole.len() * (turn % 10) / 10]);
            client.pipe.reset();
        }
    });
    crowd.add("who resets within an answer", OFTEN, move || {
        move || {
            let mut client = Client::connect(door);
            client.send(format!("GET /chunks HTTP/1.1\r\nHost: {NAME}\r\n\r\n"));
            client.pipe.exactly(1_000).expect("the beginning of an answer");
            client.pipe.reset();
        }
    });
    crowd.add("who resets a tunnel", OFTEN, move || {
        move || {
            let mut client = Client::connect(door);
            client.send(WebSocket::request(NAME, "/ws", ""));
            assert_eq!(client.response().status(), 101);
            client.send(b"\x82\xfe");
            client.pipe.reset();
        }
    });
    crowd.add("a flood of connections", SOMETIMES, move || {
        move || drop((0..50).map(|_| Client::connect(door)).collect::<Vec<_>>())
    });
}

fn strangers(crowd: &mut Crowd, stage: &Stage, door: SocketAddr) {
    crowd.add("what is no handshake", OFTEN, move || {
        let mut turn = 0;
        move || {
            turn += 1;
            let mut client = Client::connect(door);
            client.send(match turn % 4 {
                0 => &b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"[..],
                1 => b"\x16\x03\x01\x40\x00\x01\x00",
                2 => b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
                _ => b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x01\x00\x80",
            });
            client.pipe.finish();
            client.pipe.drain();
        }
    });
    let config = stage.authority.client(&["http/1.1"]);
    crowd.add("handshakes for another name", OFTEN, move || {
        let config = config.clone();
        move || assert!(Client::tls(door, "other.example", config.clone()).is_err())
    });
    let config = crate::harness::Authority::new().client(&["h2"]);
    crowd.add("handshakes that the client gives up", OFTEN, move || {
        let config = config.clone();
        move || assert!(Client::tls(door, NAME, config.clone()).is_err())
    });
}

fn frames(crowd: &mut Crowd, door: SocketAddr) {
    crowd.add("streams opened and reset", NOW_AND_THEN, move || {
        move || {
            let mut raw = Raw::connect(door);
            raw.hurry();
            for at in 0..300 {
                raw.get(at * 2 + 1, "/hang").send(RST_STREAM, 0, at * 2 + 1, &[0, 0, 0, 8]);
            }
            raw.end();
        }
    });
    crowd.add("CONTINUATION without end", NOW_AND_THEN, move || {
        move || {
            let mut raw = Raw::connect(door);
            raw.hurry().send(HEADERS, 0, 1, &request("GET", "/", &[]));
            let piece = crate::frames::frame(CONTINUATION, 0, 1, &[0; 4_000]);
            assert!((0..2_000).any(|_| !raw.pour(&piece)), "8 MB of a head are taken");
        }
    });
    crowd.add("streams that are left open", NOW_AND_THEN, move || {
        move || {
            let mut raw = Raw::connect(door);
            for at in 0..20 {
                raw.head(at * 2 + 1, &request("POST", "/upload", &[]), false);
            }
            assert!(raw.settled());
        }
    });
}

/// Over HTTP/3, and over nothing.
fn datagrams(crowd: &mut Crowd, stage: &Stage, door: SocketAddr) {
    crowd.add("datagrams that are no QUIC", OFTEN, move || {
        let mut turn = 0_u8;
        move || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            for first in [0x00, 0x40, 0xc0, 0xd0, 0xe0, 0xf0, 0xff] {
                turn = turn.wrapping_add(1);
                // A version that nobody speaks, or none; long enough to be taken for a beginning.
                let datagram = [&[first, 0, 0, 0, turn % 3, 8][..], &[turn; 1_200]].concat();
                socket.send_to(&datagram, door).unwrap();
            }
        }
    });
    let config = stage.authority.client(&["h3"]);
    crowd.add("streams of HTTP/3 given up", NOW_AND_THEN, move || {
        let config = config.clone();
        move || {
            run(async {
                let raw = RawH3::connect(door, config.clone()).await;
                let (ask, half) = (head("GET", "/hang", &[]), head("POST", "/upload", &[("content-length", "100")]));
                for turn in 0..60 {
                    let Ok((mut send, mut receive)) = raw.quic.open_bi().await else { break };
                    let whole = [frame(HEAD, if turn % 2 == 0 { &ask } else { &half }), frame(DATA, b"half")].concat();
                    if send.write_all(&whole[..whole.len() * (turn % 5 + 1) / 5]).await.is_err() {
                        break;
                    }
                    let _ = (send.reset(0x10c_u32.into()), receive.stop(0x10c_u32.into()));
                    tokio::task::yield_now().await;
                }
            });
        }
    });
    let config = crate::harness::Authority::new().client(&["h3"]);
    crowd.add("handshakes over QUIC that the client gives up", SOMETIMES, move || {
        let config = config.clone();
        move || assert!(run(crate::harness::h3::quic(door, NAME, config.clone())).is_err())
    });
}

fn faults(crowd: &mut Crowd, door: SocketAddr) {
    for (kind, target, status) in [
        ("a server that is not there", "/refuse", 502),
        ("a server that hangs", "/hang", 504),
        ("a server that says nothing", "/fault/silence", 502),
        ("a server that talks nonsense", "/fault/garbage", 502),
        ("a server that says too much", "/fault/more", 200),
    ] {
        crowd.add(kind, SOMETIMES, move || {
            move || {
                let answer = crate::harness::get(door, NAME, target);
                assert_eq!(answer.status(), status, "{answer:?}");
                assert!(status != 200 || answer.text() == "ok", "{answer:?}");
            }
        });
    }
    crowd.add("a server that breaks off", SOMETIMES, move || {
        move || {
            for target in ["/fault/cut", "/fault/reset", "/fault/chunk"] {
                let mut client = Client::connect(door);
                client.send(format!("GET {target} HTTP/1.1\r\nHost: {NAME}\r\n\r\n"));
                assert!(client.try_response().is_err(), "half an answer looks whole");
                let outcome = run(async { H2::connect(door).await.try_get(target).await });
                assert!(outcome.is_err(), "half an answer looks whole over HTTP/2: {outcome:?}");
            }
        }
    });
}
