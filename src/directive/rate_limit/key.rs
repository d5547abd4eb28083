//! Whose requests are counted together.

use std::hash::Hasher;
use std::net::IpAddr;

use smallvec::SmallVec;

use super::table::{Table, Tag};
use crate::check::value::FieldName;
use crate::check::{Arguments, Check, Reported};
use crate::diagnostic::{Code, Mistake};
use crate::http::exchange::Exchange;
use crate::http::placeholder::{self, View};
use crate::http::template::{Template, When};
use crate::syntax::tree::{Part as WordPart, Style, Word};

/// What makes requests of one kind. Only what a request brings in is in it: text between placeholders tells no two
/// apart.
#[derive(Debug, Clone)]
pub(super) struct Key {
    parts: SmallVec<[Part; 2]>,
    /// As it was written, in one form.
    pub text: Box<str>,
}

#[derive(Debug, Clone)]
enum Part {
    ClientIp,
    PeerIp,
    Made(Template),
}

/// Fields by which proxies tell of the client, and which any client can write.
const FORGEABLE: [&str; 7] = [
    "x-forwarded-for",
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
];

impl Key {
    pub fn client_ip() -> Self {
        Self { parts: [Part::ClientIp].into_iter().collect(), text: "client_ip".into() }
    }

    /// No statement can change it.
    pub fn is_of_client(&self) -> bool {
        self.parts.iter().all(|part| !matches!(part, Part::Made(_)))
    }

    /// What stands behind `by`.
    pub fn read(args: &mut Arguments<'_>, cx: &mut Check) -> Result<Self, Reported> {
        let word = args.expect_word("a key", cx)?;
        if word.parts.iter().any(|part| matches!(part, WordPart::Placeholder { .. })) {
            return Self::template(word, cx);
        }
        match cx.plain(word)? {
            "client_ip" => Ok(Self::client_ip()),
            "header" => {
                let name = args.expect_word("the name of a field", cx)?;
                let field: FieldName = cx.value(name)?;
                warn_if_forgeable(cx.plain(name)?, name, cx);
                Ok(Self::named("header", field.0.as_str()))
            }
            "cookie" => {
                let name = args.expect_word("the name of a cookie", cx)?;
                Ok(Self::named("cookie", cx.plain(name)?))
            }
            text => Err(unknown(text, word, args, cx)),
        }
    }

    fn named(kind: &str, name: &str) -> Self {
        let part = Part::Made(Template::placeholder(&format!("{kind}.{name}")));
        Self { parts: [part].into_iter().collect(), text: format!("{kind} {name}").into() }
    }

    fn template(word: &Word, cx: &mut Check) -> Result<Self, Reported> {
        let mut parts = SmallVec::new();
        let mut text = String::new();
        for part in &word.parts {
            let WordPart::Placeholder { name, span } = part else { continue };
            text.extend(["{", name, "}"]);
            parts.push(match name.as_str() {
                // A network of its own is what an IPv6 client has, so its addresses count as one.
                "client_ip" => Part::ClientIp,
                "peer_ip" => Part::PeerIp,
                _ => {
                    let alone = Word { parts: vec![part.clone()], style: Style::Quoted, span: *span };
                    if let Some(field) = name.strip_prefix("header.") {
                        warn_if_forgeable(field, &alone, cx);
                    }
                    Part::Made(Template::check(&alone, When::Request, cx)?)
                }
            });
        }
        Ok(Self { parts, text: text.into() })
    }

    /// A request that brings nothing of its key in is counted by its client: leaving a field out must not lift a limit.
    pub fn tag(&self, exchange: &Exchange, table: &Table) -> Tag {
        table.tag(|hasher| {
            let mut brings_any = false;
            let mut value = Vec::new();
            for part in &self.parts {
                match part {
                    Part::ClientIp => write_network(exchange.client_ip, hasher),
                    Part::PeerIp => write_network(exchange.connection.peer.ip(), hasher),
                    Part::Made(template) => {
                        value.clear();
                        template.write(&View { exchange, response: None }, &mut value);
                        // The length says where a part ends, so that two parts can't be divided in two ways.
                        hasher.write_usize(value.len());
                        hasher.write(&value);
                    }
                }
                brings_any |= !matches!(part, Part::Made(_)) || !value.is_empty();
            }
            if !brings_any {
                write_network(exchange.client_ip, hasher);
            }
        })
    }
}

/// An IPv4 address, or the /64 of an IPv6 one: the least that a client is given, and so all its own (threat XL10).
fn write_network(ip: IpAddr, hasher: &mut impl Hasher) {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            hasher.write_u8(4);
            hasher.write(&ip.octets());
        }
        IpAddr::V6(ip) => {
            hasher.write_u8(6);
            hasher.write(&ip.octets()[..8]);
        }
    }
}

fn warn_if_forgeable(field: &str, at: &Word, cx: &mut Check) {
    if FORGEABLE.iter().any(|known| field.eq_ignore_ascii_case(known)) {
        let field = at.plain().unwrap_or(field);
        cx.report(
            Mistake::new(Code::W0014, at.span, format!("any client can write another `{field}` into each request"))
                .help("write `by client_ip`: it believes the proxies in `trusted_proxies`, and no one else"),
        );
    }
}

fn unknown(text: &str, word: &Word, args: &Arguments<'_>, cx: &mut Check) -> Reported {
    let mistake = Mistake::new(Code::E0020, word.span, format!("`{text}` is not a key"));
    let help = match text {
        "ip" | "remote_ip" | "remote_host" | "address" => "write `by client_ip`".to_owned(),
        "query" => {
            let name = args.peek().and_then(Word::plain).unwrap_or("NAME");
            format!("write `by {{query.{name}}}`")
        }
        _ if placeholder::find(text).is_some() => format!("write `by {{{text}}}`"),
        _ => {
            "write `by client_ip`, `by header NAME`, `by cookie NAME`, or a text with placeholders: `by {query.token}`"
                .to_owned()
        }
    };
    cx.report(mistake.help(help))
}
