//! Exact lines, and that no input whatever makes one that is not a line.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, UNIX_EPOCH};

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn smallest() -> Record<'static> {
    Record {
        time: UNIX_EPOCH + Duration::from_millis(784_111_777_005),
        request_id: "017f22e279b07cc398c4dc0c0c07398f",
        client_ip: Ipv4Addr::new(192, 0, 2, 1).into(),
        peer: None,
        user: None,
        method: "GET",
        scheme: "https",
        host: b"example.com",
        uri: b"/",
        protocol: "HTTP/2.0",
        status: 200,
        bytes_in: 0,
        bytes_out: 1234,
        user_agent: None,
        referer: None,
        phases: Phases { total: 1234, ..Phases::default() },
        upstream: None,
        attempts: 0,
        upstream_status: None,
        error_code: None,
        reason: None,
        site: "example.com",
        route: None,
        tls_version: None,
        tls_suite: None,
        tls_client: None,
        tunnel_end: None,
        fields: &[],
    }
}

fn largest() -> Record<'static> {
    Record {
        client_ip: Ipv6Addr::new(0x2001, 0xDB8, 0, 0, 0, 0, 0, 1).into(),
        peer: Some(Ipv4Addr::new(10, 0, 0, 255).into()),
        user: Some("alice"),
        method: "POST",
        uri: b"/a?x=1&token=abc",
        status: 502,
        bytes_in: 42,
        bytes_out: 5_452_595,
        user_agent: Some(b"curl/8 \"x\"\x1b[0m"),
        referer: Some(b"https://me:pw@example.org/?code=1"),
        phases: Phases { connect: Some(5), tls: Some(12_000), first_byte: Some(59_999), total: 61_500_000 },
        upstream: Some("10.0.0.1:3000"),
        attempts: 2,
        upstream_status: Some(500),
        error_code: Some("upstream_refused"),
        route: Some("Proxyfile:12"),
        tls_version: Some("TLSv1.3"),
        tls_suite: Some("TLS13_AES_128_GCM_SHA256"),
        fields: &[("cache", "miss"), ("Cookie", "session=1")],
        ..smallest()
    }
}

fn check(record: &Record<'_>, form: Form, expected: &str) {
    let mut line = Vec::new();
    record.append(&mut line, &Style { form, redact: Redact::default() });
    assert_eq!(String::from_utf8(line).unwrap(), format!("{expected}\n"));
}

#[test]
fn the_smallest_json() {
    check(
        &smallest(),
        Form::Json,
        concat!(
            r#"{"time":"1994-11-06T08:49:37.005Z","id":"017f22e279b07cc398c4dc0c0c07398f","client_ip":"192.0.2.1","#,
            r#""method":"GET","scheme":"https","host":"example.com","uri":"/","protocol":"HTTP/2.0","status":200,"#,
            r#""bytes_in":0,"bytes_out":1234,"duration_ms":1.234,"site":"example.com"}"#,
        ),
    );
}

#[test]
fn the_largest_json() {
    check(
        &largest(),
        Form::Json,
        concat!(
            r#"{"time":"1994-11-06T08:49:37.005Z","id":"017f22e279b07cc398c4dc0c0c07398f","client_ip":"2001:db8::1","#,
            r#""peer":"10.0.0.255","user":"alice","method":"POST","scheme":"https","host":"example.com","#,
            r#""uri":"/a?x=1&token=REDACTED","protocol":"HTTP/2.0","status":502,"bytes_in":42,"bytes_out":5452595,"#,
            r#""duration_ms":61500.000,"connect_ms":0.005,"tls_ms":12.000,"first_byte_ms":59.999,"#,
            r#""upstream":"10.0.0.1:3000","attempts":2,"upstream_status":500,"error":"upstream_refused","#,
            r#""site":"example.com","route":"Proxyfile:12","tls_version":"TLSv1.3","#,
            r#""tls_suite":"TLS13_AES_128_GCM_SHA256","user_agent":"curl/8 \"x\"\u001b[0m","#,
            r#""referer":"https://REDACTED@example.org/?code=REDACTED","#,
            r#""fields":{"cache":"miss","Cookie":"REDACTED"}}"#,
        ),
    );
}

#[test]
fn people_read_less() {
    check(&smallest(), Form::Plain, "08:49:37.005 200 GET example.com/ 1.2ms 1.2KiB 0c07398f");
    check(
        &largest(),
        Form::Plain,
        "08:49:37.005 502 POST example.com/a?x=1&token=REDACTED 61.5s 5.1MiB 10.0.0.1:3000 upstream_refused \
         cache=miss Cookie=REDACTED 0c07398f",
    );
}

#[test]
fn colours_follow_the_class() {
    for (status, colour) in [(101, 2), (200, 32), (304, 36), (404, 33), (499, 33), (503, 31), (0, 35), (999, 35)] {
        check(
            &Record { status, error_code: Some("e"), ..smallest() },
            Form::Coloured,
            &format!(
                "\x1b[2m08:49:37.005\x1b[0m \x1b[{colour}m{status}\x1b[0m GET example.com/ 1.2ms 1.2KiB\x1b[31m e\x1b[0m \
                 \x1b[2m0c07398f\x1b[0m"
            ),
        );
    }
}

#[test]
fn an_address_that_only_wraps_ipv4_is_shown_as_ipv4() {
    let mapped = Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped();
    let record = Record { client_ip: mapped.into(), peer: Some(Ipv4Addr::new(192, 0, 2, 1).into()), ..smallest() };
    let (json, _) = lines(&record);
    let value: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(value["client_ip"], "192.0.2.1");
    assert_eq!(value.get("peer"), None);
}

#[test]
fn units() {
    for (micros, expected) in [(0, "0µs"), (999, "999µs"), (1000, "1.0ms"), (999_999, "999.9ms"), (1_000_000, "1.0s")]
    {
        let mut to = Vec::new();
        human_time(&mut to, micros);
        assert_eq!(String::from_utf8(to).unwrap(), expected);
    }
    for (bytes, expected) in [(0, "0B"), (1023, "1023B"), (1024, "1.0KiB"), (1 << 20, "1.0MiB"), (3 << 29, "1.5GiB")] {
        let mut to = Vec::new();
        human_size(&mut to, bytes);
        assert_eq!(String::from_utf8(to).unwrap(), expected);
    }
    let mut to = Vec::new();
    human_size(&mut to, u64::MAX);
    assert_eq!(to, b"17179869183.9GiB");
}

#[test]
fn a_long_uri_is_cut_with_a_mark() {
    let uri = [b"/".as_slice(), &[b'a'; 5000]].concat();
    let (json, plain) = lines(&Record { uri: &uri, ..smallest() });
    let value: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(value["uri"], format!("/{}…(+2953 bytes)", "a".repeat(2047)));
    assert!(plain.len() < 2200);
}

fn lines(record: &Record<'_>) -> (Vec<u8>, Vec<u8>) {
    let (mut json, mut plain) = (Vec::new(), Vec::new());
    record.append(&mut json, &Style::default());
    record.append(&mut plain, &Style { form: Form::Plain, redact: Redact::default() });
    (json, plain)
}

/// What a reader of the JSON gets for a text: bytes that are no UTF-8 as `\xNN`, all else as it was.
fn read_back(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text += "\\x";
            text.extend([byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap()));
        }
    }
    text
}

/// Bytes of every kind, with those that do harm more often than chance would bring them.
fn nasty() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        3 => any::<u8>(),
        2 => prop::sample::select(b"\x1b\n\r\0\x7f\"\\\x9b\xc2\x9c&?=#".to_vec()),
        3 => 0x20_u8..0x7F,
    ];
    prop_oneof![vec(byte, 0..80), any::<String>().prop_map(String::into_bytes)]
}

fn is_harmless(line: &[u8]) -> bool {
    let Some((b'\n', text)) = line.split_last() else { return false };
    let Ok(text) = std::str::from_utf8(text) else { return false };
    text.chars().all(|c| !c.is_control() && !matches!(c, '\u{2028}'..='\u{202E}'))
}

proptest! {
    #[test]
    fn xz03_no_input_breaks_a_line(
        uri in nasty(), host in nasty(), agent in nasty(), referer in nasty(), name in any::<String>(),
        value in any::<String>(), method in any::<String>(), id in any::<String>(), numbers in any::<(u16, u64, u64, u32)>(),
    ) {
        let fields = [(name.as_str(), value.as_str()), ("second", method.as_str())];
        let record = Record {
            uri: &uri, host: &host, user_agent: Some(&agent), referer: Some(&referer), request_id: &id, site: &value,
            method: &method, upstream: Some(&value), route: Some(&id), fields: &fields, status: numbers.0,
            bytes_out: numbers.1, phases: Phases { total: numbers.2, connect: Some(numbers.3), ..Phases::default() },
            ..smallest()
        };
        let (json, plain) = lines(&record);
        prop_assert!(is_harmless(&json), "{:?}", String::from_utf8_lossy(&json));
        prop_assert!(is_harmless(&plain), "{:?}", String::from_utf8_lossy(&plain));

        let read: Value = serde_json::from_slice(&json).unwrap();
        prop_assert_eq!(read["host"].as_str().unwrap(), read_back(&host));
        prop_assert_eq!(read["user_agent"].as_str().unwrap(), read_back(&agent));
        for (field, text) in [("id", &id), ("site", &value), ("method", &method), ("upstream", &value), ("route", &id)] {
            prop_assert_eq!(read[field].as_str().unwrap(), text.as_str());
        }
        prop_assert_eq!(read["status"].as_u64().unwrap(), u64::from(numbers.0));
        prop_assert_eq!(read["bytes_out"].as_u64().unwrap(), numbers.1);
        prop_assert!((read["connect_ms"].as_f64().unwrap() - f64::from(numbers.3) / 1000.0).abs() < 1e-6);
        prop_assert_eq!(read["fields"]["second"].as_str().unwrap(), method.as_str());
    }

    #[test]
    fn a_uri_without_secrets_is_read_back_whole(path in nasty()) {
        let uri = [b"/".as_slice(), &path].concat();
        prop_assume!(!uri.contains(&b'='));
        let (json, _) = lines(&Record { uri: &uri, ..smallest() });
        let read: Value = serde_json::from_slice(&json).unwrap();
        prop_assert_eq!(read["uri"].as_str().unwrap(), read_back(&uri));
    }

    #[test]
    fn no_secret_is_written(before in nasty(), after in nasty(), name in prop::sample::select(redact::NAMES.to_vec())) {
        let secret = "hunter2hunter2";
        let uri = [b"/?", before.as_slice(), b"&", name.as_bytes(), b"=", secret.as_bytes(), b"&", &after].concat();
        let (json, plain) = lines(&Record { uri: &uri, referer: Some(&uri), ..smallest() });
        prop_assert!(!String::from_utf8_lossy(&json).contains(secret));
        prop_assert!(!String::from_utf8_lossy(&plain).contains(secret));
    }

    #[test]
    fn colours_are_the_only_escapes(uri in nasty(), host in nasty(), id in any::<String>(), status in any::<u16>()) {
        let record = Record { uri: &uri, host: &host, request_id: &id, status, ..smallest() };
        let mut line = Vec::new();
        record.append(&mut line, &Style { form: Form::Coloured, redact: Redact::default() });
        let mut text = String::from_utf8(line).unwrap();
        for code in ["0", "2", "31", "32", "33", "35", "36"] {
            text = text.replace(&format!("\x1b[{code}m"), "");
        }
        prop_assert!(is_harmless(text.as_bytes()), "{text:?}");
    }
}
