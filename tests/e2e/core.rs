//! Requirements C: a request reaches its server as it was meant, and the answer comes back as it was given.

use crate::harness::{Framing, H2, Origin, Proxy, run};

#[test]
fn c01_an_answer_arrives_as_the_origin_gave_it() {
    let origin = Origin::answering(
        "HTTP/1.1 203 Fine\r\nContent-Length: 5\r\nX-Custom: a, b\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nhello",
    );
    let proxy = Proxy::to(&origin);
    let response = proxy.get("/path?query=1%20x");
    assert_eq!((response.status(), response.text()), (203, "hello"));
    assert_eq!(response.framing, Framing::Length(5));
    assert_eq!(response.field("x-custom"), Some("a, b"));
    assert_eq!(response.all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(origin.request().start, "GET /path?query=1%20x HTTP/1.1");
    let line = proxy.logged_for(&response);
    assert_eq!((&line["status"], &line["bytes_out"]), (&203.into(), &5.into()));
}

#[test]
fn c01_an_answer_arrives_over_http2() {
    let origin = Origin::saying("hello");
    let proxy = Proxy::to(&origin);
    let response = run(async { H2::connect(proxy.address()).await.get("example.com", "/x").await });
    assert_eq!((response.status.as_u16(), &response.body[..]), (200, &b"hello"[..]));
    assert_eq!(response.field("content-length"), Some("5"));
}
