//! Requests signed as AWS wants them (Signature Version 4), for Route 53, S3 and whatever else takes such signatures.

use std::fmt;

use aws_lc_rs::{digest, hmac};
use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue, InvalidHeaderValue};
use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use time::OffsetDateTime;
use time::macros::format_description;

use super::hex::hex;

/// What need not be escaped (RFC 3986, section 2.3). All else is, with capital digits.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const CONTENT: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// Fields that whatever lies between may change or add, so that they are never signed.
const UNSIGNED: [&str; 9] = [
    "authorization",
    "connection",
    "content-length",
    "expect",
    "te",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-amzn-trace-id",
];

/// Who signs.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Begins with `AKIA`, or with `ASIA` where a session token belongs to it.
    pub access_key: Box<str>,
    pub secret_key: Box<str>,
    /// Of credentials that end by themselves.
    pub session_token: Option<Box<str>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// What the signature says of the body.
#[derive(Debug, Clone, Copy)]
pub enum Payload<'a> {
    Bytes(&'a [u8]),
    /// Its SHA-256, where the body is not in one piece.
    Digest(&'a [u8; 32]),
    /// Nothing: S3 takes that over TLS, for bodies that are not known before they are sent.
    Unsigned,
}

/// Signs requests to one service in one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    pub credentials: Credentials,
    /// `us-east-1`; Route 53 has this one alone.
    pub region: Box<str>,
    /// `route53`, `s3`.
    pub service: Box<str>,
}

impl Signer {
    /// Signs a request: adds `x-amz-date`, `x-amz-security-token` where there is a token, `x-amz-content-sha256` for S3,
    /// `host` where only the target has it, and `authorization`. All other fields must be there already and stay as they
    /// are, since all are signed but those that a hop may change. A space in the query must be `%20` there, not `+`.
    ///
    /// An error says that a key, the region or the host has a character that no field may have; nothing is signed then.
    pub fn sign(&self, head: &mut Parts, payload: Payload<'_>, now: OffsetDateTime) -> Result<(), InvalidHeaderValue> {
        let at = moment(now);
        let content = content(payload);
        if !head.headers.contains_key(HOST) {
            let host = head.uri.authority().map_or("", |authority| authority.as_str());
            head.headers.insert(HOST, HeaderValue::from_str(host)?);
        }
        head.headers.insert(DATE, HeaderValue::from_str(&at)?);
        if let Some(token) = &self.credentials.session_token {
            let mut token = HeaderValue::from_str(token)?;
            token.set_sensitive(true);
            head.headers.insert(TOKEN, token);
        }
        if self.is_s3() {
            head.headers.insert(CONTENT, HeaderValue::from_str(&content)?);
        }
        let (canonical, signed) = self.canonical(head, &content);
        let scope = format!("{}/{}/{}/aws4_request", &at[..8], self.region, self.service);
        let text = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{}", hex(sha256(&canonical).as_ref()));
        let signature = hex(mac(&self.key(&at[..8]), text.as_bytes()).as_ref());
        let mut value = HeaderValue::from_str(&format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed}, Signature={signature}",
            self.credentials.access_key
        ))?;
        value.set_sensitive(true);
        head.headers.insert(AUTHORIZATION, value);
        Ok(())
    }

    /// S3 takes a path as it is, all others one that is escaped twice, without dot segments.
    fn is_s3(&self) -> bool {
        &*self.service == "s3"
    }

    /// The request in the one form that both sides agree on, and the names of the fields in it.
    fn canonical(&self, head: &Parts, content: &str) -> (Vec<u8>, String) {
        let (fields, signed) = fields(&head.headers);
        let path = if self.is_s3() { once(head.uri.path()) } else { twice(head.uri.path()) };
        let query = query(head.uri.query().unwrap_or_default());
        let mut text = format!("{}\n{path}\n{query}\n", head.method).into_bytes();
        text.extend_from_slice(&fields);
        text.extend_from_slice(format!("\n{signed}\n{content}").as_bytes());
        (text, signed)
    }

    /// Good for one day, one region and one service.
    fn key(&self, day: &str) -> hmac::Tag {
        let first = format!("AWS4{}", self.credentials.secret_key);
        let key = mac(first.as_bytes(), day.as_bytes());
        let key = mac(&key, self.region.as_bytes());
        let key = mac(&key, self.service.as_bytes());
        mac(&key, b"aws4_request")
    }
}

fn mac(key: &(impl AsRef<[u8]> + ?Sized), text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()), text)
}

fn sha256(bytes: &[u8]) -> digest::Digest {
    digest::digest(&digest::SHA256, bytes)
}

/// `20150830T123600Z`.
fn moment(now: OffsetDateTime) -> String {
    let form = format_description!("[year][month][day]T[hour][minute][second]Z");
    // No year of a clock has five digits, which is all that could fail.
    now.to_offset(time::UtcOffset::UTC).format(form).unwrap_or_else(|_| "19700101T000000Z".to_owned())
}

fn content(payload: Payload<'_>) -> String {
    match payload {
        Payload::Bytes(bytes) => hex(sha256(bytes).as_ref()),
        Payload::Digest(digest) => hex(digest),
        Payload::Unsigned => "UNSIGNED-PAYLOAD".to_owned(),
    }
}

fn once(path: &str) -> String {
    let bare: Vec<u8> = percent_decode_str(path).collect();
    percent_encode(&bare, RESERVED_IN_PATH).to_string()
}

fn twice(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let end = if !parts.is_empty() && path.ends_with('/') { "/" } else { "" };
    let path = format!("/{}{end}", parts.join("/"));
    percent_encode(path.as_bytes(), RESERVED_IN_PATH).to_string()
}

/// By name, then by value, each escaped in one way.
fn query(query: &str) -> String {
    let escaped = |text: &str| {
        let bare: Vec<u8> = percent_decode_str(text).collect();
        percent_encode(&bare, RESERVED).to_string()
    };
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (escaped(name), escaped(value)))
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// A line for each field, by name, and the list of the names.
fn fields(all: &HeaderMap) -> (Vec<u8>, String) {
    let mut names: Vec<&HeaderName> = all.keys().filter(|name| !UNSIGNED.contains(&name.as_str())).collect();
    names.sort_by_key(|name| name.as_str());
    let mut lines = Vec::new();
    for name in &names {
        lines.extend_from_slice(name.as_str().as_bytes());
        for (index, value) in all.get_all(*name).iter().enumerate() {
            lines.push(if index == 0 { b':' } else { b',' });
            lines.extend_from_slice(&squeezed(value.as_bytes()));
        }
        lines.push(b'\n');
    }
    let names: Vec<&str> = names.into_iter().map(HeaderName::as_str).collect();
    (lines, names.join(";"))
}

/// Without white space around it, and with one space for several.
fn squeezed(value: &[u8]) -> Vec<u8> {
    let words: Vec<&[u8]> = value.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).collect();
    words.join(&b' ')
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn signer(access: &str, secret: &str, service: &str) -> Signer {
        let credentials = Credentials { access_key: access.into(), secret_key: secret.into(), session_token: None };
        Signer { credentials, region: "us-east-1".into(), service: service.into() }
    }

    /// The example keys of AWS's suite of tests.
    fn suite() -> Signer {
        signer("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "service")
    }

    fn head(method: &str, uri: &str, fields: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn signed(signer: &Signer, head: &mut Parts, payload: Payload<'_>, at: i64) -> String {
        signer.sign(head, payload, OffsetDateTime::from_unix_timestamp(at).unwrap()).unwrap();
        head.headers[AUTHORIZATION].to_str().unwrap().to_owned()
    }

    /// Of 2015-08-30, 12:36, as AWS's suite has it.
    fn check(method: &str, target: &str, fields: &[(&str, &str)], body: &str, names: &str, signature: &str) {
        let mut head = head(method, &format!("https://example.amazonaws.com{target}"), fields);
        let value = signed(&suite(), &mut head, Payload::Bytes(body.as_bytes()), 1_440_938_160);
        let expected = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={names}, Signature={signature}"
        );
        assert_eq!(value, expected, "{method} {target} {fields:?}");
        assert_eq!(head.headers[DATE], "20150830T123600Z");
    }

    #[test]
    fn signs_as_the_suite_of_aws_does() {
        const UNRESERVED: &str = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        const VANILLA: &str = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
        let plain = "host;x-amz-date";
        for (method, target, signature) in [
            ("GET", "/", VANILLA),
            ("GET", "/example/..", VANILLA),
            ("GET", "/example1/example2/../..", VANILLA),
            ("GET", "//", VANILLA),
            ("GET", "/./", VANILLA),
            ("GET", "/./example", "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5"),
            ("GET", "//example//", "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"),
            ("GET", "/?Param1=value1", "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"),
            (
                "GET",
                "/?Param1=value2&Param1=Value1",
                "eedbc4e291e521cf13422ffca22be7d2eb8146eecf653089df300a15b2382bd1",
            ),
            (
                "GET",
                "/?Param2=value2&Param1=value1",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "GET",
                "/?Param1=value2&Param1=value1",
                "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694",
            ),
            ("GET", "/?ሴ=bar", "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"),
            ("GET", "/ሴ", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
            ("POST", "/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
            ("POST", "/?Param1=value1", "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"),
        ] {
            check(method, target, &[], "", plain, signature);
        }
        let path = format!("/{UNRESERVED}");
        check("GET", &path, &[], "", plain, "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f");
        let query = format!("/?{UNRESERVED}={UNRESERVED}");
        check("GET", &query, &[], "", plain, "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197");
    }

    #[test]
    fn fields_are_in_one_form() {
        let several =
            [("My-Header1", "value4"), ("My-Header1", "value1"), ("My-Header1", "value3"), ("My-Header1", "value2")];
        let one = "host;my-header1;x-amz-date";
        check("GET", "/", &several, "", one, "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01");
        let wide = [("My-Header1", " value1"), ("My-Header2", " \"a   b   c\"")];
        let two = "host;my-header1;my-header2;x-amz-date";
        check("GET", "/", &wide, "", two, "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736");
        let capital = [("My-Header1", "VALUE1"), ("User-Agent", "is not signed")];
        check("POST", "/", &capital, "", one, "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d");
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        let names = "content-type;host;x-amz-date";
        let signature = "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a";
        check("POST", "/", &form, "Param1=value1", names, signature);
    }

    #[test]
    fn signs_as_the_examples_of_s3_do() {
        let signer = signer("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "s3");
        let check = |method: &str, target: &str, fields: &[(&str, &str)], body: &str, names: &str, signature: &str| {
            let mut head = head(method, &format!("https://examplebucket.s3.amazonaws.com{target}"), fields);
            let value = signed(&signer, &mut head, Payload::Bytes(body.as_bytes()), 1_369_353_600);
            let expected = format!(
                "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders={names}, Signature={signature}"
            );
            assert_eq!(value, expected, "{method} {target}");
        };
        let plain = "host;x-amz-content-sha256;x-amz-date";
        let range = "host;range;x-amz-content-sha256;x-amz-date";
        let signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
        check("GET", "/test.txt", &[("Range", "bytes=0-9")], "", range, signature);
        let class = "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class";
        let fields = [("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")];
        let signature = "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd";
        for target in ["/test$file.text", "/test%24file.text"] {
            check("PUT", target, &fields, "Welcome to Amazon S3.", class, signature);
        }
        let signature = "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543";
        check("GET", "/?lifecycle", &[], "", plain, signature);
        let signature = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7";
        check("GET", "/?max-keys=2&prefix=J", &[], "", plain, signature);
    }

    #[test]
    fn a_session_token_is_signed_and_shown_to_nobody_else() {
        let mut signer = suite();
        signer.credentials.session_token = Some(
            "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==".into(),
        );
        let mut head = head("POST", "https://example.amazonaws.com/", &[]);
        let value = signed(&signer, &mut head, Payload::Bytes(b""), 1_440_938_160);
        let end = "SignedHeaders=host;x-amz-date;x-amz-security-token, Signature=85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead";
        assert!(value.ends_with(end), "{value}");
        let shown = format!("{signer:?} {:?}", head.headers);
        assert!(!shown.contains("wJalr") && !shown.contains("AQoD") && !shown.contains("Signature="), "{shown}");
    }

    #[test]
    fn a_body_may_be_known_by_its_digest_or_not_at_all() {
        let value = |payload| {
            let mut head = head("PUT", "https://b.s3.amazonaws.com/x", &[]);
            (signed(&signer("a", "b", "s3"), &mut head, payload, 0), head.headers[CONTENT].clone())
        };
        let digest: [u8; 32] = sha256(b"body").as_ref().try_into().unwrap();
        assert_eq!(value(Payload::Bytes(b"body")), value(Payload::Digest(&digest)));
        assert_eq!(value(Payload::Unsigned).1, "UNSIGNED-PAYLOAD");
        assert_ne!(value(Payload::Unsigned).0, value(Payload::Bytes(b"body")).0);
    }

    #[test]
    fn what_no_field_may_have_is_an_error() {
        let mut bad = suite();
        bad.credentials.access_key = "a\nb".into();
        let mut head = head("GET", "https://example.amazonaws.com/", &[]);
        assert!(bad.sign(&mut head, Payload::Bytes(b""), OffsetDateTime::UNIX_EPOCH).is_err());
        assert!(!head.headers.contains_key(AUTHORIZATION));
    }
}
