//! What one access-log line costs: filled in, escaped and appended to a buffer, but not written.

use std::net::Ipv4Addr;
use std::time::SystemTime;

use divan::Bencher;
use proxyfile::telemetry::access::{Form, Phases, Record, Style};
use proxyfile::telemetry::redact::Redact;
use proxyfile::telemetry::{clock, id};

fn main() {
    divan::main();
}

fn record<'a>(id: &'a str, uri: &'a [u8]) -> Record<'a> {
    Record {
        time: SystemTime::now(),
        request_id: id,
        client_ip: Ipv4Addr::new(192, 0, 2, 77).into(),
        peer: None,
        user: None,
        method: "GET",
        scheme: "https",
        host: b"shop.example.com",
        uri,
        protocol: "HTTP/2.0",
        status: 200,
        bytes_in: 0,
        bytes_out: 18_234,
        user_agent: Some(b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        referer: Some(b"https://shop.example.com/articles"),
        phases: Phases { connect: None, tls: None, first_byte: Some(2_345), total: 3_456 },
        upstream: Some("10.0.1.101:3000"),
        attempts: 1,
        upstream_status: Some(200),
        error_code: None,
        reason: None,
        site: "shop.example.com",
        route: Some("Proxyfile:12"),
        tls_version: Some("TLSv1.3"),
        tls_suite: Some("TLS13_AES_128_GCM_SHA256"),
        tls_client: None,
        tunnel_end: None,
        fields: &[],
    }
}

fn append(bencher: Bencher<'_, '_>, form: Form, uri: &[u8]) {
    let style = Style { form, redact: Redact::default() };
    let mut line = Vec::with_capacity(64 * 1024);
    bencher.bench_local(|| {
        line.clear();
        record("017f22e279b07cc398c4dc0c0c07398f", divan::black_box(uri)).append(&mut line, &style);
        line.len()
    });
}

const ORDINARY: &[u8] = b"/api/articles/4711?page=2&sort=price&token=abcdef";

#[divan::bench]
fn json(bencher: Bencher<'_, '_>) {
    append(bencher, Form::Json, ORDINARY);
}

#[divan::bench]
fn coloured(bencher: Bencher<'_, '_>) {
    append(bencher, Form::Coloured, ORDINARY);
}

/// The most that a client can make a line cost: all of the URI to be escaped, and cut.
#[divan::bench]
fn json_of_a_hostile_uri(bencher: Bencher<'_, '_>) {
    append(bencher, Form::Json, &[b'/', 0x1B].repeat(4096));
}

/// As many parameters as fit, each of which has to be compared with the secret ones.
#[divan::bench]
fn json_of_many_parameters(bencher: Bencher<'_, '_>) {
    append(bencher, Form::Json, &b"/?".iter().chain(b"%6b=&".iter().cycle().take(8000)).copied().collect::<Vec<_>>());
}

#[divan::bench]
fn request_id() -> [u8; 32] {
    id::next(std::time::Instant::now())
}

#[divan::bench]
fn http_date() -> [u8; 29] {
    clock::http_date(SystemTime::now())
}
