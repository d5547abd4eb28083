//! Secrets that travel in URIs, kept out of the logs: the values of some query parameters, and userinfo.

use super::text::{self, Spelling};

/// The names whose values are hidden unless the Proxyfile lists others.
pub const NAMES: [&str; 11] = [
    "token",
    "key",
    "password",
    "code",
    "secret",
    "access_token",
    "api_key",
    "signature",
    // What OAuth and OpenID Connect put into the same places.
    "refresh_token",
    "id_token",
    "client_secret",
];

const MASK: &[u8] = b"REDACTED";

/// The names of query parameters whose values are not written down. Names compare without case, after
/// percent-decoding, and each bracketed part of `user[password]` counts as a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redact {
    names: Box<[Box<[u8]>]>,
}

impl Default for Redact {
    fn default() -> Self {
        Self::new(NAMES)
    }
}

impl Redact {
    pub fn new<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Self {
        Self { names: names.into_iter().map(|n| n.as_ref().to_ascii_lowercase().into_bytes().into()).collect() }
    }

    /// Appends a URI (a path with its query, or an absolute one): escaped, cut after `most` bytes, secrets masked.
    pub fn push(&self, to: &mut Vec<u8>, uri: &[u8], most: usize, spelling: Spelling) {
        let (kept, lost) = text::cut(uri, most);
        let after_userinfo = push_before_userinfo(to, kept, spelling);
        // Runs of what may be shown are written in one go; `shown` is where the current one begins.
        let (mut shown, mut at) = (after_userinfo, position(kept, after_userinfo, b"?#"));
        while at < kept.len() {
            let name = at + 1;
            // Some origins still take `;` for a separator.
            let end = position(kept, name, b"&;?#");
            let equals = kept[name..end].iter().position(|&b| b == b'=').map(|offset| name + offset);
            if let Some(equals) = equals.filter(|&equals| self.is_secret(&kept[name..equals])) {
                text::push(to, &kept[shown..=equals], spelling);
                to.extend_from_slice(MASK);
                shown = end;
            }
            at = end;
        }
        text::push(to, &kept[shown..], spelling);
        text::push_mark(to, lost);
    }

    fn is_secret(&self, name: &[u8]) -> bool {
        let mut rest = name;
        while !rest.is_empty() {
            let (part, after) = split_bracket(rest);
            if self.names.iter().any(|secret| is_spelled(part, secret)) {
                return true;
            }
            rest = after;
        }
        false
    }
}

/// Whether the value of an extra field is one that no log may hold: credentials, whatever header they came in.
pub fn is_credential(field: &str) -> bool {
    let has = |word: &str| field.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()));
    has("authorization") || has("cookie")
}

/// What is written in place of a secret.
pub fn push_mask(to: &mut Vec<u8>) {
    to.extend_from_slice(MASK);
}

/// In `https://user:password@host/` all before the `@` of the authority is masked; gives how many bytes are done.
fn push_before_userinfo(to: &mut Vec<u8>, uri: &[u8], spelling: Spelling) -> usize {
    if uri.first() == Some(&b'/') {
        return 0;
    }
    let Some(authority) = uri.windows(3).position(|part| part == b"://").map(|at| at + 3) else { return 0 };
    let end = position(uri, authority, b"/?#");
    let Some(sign) = uri[authority..end].iter().rposition(|&b| b == b'@') else { return 0 };
    text::push(to, &uri[..authority], spelling);
    to.extend_from_slice(MASK);
    authority + sign
}

/// Where the first of `delimiters` stands at or behind `from`; the end where none does.
fn position(uri: &[u8], from: usize, delimiters: &[u8]) -> usize {
    uri[from..].iter().position(|b| delimiters.contains(b)).map_or(uri.len(), |at| from + at)
}

/// The part before the first bracket, plain or percent-encoded, and what follows the bracket.
fn split_bracket(name: &[u8]) -> (&[u8], &[u8]) {
    for at in 0..name.len() {
        match &name[at..] {
            [b'[' | b']', rest @ ..] | [b'%', b'5', b'B' | b'b' | b'D' | b'd', rest @ ..] => {
                return (&name[..at], rest);
            }
            _ => {}
        }
    }
    (name, &[])
}

/// Whether the percent-decoded, lower-cased `name` is `secret`.
fn is_spelled(name: &[u8], secret: &[u8]) -> bool {
    // A decoded byte is written with one character or with three. Most names end here.
    if !(secret.len()..=3 * secret.len()).contains(&name.len()) {
        return false;
    }
    let (mut rest, mut left) = (name, secret);
    while let (Some((byte, after)), Some((&wanted, others))) = (next_decoded(rest), left.split_first()) {
        if !byte.eq_ignore_ascii_case(&wanted) {
            return false;
        }
        (rest, left) = (after, others);
    }
    rest.is_empty() && left.is_empty()
}

fn next_decoded(text: &[u8]) -> Option<(u8, &[u8])> {
    let (&first, rest) = text.split_first()?;
    if first == b'%'
        && let [high, low, after @ ..] = rest
        && let (Some(high), Some(low)) = (char::from(*high).to_digit(16), char::from(*low).to_digit(16))
    {
        return Some((u8::try_from(high << 4 | low).unwrap_or(first), after));
    }
    Some((first, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uri: &str, expected: &str) {
        let mut to = Vec::new();
        Redact::default().push(&mut to, uri.as_bytes(), 2048, Spelling::Plain);
        assert_eq!(String::from_utf8(to).unwrap(), expected, "{uri}");
    }

    #[test]
    fn what_is_no_secret_stays() {
        for uri in ["", "*", "/", "/token=1/x", "/a?b=c&d", "/a?tokens=1&monkey=2", "/?token", "/?a=token", "host:443"]
        {
            check(uri, uri);
        }
    }

    #[test]
    fn values_of_secret_parameters() {
        check("/a?token=1", "/a?token=REDACTED");
        check("/a?x=1&token=abc&y=2&KEY=def", "/a?x=1&token=REDACTED&y=2&KEY=REDACTED");
        check("/a?token=a=b?c&x=1", "/a?token=REDACTED?c&x=1");
        check("/a?x=1;password=p;y=2", "/a?x=1;password=REDACTED;y=2");
        check("/a?token=&b", "/a?token=REDACTED&b");
        check("/a#access_token=abc&x=1", "/a#access_token=REDACTED&x=1");
        check("/a?b?token=abc", "/a?b?token=REDACTED");
    }

    #[test]
    fn names_that_try_to_hide() {
        check("/a?%74oken=1", "/a?%74oken=REDACTED");
        check("/a?%54%4F%4b%45%4E=1", "/a?%54%4F%4b%45%4E=REDACTED");
        check("/a?user[password]=1&token[]=2", "/a?user[password]=REDACTED&token[]=REDACTED");
        check("/a?user%5Bpassword%5d=1", "/a?user%5Bpassword%5d=REDACTED");
        check("/a?%7=1&%zztoken=2&%74oke=3", "/a?%7=1&%zztoken=2&%74oke=3");
    }

    #[test]
    fn userinfo() {
        check("https://me:pw@example.com/a@b?c=d", "https://REDACTED@example.com/a@b?c=d");
        check("https://a@b@example.com", "https://REDACTED@example.com");
        check("https://example.com/?q=a@b", "https://example.com/?q=a@b");
        check("https://me:pw@example.com?token=1", "https://REDACTED@example.com?token=REDACTED");
    }

    #[test]
    fn a_cut_within_a_secret_shows_nothing_of_it() {
        let mut to = Vec::new();
        Redact::default().push(&mut to, b"/?token=abcdefgh", 12, Spelling::Plain);
        assert_eq!(String::from_utf8(to).unwrap(), "/?token=REDACTED…(+4 bytes)");
    }

    #[test]
    fn a_list_of_ones_own() {
        let mut to = Vec::new();
        Redact::new(["Sid"]).push(&mut to, b"/?token=1&sid=2", 2048, Spelling::Plain);
        assert_eq!(to, b"/?token=1&sid=REDACTED");
    }

    #[test]
    fn credentials() {
        for name in ["authorization", "Proxy-Authorization", "header.cookie", "Set-Cookie", "cookie.session"] {
            assert!(is_credential(name), "{name}");
        }
        for name in ["cache", "author", "user"] {
            assert!(!is_credential(name), "{name}");
        }
    }
}
