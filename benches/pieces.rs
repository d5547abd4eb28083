//! What the pieces of a request's way cost: its path, its host, its site, its steps, and both heads on the server's side.
//!
//! Compare two builds on one machine; for the whole of a request use `benches/instructions.sh`.

use std::path::Path;
use std::sync::Arc;

use bytes::BytesMut;
use divan::{Bencher, black_box};
use futures_util::FutureExt as _;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Uri};
use proxyfile::check::Check;
use proxyfile::check::Value as _;
use proxyfile::check::value::HostPattern;
use proxyfile::diagnostic::{Sources, Span};
use proxyfile::directive::check_nodes;
use proxyfile::http::exchange::Exchange;
use proxyfile::http::forwarded::{ForwardedField, Forwarding};
use proxyfile::http::hop::{self, Survey};
use proxyfile::http::path;
use proxyfile::site::{Building, Program, Router, Site, Supplies};
use proxyfile::syntax;
use proxyfile::upstream::wire;

fn main() {
    divan::main();
}

#[divan::bench(args = ["/api/articles/4711", "/a/../b/%7euser//c", "/caf%c3%a9/%2e%2e/x"])]
fn canonical_path(path: &str) -> bool {
    path::canonical(black_box(path)).is_ok()
}

#[divan::bench(args = [10, 1_000, 100_000])]
fn router(bencher: Bencher<'_, '_>, sites: usize) {
    let mut router = Router::default();
    for number in 0..sites {
        let (at, program) = (Span::default(), Program::default());
        let site = Site { name: "".into(), at, program, log: None, passes: None };
        let host = HostPattern::parse(&format!("shop-{number}.example.com")).expect("a host");
        router.add(Some(&host), Arc::new(site), proxyfile::site::Demands::default());
    }
    let host = format!("shop-{}.example.com", sites / 2);
    bencher.bench_local(|| router.find(black_box(&host)).is_some());
}

#[divan::bench(args = [
    "respond ok",
    "route /other/* { respond 404 }\nroute /api/:kind/* { respond \"{param.kind}\" }",
    "route {header.User-Agent} ~ `(?i)bot|crawler` { respond 403 }\nrespond ok",
    "header set X-Seen \"{host} {path} {request_id}\"\nheader remove Server X-Powered-By\nrespond ok",
    "strip_prefix /api\nrewrite `/articles/(.*)` `/v2/$1`\nrespond ok",
])]
fn steps(bencher: Bencher<'_, '_>, statements: &str) {
    let program = program(statements);
    bencher
        .with_inputs(exchange)
        .bench_local_values(|mut exchange| program.run(&mut exchange).now_or_never().expect("no step waits").status());
}

/// From a request as it came to the head that a server is sent.
#[divan::bench]
fn request_head(bencher: Bencher<'_, '_>) {
    let mut out = Vec::with_capacity(4096);
    bencher.with_inputs(exchange).bench_local_values(|mut exchange| {
        out.clear();
        let survey = Survey::of_request(&exchange.headers);
        hop::strip(&mut exchange.headers, &survey);
        let forwarding = Forwarding::of(&mut exchange, ForwardedField::Off, &survey);
        let also = forwarding.fields(&exchange);
        let fields = wire::Fields { map: &exchange.headers, also: &also, host: None };
        wire::write(&mut out, &exchange.method, &exchange.target.wire(), fields, wire::Framing::Empty);
        out.len()
    });
}

#[divan::bench]
fn response_head(bencher: Bencher<'_, '_>) {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Sat, 21 Nov 2026 01:23:54 GMT\r\n\
        Content-Type: application/json; charset=utf-8\r\nContent-Length: 1024\r\nConnection: keep-alive\r\n\
        Cache-Control: private, max-age=0\r\nETag: \"33a64df551425fcc55e4d42a148795d9f25f89d4\"\r\n\
        Vary: Accept-Encoding\r\n\r\n";
    bencher.with_inputs(|| BytesMut::from(HEAD)).bench_local_refs(|buffer| {
        wire::parse(buffer, wire::Asked::Other, wire::Values::Shared).is_ok_and(|head| head.is_some())
    });
}

fn program(statements: &str) -> Program {
    let mut sources = Sources::default();
    let file = sources.add(Path::new("Proxyfile"), statements);
    let (tree, _) = syntax::parse(file, statements);
    let mut cx = Check::default();
    let body = check_nodes(&tree.nodes, &mut cx);
    assert!(!cx.has_errors(), "{statements}");
    let mut supplies = Supplies::default();
    let mut building = Building::new(&mut supplies);
    body.compile(&mut building).expect("nothing outside is asked for");
    building.finish()
}

/// As a browser asks.
fn exchange() -> Exchange {
    let uri = Uri::from_static("/api/articles/4711?page=2&sort=price");
    let headers: HeaderMap = [
        (header::HOST, "shop.example.com"),
        (header::USER_AGENT, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        (header::ACCEPT, "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        (header::ACCEPT_ENCODING, "gzip, deflate, br, zstd"),
        (header::ACCEPT_LANGUAGE, "en-GB,en;q=0.5"),
        (header::CONNECTION, "keep-alive"),
        (header::COOKIE, "session=017f22e279b07cc398c4dc0c0c07398f; theme=dark"),
    ]
    .map(|(name, value)| (name, HeaderValue::from_static(value)))
    .into_iter()
    .collect();
    Exchange::alone(Method::GET, &uri, headers).expect("an ordinary request")
}
