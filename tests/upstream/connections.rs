//! Which connections serve again, and which must not.

use std::rc::Rc;
use std::time::Duration;

use http::Method;
use proxyfile::http::fault::Cause;
use proxyfile::upstream::{Limits, Upstream, sweep};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use crate::origin::{Request, answering, full, get, next, origin, read, run, settings, upstream};

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
const CHUNKS: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";

#[test]
fn many_requests_make_one_connection() {
    run(async {
        for wire in [HELLO, CHUNKS] {
            let origin = answering(wire).await;
            let upstream = upstream(&[&origin]);
            for turn in 0..50 {
                let (result, trace) = Request::get().send(&upstream).await;
                let Ok(proxyfile::upstream::Answer::Response(response)) = result else { panic!("no response") };
                assert_eq!(read(response.into_body()).await.unwrap(), "hello");
                assert_eq!((trace.reused, trace.attempts), (turn > 0, 1));
            }
            assert_eq!((origin.log.connections.get(), upstream.servers()[0].idle()), (1, 1));
            // Another configuration that names the same server.
            let reloaded = crate::origin::upstream(&[&origin]);
            drop(upstream);
            get(&reloaded).await;
            assert_eq!(origin.log.connections.get(), 1);
        }
    });
}

#[test]
fn what_the_origin_does_not_want_or_got_wrong_does_not_serve_again() {
    run(async {
        for wire in [
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nx",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello",
            "HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        ] {
            let origin = answering(wire).await;
            let upstream = upstream(&[&origin]);
            for turn in 1..4 {
                assert_eq!(get(&upstream).await, (200, "hello".to_owned()));
                assert_eq!((origin.log.connections.get(), upstream.servers()[0].idle()), (turn, 0), "{wire:?}");
            }
        }
        for wire in
            ["HTTP/1.1 204 No Content\r\n\r\nhello", "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\nhello"]
        {
            let origin = answering(wire).await;
            let upstream = upstream(&[&origin]);
            assert_eq!(get(&upstream).await.1, "");
            assert_eq!(upstream.servers()[0].idle(), 0);
        }
    });
}

#[test]
fn an_idle_connection_that_speaks_is_closed() {
    run(async {
        let go = Rc::new(Notify::new());
        let gone = go.clone();
        let origin = origin(move |_, mut client| {
            let go = gone.clone();
            async move {
                while client.head().await.is_some() {
                    client.say(HELLO).await;
                    go.notified().await;
                    client.say("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison").await;
                }
            }
        })
        .await;
        let upstream = upstream(&[&origin]);
        get(&upstream).await;
        assert_eq!(upstream.servers()[0].idle(), 1);
        go.notify_one();
        while upstream.servers()[0].idle() > 0 {
            sweep();
            tokio::task::yield_now().await;
        }
        assert_eq!(get(&upstream).await.1, "hello");
        assert_eq!(origin.log.connections.get(), 2);
    });
}

/// Answers the first request of each connection, and closes at the second.
async fn tired() -> crate::origin::Origin {
    origin(|_, mut client| async move {
        if let Some(head) = client.head().await {
            client.take(if head.contains("content-length: 4") { 4 } else { 0 }).await;
            client.say(HELLO).await;
            client.head().await;
        }
    })
    .await
}

#[test]
fn a_connection_closed_while_it_was_idle_costs_a_get_nothing() {
    run(async {
        let origin = tired().await;
        let upstream = upstream(&[&origin]);
        get(&upstream).await;
        let (result, trace) = Request::get().send(&upstream).await;
        assert!(result.is_ok());
        assert_eq!((trace.attempts, trace.reused), (2, false));
        assert_eq!((origin.log.connections.get(), origin.log.count()), (2, 3));
    });
}

#[test]
fn what_may_have_had_an_effect_is_not_repeated() {
    run(async {
        for (request, causes) in [
            (Request::with(full("body")), Cause::ClosedEarly),
            (Request::new(Method::POST), Cause::ClosedEarly),
            // Idempotent, but its body is spent.
            (Request { method: Method::PUT, ..Request::with(full("body")) }, Cause::ClosedEarly),
        ] {
            let origin = tired().await;
            let upstream = upstream(&[&origin]);
            get(&upstream).await;
            let (cause, trace) = request.cause(&upstream).await;
            assert_eq!((cause, trace.attempts, trace.reused), (causes, 1, true));
            assert_eq!((origin.log.connections.get(), origin.log.count()), (1, 2));
        }
    });
}

#[test]
fn a_body_that_is_not_wanted_closes_its_connection() {
    run(async {
        let closed = Rc::new(Notify::new());
        let told = closed.clone();
        let origin = origin(move |_, mut client| {
            let told = told.clone();
            async move {
                client.head().await;
                client.say("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello").await;
                client.closed().await;
                told.notify_one();
            }
        })
        .await;
        let upstream = upstream(&[&origin]);
        let mut body = Request::get().response(&upstream).await.into_body();
        assert!(matches!(next(&mut body).await, Some(Ok(_))));
        drop(body);
        closed.notified().await;
        assert_eq!(upstream.servers()[0].idle(), 0);
    });
}

#[test]
fn idle_connections_are_bounded_and_old_ones_retire() {
    run(async {
        let origin = answering(HELLO).await;
        let mut settings = settings(&[&origin.address.to_string()]);
        settings.limits = Limits { idle: 2, requests: 3, ..Limits::default() };
        let upstream = Upstream::new(settings.clone());
        let all: Vec<_> = (0..4).map(|_| get(&upstream)).collect();
        futures_util::future::join_all(all).await;
        assert_eq!((origin.log.connections.get(), upstream.servers()[0].idle()), (4, 2));
        for _ in 0..4 {
            get(&upstream).await;
        }
        assert_eq!((origin.log.connections.get(), upstream.servers()[0].idle()), (4, 0), "each served three");
        get(&upstream).await;
        drop(upstream);
        sweep();
        settings.limits.idle_timeout = Duration::ZERO;
        let upstream = Upstream::new(settings);
        assert_eq!(upstream.servers()[0].idle(), 0, "the slot was freed");
        get(&upstream).await;
        assert_eq!(upstream.servers()[0].idle(), 1);
        while upstream.servers()[0].idle() > 0 {
            sweep();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

#[test]
fn a_unix_socket_serves_like_any_other() {
    run(async {
        let path = std::env::temp_dir().join(format!("upstream-test-{}.sock", std::process::id()));
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            while matches!(stream.read(&mut request).await, Ok(1..)) {
                stream.write_all(HELLO.as_bytes()).await.unwrap();
            }
        });
        let upstream = Upstream::new(settings(&[&format!("unix/{}", path.display())]));
        for _ in 0..3 {
            assert_eq!(get(&upstream).await.1, "hello");
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(upstream.servers()[0].idle(), 1);
    });
}
