//! What a responder says of a certificate: nothing panics, and nothing is believed but what somebody has signed who may.
//!
//! The input: an answer. The certificate it is about, and its issuer, are always the same; those in the corpus were made by
//! `openssl ocsp`.

use std::sync::LazyLock;

use proxyfile::tls::staple::{Answer, Doubt, Subject};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use time::{Duration, OffsetDateTime};

static SUBJECT: LazyLock<Subject> = LazyLock::new(|| {
    let chain = CertificateDer::pem_slice_iter(include_bytes!("ocsp.pem"));
    let chain: Vec<_> = chain.map(|certificate| certificate.expect("PEM")).collect();
    Subject::of(&chain).expect("it names a responder")
});

/// What was signed that may be believed.
const GOOD: [&[u8]; 4] = [
    include_bytes!("../corpus/ocsp/good"),
    include_bytes!("../corpus/ocsp/good-by-a-delegate"),
    include_bytes!("../corpus/ocsp/good-by-key"),
    include_bytes!("../corpus/ocsp/good-of-two"),
];

/// A day after they were made.
fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_795_285_470).expect("a time") + Duration::DAY
}

pub fn judge(data: &[u8]) -> Result<Answer, Doubt> {
    SUBJECT.judge(data, now())
}

pub fn run(data: &[u8]) {
    let Ok(believed) = judge(data) else { return };
    assert_eq!(believed.bytes, data);
    assert!(believed.since <= now() + Duration::HOUR && believed.until > now(), "{believed:?}");
    let is_within = |part: &[u8]| data.windows(part.len()).any(|window| window == part);
    assert!(GOOD.iter().any(|good| is_within(signed(good))), "nobody has signed this");
}

/// What is signed of an answer that is known to be one: the first value in the second SEQUENCE behind its kind.
fn signed(answer: &[u8]) -> &[u8] {
    const BASIC: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];
    let at = answer.windows(BASIC.len()).position(|window| window == BASIC).expect("its kind");
    let rest = &answer[at + BASIC.len()..];
    let rest = &rest[head(rest).0..];
    let rest = &rest[head(rest).0..];
    let (head, content) = head(rest);
    &rest[..head + content]
}

/// How long the head of a value is, and how long its content.
fn head(value: &[u8]) -> (usize, usize) {
    match *value {
        [_, 0x81, length, ..] => (3, usize::from(length)),
        [_, 0x82, high, low, ..] => (4, usize::from(u16::from_be_bytes([high, low]))),
        [_, length, ..] => (2, usize::from(length)),
        _ => (0, value.len()),
    }
}
