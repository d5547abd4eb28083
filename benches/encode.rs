//! What encoding an answer costs: 100 KB of JSON, from the step's response side to the last byte.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::BytesCount;
use futures_util::future::{LocalBoxFuture, ready};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, Version};
use http_body::{Body as _, Frame};
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

const SIZE: usize = 100 * 1024;

/// A list of records that differ as records do.
fn json() -> Bytes {
    let mut text = String::from("[");
    let mut state = 1_u64;
    while text.len() < SIZE {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let (id, name, mail) = (state % 100_000, state % 977, state % 9973);
        let (even, score) = (state.is_multiple_of(2), state % 100);
        let _ = write!(
            text,
            "{{\"id\":{id},\"name\":\"user {name}\",\"email\":\"user{mail}@example.com\",\"active\":{even},\"score\":{score}}},"
        );
    }
    text.truncate(SIZE);
    text.into()
}

/// Gives the list in pieces of 16 KiB, as an upstream does.
struct Origin(Bytes);

struct Pieces(Bytes);

impl Answers for Origin {
    fn answer<'a>(&'a self, _: &'a mut Exchange) -> LocalBoxFuture<'a, Result<Answer, Fault>> {
        let mut answer = Response::new(Body::stream(Pieces(self.0.clone())));
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(self.0.len()));
        Box::pin(ready(Ok(answer)))
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let most = self.0.len().min(16 << 10);
        Poll::Ready((most > 0).then(|| Ok(Frame::data(self.0.split_to(most)))))
    }
}

fn exchange(coding: &str) -> Exchange {
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_static("example.com"));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_str(coding).unwrap());
    let uri = "/list".parse().unwrap();
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
    let mut cx = Check::default();
    let room = directive::find("encode").unwrap();
    let encode = (room.check)(&tree.nodes[0], &mut cx).unwrap();
    let mut supplies = Supplies::default();
    let mut site = Building::new(&mut supplies);
    encode.compile(&mut site).unwrap();
    site.answer(Origin(json()));
    site.finish()
}

/// Runs to the end; nothing in it waits for anything but its turn.
fn run(program: &Program, exchange: &mut Exchange) -> usize {
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(answer) = Box::pin(program.run(exchange)).as_mut().poll(&mut cx) else { panic!("it waits") };
    let mut body = answer.into_body();
    let mut length = 0;
    loop {
        match Pin::new(&mut body).poll_frame(&mut cx) {
            Poll::Pending => {}
            Poll::Ready(None) => return length,
            Poll::Ready(Some(frame)) => length += frame.unwrap().into_data().map_or(0, |data| data.len()),
        }
    }
}

#[divan::bench(args = ["gzip 1", "gzip 2", "gzip 6", "br 4", "zstd 1", "zstd 3"])]
fn json_of_100_kb(bencher: Bencher<'_, '_>, what: &str) {
    let (coding, level) = what.split_once(' ').unwrap();
    let program = program(&format!("encode {coding} {{ level {level} }}"));
    let mut exchange = exchange(coding);
    bencher.counter(BytesCount::new(SIZE)).bench_local(|| run(&program, &mut exchange));
}

/// What every answer pays that is not encoded.
#[divan::bench]
fn passed_over(bencher: Bencher<'_, '_>) {
    let program = program("encode");
    let mut exchange = exchange("identity");
    bencher.bench_local(|| run(&program, &mut exchange));
}
