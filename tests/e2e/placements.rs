//! Requirements C06, C08, H12, N05 and P09: rp at the edge, behind itself, and before many who ask for little or take
//! nothing.

use crate::harness::{
    Ask, Authority, Client, Folder, Origin, Protocol, Proxy, SECURE, Speaker, Stream, each, each_of, eventually, of,
};

/// KiB of memory, and descriptors.
fn size(proxy: &Proxy) -> (usize, usize) {
    let process = format!("/proc/{}", proxy.pid());
    let status = std::fs::read_to_string(format!("{process}/status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let descriptors = std::fs::read_dir(format!("{process}/fd")).unwrap().count();
    (resident.split_whitespace().next().unwrap().parse().unwrap(), descriptors)
}

/// An edge with TLS, and a proxy behind it that trusts it, before two servers by host.
#[test]
fn c08_h12_an_edge_and_an_inner_proxy_tell_one_story() {
    each_of(&SECURE, |over| {
        let (authority, folder) = (Authority::new(), Folder::new());
        let (certificate, key) = authority.issue(&["one.example", "two.example"]).save(&folder, "site");
        // An app that writes absolute links, as it is told that it was asked.
        let app = |name: &'static str| {
            Origin::new(move |request, wire| {
                let (scheme, host) =
                    (request.field("x-forwarded-proto").unwrap(), request.field("x-forwarded-host").unwrap());
                wire.ok(&format!("{name} <a href=\"{scheme}://{host}/next\">"));
            })
        };
        let (one, two) = (app("one"), app("two"));
        let inner = of("global { trusted_proxies 127.0.0.0/8 }
            http://one.example:0 { bind 127.0.0.1; reverse_proxy {$ONE} }
            http://two.example:0 { bind 127.0.0.1; reverse_proxy {$TWO} }")
        .with("ONE", &one)
        .with("TWO", &two)
        .start();
        let edge = of("https://:0 { bind 127.0.0.1; tls {$CERT} {$KEY}; reverse_proxy {$INNER} }")
            .with("CERT", certificate.display())
            .with("KEY", key.display())
            .with("INNER", inner.address())
            .start();
        for (host, origin, name) in [("one.example", &one, "one"), ("two.example", &two, "two")] {
            let pretended = "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: x\r\n";
            let mut speaker = Speaker::connect_to(edge.address(), over, host, &authority);
            let answer = speaker.ask(Ask::get("/").host(host).fields(pretended));
            assert_eq!(answer.text(), format!("{name} <a href=\"https://{host}/next\">"), "no link leaves https");
            let request = origin.request();
            assert_eq!(request.all("x-forwarded-for").join(", "), "127.0.0.1, 127.0.0.1", "each hop says whom it saw");
            assert_eq!(request.field("host"), Some(host));
            let id = answer.field("x-request-id").unwrap();
            assert_eq!(request.field("x-request-id"), Some(id));
            for proxy in [&edge, &inner] {
                assert_eq!(proxy.logged(id)["status"], 200, "one id, in both logs");
            }
        }
    });
}

#[test]
fn c06_idle_connections_cost_little_and_are_given_back() {
    const CLIENTS: usize = 300;
    let proxy = Proxy::site("respond ok", "127.0.0.1:1");
    assert_eq!(proxy.get("/").text(), "ok");
    let before = size(&proxy);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| proxy.client()).collect();
    for client in &mut clients {
        assert_eq!(client.get("example.com", "/").text(), "ok");
    }
    let open = size(&proxy);
    // One of those before may have been the first client's.
    assert!(open.1 + 1 >= before.1 + CLIENTS, "they are all there");
    let each = open.0.saturating_sub(before.0) / CLIENTS;
    assert!(each < 40, "{each} KiB for each connection that waits");
    drop(clients);
    eventually("all descriptors are given back", || (size(&proxy).1 <= before.1 + 2).then_some(()));
}

#[test]
fn n05_many_slow_readers_take_a_bounded_amount_of_memory() {
    each_of(&[Protocol::Plain, Protocol::Http2, Protocol::Http3], |over| {
        let count = if over == Protocol::Plain { 200 } else { 50 };
        let origin = Origin::new(|request, wire| match request.target() {
            "/large" => {
                wire.say("HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n");
                let piece = vec![b'x'; 100_000];
                while wire.pipe.send(&piece).is_ok() {}
            }
            _ => wire.ok("ok"),
        });
        let proxy = over.to(&origin);
        assert_eq!(proxy.get("/").text(), "ok");
        let before = size(&proxy).0;
        let mut speakers: Vec<Speaker> = (0..count).map(|_| proxy.speaker()).collect();
        let mut streams: Vec<Stream> =
            speakers.iter_mut().map(|speaker| speaker.send(Ask::get("/large")).unwrap()).collect();
        for stream in &mut streams {
            stream.head().expect("a head");
        }
        assert_eq!(proxy.get("/").text(), "ok", "beside them others are served");
        let each = size(&proxy).0.saturating_sub(before) / count;
        // hyper's buffer for what is to be written, which is 408 KiB, and a piece that waits before it. What is on its way
        // and may have to be sent again is in the kernel with TCP; with QUIC it is here, a mebibyte of it at most.
        let most = if over == Protocol::Http3 { 480 + 1024 } else { 480 };
        assert!(each < most, "{each} KiB for each of those who take nothing");
    });
}

#[test]
fn p09_grpc_web_passes_as_it_is() {
    each(|over| {
        // A frame of data, and one of trailers, which are a part of the body there.
        let message = b"\x00\x00\x00\x00\x03abc";
        let answer = b"\x00\x00\x00\x00\x02ok\x80\x00\x00\x00\x0fgrpc-status:0\r\n";
        let origin = Origin::new(move |_, wire| {
            wire.say(format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/grpc-web+proto\r\nContent-Length: {}\r\n\r\n",
                answer.len()
            ));
            wire.say(answer);
        });
        let proxy = over.site("encode gzip\n reverse_proxy {$ORIGIN}", &origin);
        let asked = Ask::of("POST", "/pkg.Service/Call").field("Content-Type", "application/grpc-web+proto");
        let response = proxy.request(asked.fields("X-Grpc-Web: 1\r\nAccept-Encoding: gzip\r\n").body(message));
        assert_eq!((response.status(), response.field("content-type")), (200, Some("application/grpc-web+proto")));
        assert_eq!((response.body.as_slice(), response.field("content-encoding")), (&answer[..], None));
        let request = origin.request();
        assert_eq!((request.body.as_slice(), request.field("x-grpc-web")), (&message[..], Some("1")));
    });
}
