//! What a limit costs each request: the key, the table, and the fields of the answer.

use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use divan::Bencher;
use futures_util::future::{LocalBoxFuture, ready};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, Version};
use proxyfile::check::Check;
use proxyfile::diagnostic::FileId;
use proxyfile::directive;
use proxyfile::http::body::Body;
use proxyfile::http::connection::Connection;
use proxyfile::http::exchange::{Exchange, Host, Notes, RequestId, Upgrade};
use proxyfile::http::fault::Fault;
use proxyfile::http::prefix::Prefixes;
use proxyfile::http::sent::Sent;
use proxyfile::http::step::{Answer, Answers};
use proxyfile::http::target::Target;
use proxyfile::site::{Building, Program, Supplies};
use smallvec::SmallVec;

fn main() {
    divan::main();
}

struct Nothing;

impl Answers for Nothing {
    fn answer<'a>(&'a self, _: &'a mut Exchange) -> LocalBoxFuture<'a, Result<Answer, Fault>> {
        Box::pin(ready(Ok(Response::new(Body::Empty))))
    }
}

fn exchange() -> Exchange {
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_static("example.com"));
    headers.insert("x-api-key", HeaderValue::from_static("0123456789abcdef0123456789abcdef"));
    let uri = "/".parse().unwrap();
    let client = SocketAddr::from(([192, 0, 2, 1], 40_000));
    Exchange {
        connection: Rc::new(Connection::new(Some(client), 80, None)),
        method: Method::GET,
        version: Version::HTTP_11,
        host: Host::of(&uri, &headers, Version::HTTP_11).unwrap(),
        target: Target::of(&uri).unwrap(),
        sent: Sent::of(&headers),
        headers,
        prefixes: Prefixes::default(),
        body: Body::Empty,
        max_body: u64::MAX,
        client_ip: client.ip(),
        trusted: false,
        id: RequestId::Kept(HeaderValue::from_static("bench")),
        captures: SmallVec::new(),
        notes: Notes::default(),
        fault: None,
        started: Instant::now(),
        rehearsed: false,
        upgrade: Upgrade::No,
        auth: None,
        origin: None,
        limits: SmallVec::new(),
    }
}

fn program(statement: &str) -> Program {
    let (tree, _) = proxyfile::syntax::parse(FileId::default(), statement);
    let mut supplies = Supplies::default();
    let mut site = Building::new(&mut supplies);
    if let Some(node) = tree.nodes.first() {
        let room = directive::find("rate_limit").unwrap();
        (room.check)(node, &mut Check::default()).unwrap().compile(&mut site).unwrap();
    }
    site.answer(Nothing);
    site.finish()
}

fn run(program: &Program, exchange: &mut Exchange) -> u16 {
    let mut cx = Context::from_waker(Waker::noop());
    match Box::pin(program.run(exchange)).as_mut().poll(&mut cx) {
        Poll::Ready(answer) => answer.status().as_u16(),
        Poll::Pending => panic!("limits do not wait"),
    }
}

#[divan::bench(args = ["", "rate_limit 1000000/s burst 1000000", "rate_limit 1000000/s { headers off }", "rate_limit 1000000/s by header X-Api-Key { headers off }"])]
fn one_client(bencher: Bencher<'_, '_>, statement: &str) {
    let program = program(statement);
    let mut exchange = exchange();
    bencher.bench_local(|| run(&program, &mut exchange));
}

/// Every request comes from an address of its own, and the table is full.
#[divan::bench]
fn a_flood_of_clients(bencher: Bencher<'_, '_>) {
    let program = program("rate_limit 1/m { keys 100000; headers off }");
    let mut exchange = exchange();
    let mut client = 0_u32;
    bencher.bench_local(|| {
        client = client.wrapping_add(1);
        exchange.client_ip = Ipv4Addr::from_bits(client).into();
        run(&program, &mut exchange)
    });
}
