//! Requirement A09: requests that never reach the server.

use crate::harness::{Origin, of};

#[test]
fn a09_what_is_required_is_asked_before_the_body_is_read() {
    let origin = Origin::saying("ok");
    let config = ":0 {\n bind 127.0.0.1\n require { methods GET POST; content_types application/json; headers X-Version }\n reverse_proxy {$ORIGIN}\n}";
    let proxy = of(config).with("ORIGIN", &origin).start();
    let ask = |head: &str, body: &str| {
        let mut client = proxy.client();
        client.send(format!("{head}\r\nHost: example.com\r\n\r\n{body}")).response()
    };
    let refused = ask("PUT / HTTP/1.1\r\nX-Version: 1\r\nContent-Length: 2", "{}");
    assert_eq!((refused.status(), refused.field("allow")), (405, Some("GET, POST, HEAD")));
    // None of these bodies ever comes.
    for (kind, status) in
        [("", 415), ("Content-Type: text/plain\r\n", 415), ("Content-Type: application/json\r\n", 400)]
    {
        let response = ask(&format!("POST / HTTP/1.1\r\n{kind}Content-Length: 1000"), "");
        assert_eq!(response.status(), status, "{kind}");
        assert_eq!(proxy.logged_for(&response)["status"], status);
    }
    let chunked = "POST / HTTP/1.1\r\nX-Version: 1\r\nTransfer-Encoding: chunked";
    assert_eq!(ask(chunked, "").status(), 415);
    assert_eq!(origin.requests().len(), 0);
    let json = "POST / HTTP/1.1\r\nX-Version: 1\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 2";
    assert_eq!(ask(json, "{}").status(), 200);
    assert_eq!(ask("GET / HTTP/1.1\r\nX-Version: 1", "").status(), 200, "without a body, no type");
    assert_eq!(origin.wait_for(2).len(), 2);
}
