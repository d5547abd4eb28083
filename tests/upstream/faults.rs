//! Each way in which a server can fail has a cause of its own.

use std::time::Duration;

use http::Method;
use proxyfile::http::fault::Cause;
use proxyfile::upstream::{Address, Timeouts, Upstream};

use crate::origin::{Origin, Request, origin, run, settings, upstream};

/// Says `wire` to each request; then closes, or waits.
async fn saying(wire: &'static str, then_close: bool) -> Origin {
    origin(move |_, mut client| async move {
        if client.head().await.is_some() {
            client.say(wire).await;
            if !then_close {
                client.closed().await;
            }
        }
    })
    .await
}

#[test]
fn what_a_server_says_wrongly_has_its_cause() {
    run(async {
        for (wire, cause) in [
            ("\x15\x03\x03\x00\x02\x02\x32", Cause::Protocol),
            ("SSH-2.0-x\r\n", Cause::Protocol),
            ("HTTP/1.1 200 OK\r\nx : 1\r\n\r\n", Cause::Malformed),
            ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", Cause::Malformed),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhelloX", Cause::Malformed),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n+5\r\nhello\r\n", Cause::Malformed),
            ("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n", Cause::Malformed),
            ("", Cause::ClosedEarly),
            ("HTTP/1.1 200 OK\r\ncontent-", Cause::ClosedEarly),
            ("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello", Cause::ClosedInBody),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel", Cause::ClosedInBody),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", Cause::ClosedInBody),
        ] {
            let origin = saying(wire, true).await;
            let (met, trace) = Request::get().cause(&upstream(&[&origin])).await;
            assert_eq!(met, cause, "{wire:?}");
            assert_eq!((trace.attempts, origin.log.count()), (1, 1), "{wire:?}");
        }
        let many: &'static str = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: 1\r\n".repeat(201)).leak();
        let long: &'static str = format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(70_000)).leak();
        for wire in [many, long] {
            let origin = saying(wire, false).await;
            assert_eq!(Request::get().cause(&upstream(&[&origin])).await.0, Cause::HeadersTooLarge);
        }
    });
}

fn hasty(address: &str) -> Upstream {
    let mut settings = settings(&[address]);
    let soon = Duration::from_millis(200);
    settings.timeouts = Timeouts { connect: soon, first_byte: soon, read: soon, send: soon, ..Timeouts::default() };
    Upstream::new(settings)
}

#[test]
fn each_wait_has_its_own_timeout() {
    run(async {
        let mute = saying("", false).await;
        let address = mute.address.to_string();
        assert_eq!(Request::get().cause(&hasty(&address)).await.0, Cause::HeaderTimeout);
        // Of a request that the server does not take.
        let big: &'static str = "x".repeat(32 << 20).leak();
        let deaf = origin(|_, client| async move {
            std::future::pending::<()>().await;
            drop(client);
        })
        .await;
        let request = Request::with(crate::origin::full(big));
        assert_eq!(request.cause(&hasty(&deaf.address.to_string())).await.0, Cause::SendTimeout);
        let halting = saying("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello", false).await;
        assert_eq!(Request::get().cause(&hasty(&halting.address.to_string())).await.0, Cause::ReadTimeout);
    });
}

#[test]
fn streams_may_be_silent_for_longer() {
    run(async {
        let events = origin(|_, mut client| async move {
            client.head().await.unwrap();
            client.say("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n").await;
            tokio::time::sleep(Duration::from_millis(700)).await;
            client.say("data: 2\n\n").await;
        })
        .await;
        let response = Request::get().response(&hasty(&events.address.to_string())).await;
        assert_eq!(crate::origin::read(response.into_body()).await.unwrap(), "data: 1\n\ndata: 2\n\n");
    });
}

#[test]
fn a_connection_that_cannot_be_made_says_why() {
    run(async {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let (cause, trace) = Request::get().cause(&hasty(&gone)).await;
        assert_eq!((cause, trace.attempts), (Cause::ConnectionRefused, 2));
        let socket = Upstream::new(settings(&["unix//nonexistent/app.sock"]));
        assert_eq!(Request::get().cause(&socket).await.0, Cause::ConnectionRefused);
        // Longer than a name can be, so no name server is asked.
        let mut settings = crate::origin::settings(&["name:80"]);
        settings.servers[0].target.address = Address::Host { name: "x.".repeat(200).into(), port: 80 };
        let nameless = Upstream::new(settings);
        let (cause, trace) = Request::get().cause(&nameless).await;
        assert_eq!((cause, trace.attempts), (Cause::Dns, 1));
        let unreachable = Upstream::new(crate::origin::settings(&["255.255.255.255:80"]));
        assert_eq!(Request::get().cause(&unreachable).await.0, Cause::HostUnreachable);
    });
}

#[test]
fn a_server_that_does_not_accept_is_given_up_in_time() {
    run(async {
        // The system answers for a listener until its queue is full; from then on it is silent.
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        listener.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut queued = vec![];
        while let Ok(Ok(stream)) =
            tokio::time::timeout(Duration::from_millis(100), tokio::net::TcpStream::connect(address)).await
        {
            queued.push(stream);
        }
        let (cause, trace) = Request::get().cause(&hasty(&address.to_string())).await;
        assert_eq!((cause, trace.attempts), (Cause::ConnectTimeout, 1));
    });
}

#[test]
fn a_head_request_and_a_bodiless_status_have_no_body() {
    run(async {
        for (method, wire) in [
            (Method::HEAD, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"),
            (Method::GET, "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n"),
            (Method::GET, "HTTP/1.1 204 No Content\r\n\r\n"),
        ] {
            let origin = crate::origin::answering(wire).await;
            let upstream = upstream(&[&origin]);
            for _ in 0..3 {
                let response = Request::new(method.clone()).response(&upstream).await;
                assert!(http_body::Body::is_end_stream(response.body()));
            }
            assert_eq!(origin.log.connections.get(), 1);
        }
    });
}
