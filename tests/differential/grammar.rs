//! What cases are made of: one request with one place in it that takes a value out of a list.

use std::fmt;

/// What all targets begin with, so that none of them is the smuggled one.
pub const HOST: &str = "Host: example.com\r\n";
/// What stands behind a request whose end is in question.
pub const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: example.com\r\n\r\n";

pub struct Case {
    pub number: usize,
    pub class: &'static str,
    pub bytes: Vec<u8>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.number, self.class, String::from_utf8_lossy(&self.bytes))
    }
}

/// Cases in the order in which they were written.
#[derive(Default)]
pub struct Grammar {
    pub cases: Vec<Case>,
    class: &'static str,
}

impl Grammar {
    /// What follows is of this class.
    pub fn class(&mut self, class: &'static str) -> &mut Self {
        self.class = class;
        self
    }

    pub fn raw(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.cases.push(Case { number: self.cases.len(), class: self.class, bytes: bytes.as_ref().to_vec() });
        self
    }

    /// The template with each of these in place of `@`. Bytes above ASCII are one byte each.
    pub fn each<V: AsRef<str>>(&mut self, template: &str, values: impl IntoIterator<Item = V>) -> &mut Self {
        for value in values {
            self.raw(latin(&template.replace('@', value.as_ref())));
        }
        self
    }

    /// A POST with these fields and this behind its head, and another request after it.
    pub fn post(&mut self, fields: &str, body: &str) -> &mut Self {
        self.raw([&latin(&format!("POST /first HTTP/1.1\r\n{HOST}{fields}\r\n{body}")), NEXT].concat())
    }

    /// Posts whose field is each of these.
    pub fn posts<V: AsRef<str>>(&mut self, fields: &str, body: &str, values: impl IntoIterator<Item = V>) -> &mut Self {
        for value in values {
            self.post(&fields.replace('@', value.as_ref()), body);
        }
        self
    }

    /// Chunked bodies, each of these in place of `@`.
    pub fn chunks<V: AsRef<str>>(&mut self, body: &str, values: impl IntoIterator<Item = V>) -> &mut Self {
        for value in values {
            self.post("Transfer-Encoding: chunked\r\n", &body.replace('@', value.as_ref()));
        }
        self
    }

    /// Every byte that is not a letter or a digit, in place of `@`.
    pub fn bytes(&mut self, template: &str, bytes: impl IntoIterator<Item = u8>) -> &mut Self {
        for byte in bytes {
            let (before, behind) = template.split_once('@').expect("a place for the byte");
            self.raw([before.as_bytes(), &[byte], behind.as_bytes()].concat());
        }
        self
    }
}

/// A byte for each character up to U+00FF.
fn latin(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("a character of one byte")).collect()
}

/// Numbers that look like chance and are the same each time.
pub struct Dice(u64);

impl Dice {
    pub fn new() -> Self {
        Self(0x5eed)
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}
