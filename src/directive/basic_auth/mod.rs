//! `basic_auth`: a name and a password (RFC 7617).

mod gate;
mod guard;
pub mod hash;
mod users;

use std::path::PathBuf;
use std::sync::Arc;

use http::HeaderValue;

use self::gate::{Challenge, Login};
use self::guard::Guard;
use self::hash::Hash;
use self::users::{UserName, Users};
use super::{Directive, Room};
use crate::check::value::{Switch, Text};
use crate::check::{Arguments, Check, Opt, Reported};
use crate::diagnostic::{Code, Mistake, Span};
use crate::site::Building;
use crate::syntax::tree::{Node, Word};

pub static ROOM: Room = Room {
    name: "basic_auth",
    syntax: "basic_auth [REALM] { user NAME HASH; file PATH; … }",
    summary: "lets in only who proves a name with a password",
    doc: "Whoever does not is answered 401, or by `handle_errors 401`, with a `WWW-Authenticate` that makes browsers ask; REALM is the name that they show (`restricted`). It guards what stands below it in its block, so a `route` limits it to paths. The name is `{auth.user}` from there on, and `user` in the access log. Passwords go over the wire as they are, so serve this by HTTPS only.\n\n\
          HASH is made by `rp hash`, which asks for the password: argon2id with 19 MiB and two passes, as OWASP advises. bcrypt is taken too, as `htpasswd -B` writes it, and nothing else: no plain text, no MD5, no SHA.\n\n\
          Such a hash takes dozens of milliseconds by design. It is computed away from the workers, on half of the cores at most and behind everything else, so a flood of logins holds nothing else up; when 64 wait already, the next one is answered 503 at once. A proof is remembered for five minutes under a key that is never stored, so who is in costs no hash for each request; a user who is taken out is out at once. Names that do not exist are refused after the same work as others. Guessing is slowed down by a `rate_limit` above.\n\n\
          The `Authorization` field goes on to the server, as with nginx and Caddy, since some know what to do with it; `forward off` keeps it back, for those that take it for a login of their own. A browser asks for permission by `OPTIONS` without credentials: write `cors` above.",
    options: OPTIONS,
    examples: &[
        "basic_auth { user alice $argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc }",
        "route /admin/* { basic_auth \"Administration\" { file /etc/rp/admins; forward off }; reverse_proxy 127.0.0.1:3000 }",
    ],
    related: &["route", "rate_limit", "handle_errors"],
    check,
};

static OPTIONS: &[Opt] = &[
    Opt::many("user", "user NAME HASH", "lets NAME in with the password that HASH is of: `rp hash` makes one"),
    Opt::once(
        "file",
        "file PATH",
        "lets in who is named in a file with lines of `NAME:HASH`, which is read again when it changes",
    ),
    Opt::once("forward", "forward on|off", "passes the `Authorization` field on to the server (on)")
        .by_default(&["on"]),
];

#[derive(Debug)]
struct BasicAuth {
    realm: Box<str>,
    users: Vec<(Box<str>, Arc<Hash>)>,
    file: Option<(PathBuf, Span)>,
    forward: bool,
}

fn check(node: &Node, cx: &mut Check) -> Result<Box<dyn Directive>, Reported> {
    let mut args = Arguments::of(node, ROOM.syntax);
    let realm = args.word().map_or(Ok("restricted".into()), |word| realm(word, cx));
    let surplus = args.done(cx);
    let mut model = BasicAuth { realm: "".into(), users: Vec::new(), file: None, forward: true };
    let mut names: Vec<(Box<str>, Span)> = Vec::new();
    let mut read = |option: &Opt, inner: &Node, cx: &mut Check| {
        let mut args = Arguments::of(inner, option.syntax);
        match option.name {
            "user" => {
                let word = args.expect_word("a name", cx)?;
                let name: UserName = cx.value(word)?;
                let hash = args.expect("the hash of a password: `rp hash` makes one", cx)?;
                once(&name, word.span, &mut names, cx)?;
                model.users.push((name.0, Arc::new(hash)));
            }
            "file" => {
                let word = args.expect_word("the path of a file", cx)?;
                model.file = Some((cx.value::<Text>(word)?.0.into(), word.span));
            }
            _ => model.forward = args.expect::<Switch>("`on` or `off`", cx)?.0,
        }
        args.done_without_block(cx)
    };
    let options = bare_users(node, cx).and_then(|()| cx.options(node, OPTIONS, &mut read));
    surplus.and(options)?;
    model.realm = realm?;
    if model.users.is_empty() && model.file.is_none() {
        return Err(cx.report(
            Mistake::new(Code::E0022, node.words[0].span, "`basic_auth` lets nobody in: it names no user")
                .help("write: basic_auth { user NAME HASH }, with the hash that `rp hash` prints"),
        ));
    }
    Ok(Box::new(model))
}

/// `NAME HASH` without its `user`, as in a Caddyfile.
fn bare_users(node: &Node, cx: &mut Check) -> Result<(), Reported> {
    let lines = node.block.iter().flat_map(|block| &block.nodes);
    let is_bare = |line: &&Node| {
        let is_option = OPTIONS.iter().any(|option| option.name == line.name());
        !is_option && line.words.get(1).and_then(Word::plain).is_some_and(|word| word.starts_with('$'))
    };
    let bare = lines.filter(is_bare).map(|line| {
        Err(cx.report(
            Mistake::new(Code::E0011, line.words[0].span, "a user is named behind `user`")
                .help(format!("write: user {}", line.written())),
        ))
    });
    bare.fold(Ok(()), Result::and)
}

/// What fits between the quotes of the challenge: a browser shows nothing but ASCII there.
fn realm(word: &Word, cx: &mut Check) -> Result<Box<str>, Reported> {
    let text = cx.value::<Text>(word)?.0;
    if text.starts_with(['/', '@', '*']) {
        return Err(cx.report(
            Mistake::new(
                Code::E0020,
                word.span,
                format!("`{text}` is no realm: here stands a name that browsers show"),
            )
            .help(format!("a route says which requests are meant: route {text} {{ basic_auth {{ … }}; … }}")),
        ));
    }
    if text.chars().all(|c| (' '..='~').contains(&c) && c != '"' && c != '\\') {
        return Ok(text.into());
    }
    Err(cx.report(
        Mistake::new(Code::E0020, word.span, "a realm can't hold quotes, backslashes or what is not ASCII")
            .help("write a plain name: basic_auth \"Staff only\" { … }"),
    ))
}

fn once(name: &UserName, at: Span, names: &mut Vec<(Box<str>, Span)>, cx: &mut Check) -> Result<(), Reported> {
    if let Some((_, first)) = names.iter().find(|(known, _)| *known == name.0) {
        return Err(cx.report(
            Mistake::new(Code::E0024, at, format!("user `{}` is named twice", name.0))
                .other(*first, "first named here")
                .help("remove one of them"),
        ));
    }
    names.push((name.0.clone(), at));
    Ok(())
}

impl Directive for BasicAuth {
    fn guards(&self) -> bool {
        true
    }

    fn compile(&self, site: &mut Building<'_>) -> Result<(), Mistake> {
        let mut users = Users::default();
        for (name, hash) in &self.users {
            users.add(name.clone(), hash.clone());
        }
        if let Some((path, at)) = &self.file {
            site.supplies.files.push(path.clone());
            users.read(path).map_err(|why| {
                Mistake::new(Code::E0053, *at, why)
                    .help("name a file with lines of `NAME:HASH`, each with a hash that `rp hash` prints")
            })?;
        }
        let challenge = format!("Basic realm=\"{}\", charset=\"UTF-8\"", self.realm);
        let challenge = HeaderValue::try_from(challenge).unwrap_or_else(|_| HeaderValue::from_static("Basic"));
        let guard = site.supplies.adopt("basic_auth", Guard::new);
        site.filter(Challenge);
        site.gate(Login { guard, users, challenge, forward: self.forward });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
