//! Requirement A09: requests that never reach the server.

use crate::harness::{Ask, Origin, each};

#[test]
fn a09_what_is_required_is_asked_before_the_body_is_read() {
    each(|over| {
        let origin = Origin::saying("ok");
        let config = ":0 {\n bind 127.0.0.1\n require { methods GET POST; content_types application/json; headers X-Version }\n reverse_proxy {$ORIGIN}\n}";
        let proxy = over.of(config).with("ORIGIN", &origin).start();
        let refused = proxy.request(Ask::of("PUT", "/").field("X-Version", "1").body("{}"));
        assert_eq!((refused.status(), refused.field("allow")), (405, Some("GET, POST, HEAD")));
        // None of these bodies ever comes.
        for (kind, status) in
            [("", 415), ("Content-Type: text/plain\r\n", 415), ("Content-Type: application/json\r\n", 400)]
        {
            let response = proxy.speaker().begin(Ask::of("POST", "/").fields(kind).length(1000)).answer().unwrap();
            assert_eq!(response.status(), status, "{kind}");
            assert_eq!(proxy.logged_for(&response)["status"], status);
        }
        let endless = Ask::of("POST", "/").field("X-Version", "1").unsized_body("");
        assert_eq!(proxy.speaker().begin(endless).answer().unwrap().status(), 415);
        assert_eq!(origin.requests().len(), 0);
        let json = Ask::of("POST", "/").fields("X-Version: 1\r\nContent-Type: application/json; charset=utf-8\r\n");
        assert_eq!(proxy.request(json.body("{}")).status(), 200);
        assert_eq!(proxy.request(Ask::get("/").field("X-Version", "1")).status(), 200, "without a body, no type");
        assert_eq!(origin.wait_for(2).len(), 2);
    });
}
