//! The words for what TLS is made of, and what other programs call the same.

use crate::check::{Value, Wrong, near, one_of};
use crate::tls::{Alpn, Group, Suite, Version};

impl Value for Version {
    const KIND: &'static str = "a version of TLS";
    const EXAMPLE: &'static str = "1.2 or 1.3";

    fn parse(text: &str) -> Result<Self, Wrong> {
        let number = text.to_ascii_lowercase();
        let number = number.trim_start_matches("tls").trim_start_matches('v');
        let known = match number {
            "1.2" | "12" | "1_2" => Version::Tls12,
            "1.3" | "13" | "1_3" => Version::Tls13,
            "1" | "1.0" | "10" | "1.1" | "11" => {
                return Err(Wrong::range(format!("`{text}` is a version that can be broken (RFC 8996)"))
                    .help("write `1.2` for old clients, or `1.3`"));
            }
            _ => return Err(Wrong::kind()),
        };
        let name = if known == Version::Tls12 { "1.2" } else { "1.3" };
        if text == name { Ok(known) } else { Err(Wrong::kind().instead(name)) }
    }
}

impl Value for Alpn {
    const KIND: &'static str = "a protocol of HTTP";
    const EXAMPLE: &'static str = "h2 or http/1.1";

    fn parse(text: &str) -> Result<Self, Wrong> {
        if let Some(known) = Alpn::from_bytes(text.as_bytes()).filter(|known| *known != Self::H3) {
            return Ok(known);
        }
        let lower = text.to_ascii_lowercase();
        Err(match lower.trim_start_matches("http").trim_start_matches(['/', '_', '-']) {
            "1.1" | "1" | "11" | "h1" => Wrong::kind().instead("http/1.1"),
            "2" | "2.0" | "h2" => Wrong::kind().instead("h2"),
            "3" | "h3" => Wrong::say("HTTP/3 is not agreed on over TCP").help("write `h2` or `http/1.1`"),
            _ => Wrong::kind(),
        })
    }
}

impl Value for Group {
    const KIND: &'static str = "a curve that rp knows";
    const EXAMPLE: &'static str = "x25519mlkem768, x25519, p256 or p384";

    fn parse(text: &str) -> Result<Self, Wrong> {
        if let Some(known) = Group::ALL.into_iter().find(|group| group.as_str() == text) {
            return Ok(known);
        }
        let fold: String = text.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
        let meant = match fold.as_str() {
            "secp256r1" | "prime256v1" | "nistp256" => Some("p256"),
            "secp384r1" | "nistp384" => Some("p384"),
            "curve25519" => Some("x25519"),
            "mlkem768" | "mlkem" | "x25519kyber768draft00" | "kyber" => Some("x25519mlkem768"),
            fold => {
                let names = || Group::ALL.into_iter().map(Group::as_str);
                names().find(|name| *name == fold).or_else(|| near::nearest(text, names()))
            }
        };
        Err(match meant {
            Some(name) => Wrong::kind().instead(name),
            None => Wrong::kind().help(format!("write {}", one_of(Group::ALL.into_iter().map(Group::as_str)))),
        })
    }
}

impl Value for Suite {
    const KIND: &'static str = "a cipher suite that rp knows";
    const EXAMPLE: &'static str = "TLS_AES_128_GCM_SHA256";

    fn parse(text: &str) -> Result<Self, Wrong> {
        if let Some(known) = Suite::all().find(|suite| suite.as_str() == text) {
            return Ok(known);
        }
        let meant = Suite::all().find(|suite| folded(suite.as_str()) == folded(text)).map(Suite::as_str);
        if let Some(name) = meant {
            return Err(Wrong::kind().instead(name));
        }
        let upper = text.to_ascii_uppercase();
        if upper.contains("CBC") || upper.contains("RC4") || upper.contains("3DES") || upper.ends_with("SHA") {
            return Err(Wrong::range(format!("`{text}` is a suite that is not safe any more"))
                .help("write one with GCM or CHACHA20, and ECDHE"));
        }
        let near = Suite::all().map(Suite::as_str).min_by_key(|name| strsim::levenshtein(&folded(name), &folded(text)));
        Err(match near.filter(|_| text.len() <= 64) {
            Some(name) => Wrong::kind().help(format!("the nearest one is `{name}`; without `suites` all are offered")),
            None => Wrong::kind(),
        })
    }
}

/// OpenSSL and the IANA call one suite by two names: `ECDHE-RSA-AES128-GCM-SHA256`,
/// `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`.
fn folded(name: &str) -> String {
    let name: String = name.to_ascii_uppercase().chars().filter(char::is_ascii_alphanumeric).collect();
    let name = name.trim_start_matches("TLS").replace("WITH", "");
    if name.contains("CHACHA20") { name.trim_end_matches("SHA256").to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help<V: Value>(text: &str) -> String {
        match V::parse(text) {
            Ok(_) => "ok".to_owned(),
            Err(wrong) => wrong.help.unwrap_or_else(|| "no".to_owned()),
        }
    }

    #[test]
    fn what_others_call_it_is_understood() {
        for text in ["TLSv1.3", "tls1.3", "TLS13", "v1.3"] {
            assert_eq!(help::<Version>(text), "write `1.3`", "{text}");
        }
        assert_eq!(help::<Version>("1.2"), "ok");
        assert_eq!(help::<Version>("1.0"), "write `1.2` for old clients, or `1.3`");
        assert_eq!(help::<Version>("ssl3"), "no");
        for text in ["P-256", "prime256v1", "secp256r1", "P256"] {
            assert_eq!(help::<Group>(text), "write `p256`", "{text}");
        }
        assert_eq!(help::<Group>("X25519MLKEM768"), "write `x25519mlkem768`");
        assert_eq!(help::<Group>("x25518"), "write `x25519`");
        assert_eq!(help::<Suite>("ECDHE-RSA-AES128-GCM-SHA256"), "write `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`");
        assert_eq!(
            help::<Suite>("ECDHE-ECDSA-CHACHA20-POLY1305"),
            "write `TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256`"
        );
        assert_eq!(help::<Suite>("AES128-SHA"), "write one with GCM or CHACHA20, and ECDHE");
        for suite in Suite::all() {
            assert_eq!(help::<Suite>(suite.as_str()), "ok");
        }
        assert_eq!(help::<Alpn>("http2"), "write `h2`");
        assert_eq!(help::<Alpn>("HTTP/1.1"), "write `http/1.1`");
        assert_eq!(help::<Alpn>("h3"), "write `h2` or `http/1.1`");
    }
}
