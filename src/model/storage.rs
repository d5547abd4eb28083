//! `storage` in `global`: a folder, or a server that several instances share.

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use percent_encoding::percent_decode_str;

use super::Global;
use crate::check::value::{Switch, Text};
use crate::check::{Arguments, Check, Opt, Reported};
use crate::diagnostic::{Code, Mistake, Span};
use crate::syntax::tree::{Node, Word};
use crate::tls::storage::redis::{Address, Server};
use crate::tls::storage::s3::{Bucket, Endpoint};
use crate::tls::storage::{Copy, Place, Secret, is_key};

pub const SYNTAX: &str = "storage file FOLDER [{ … }], storage redis URL { … }, storage s3 URL { … }";

const USERNAME: Opt =
    Opt::once("username", "username NAME", "redis: who asks, where the server knows several users (its default user)");
const PASSWORD: Opt = Opt::once("password", "password SECRET", "redis: what it knows rp by (none)");
const KEY: Opt = Opt::once("key", "key ID", "s3: who signs");
const SECRET: Opt = Opt::once("secret", "secret SECRET", "s3: what is signed with");
const REGION: Opt = Opt::once("region", "region NAME", "s3: where the bucket is (`us-east-1`)");
const PREFIX: Opt = Opt::once("prefix", "prefix TEXT", "what every key begins with (`rp:` in redis, `rp/` in s3)");
const ROOT: Opt = Opt::once(
    "root",
    "root FILE",
    "the PEM file of whoever signed the server's certificate (the system's authorities)",
);
const PATIENCE: Opt = Opt::once("timeout", "timeout DURATION", "for one answer (2s; of s3 10s)");
const LEASE_OPTION: Opt =
    Opt::once("lease", "lease DURATION", "how long a lock outlives an instance that died with it (30s)");
const COPY: Opt = Opt::once(
    "copy",
    "copy FOLDER|off",
    "where this machine keeps copies of certificates, for a start without the server (`copies` in the usual folder)",
);
const TICKETS: Opt = Opt::once(
    "tickets",
    "tickets on|off",
    "whether the keys of session tickets are kept there, too, so that clients resume at any instance and after a restart (on)",
);

pub const OPTIONS: &[Opt] =
    &[USERNAME, PASSWORD, KEY, SECRET, REGION, PREFIX, ROOT, PATIENCE, LEASE_OPTION, COPY, TICKETS];
const OF_FILE: &[Opt] = &[TICKETS];
const OF_REDIS: &[Opt] = &[USERNAME, PASSWORD, PREFIX, ROOT, PATIENCE, LEASE_OPTION, COPY, TICKETS];
const OF_S3: &[Opt] = &[KEY, SECRET, REGION, PREFIX, ROOT, PATIENCE, LEASE_OPTION, COPY, TICKETS];

const TIMEOUT: Duration = Duration::from_secs(2);
const LEASE: Duration = Duration::from_secs(30);

/// What a block of `storage` says.
#[derive(Default)]
struct Said {
    username: Option<Box<str>>,
    password: Option<(Secret, Span)>,
    key: Option<Box<str>>,
    secret: Option<Secret>,
    region: Option<Box<str>>,
    prefix: Option<Box<str>>,
    root: Option<(PathBuf, Span)>,
    timeout: Option<Duration>,
    lease: Option<Duration>,
    copy: Copy,
    tickets: Option<bool>,
}

pub(super) fn read(node: &Node, global: &mut Global, cx: &mut Check) -> Result<(), Reported> {
    let mut args = Arguments::of(node, SYNTAX);
    if args.keyword("file") {
        global.storage = Some(Place::Folder(args.expect::<Text>("a folder", cx)?.0.into()));
        args.done(cx)?;
        global.share_tickets = block(node, OF_FILE, cx)?.tickets.unwrap_or(true);
        return Ok(());
    }
    let redis = args.keyword("redis");
    if redis || args.keyword("s3") {
        let (what, options) = if redis { ("the URL of a server", OF_REDIS) } else { ("the URL of a bucket", OF_S3) };
        let word = args.expect_word(what, cx)?.clone();
        args.done(cx)?;
        let said = block(node, options, cx)?;
        global.storage_root_at = said.root.as_ref().map_or(word.span, |(_, at)| *at);
        global.share_tickets = said.tickets.unwrap_or(true);
        let copy = said.copy.clone();
        global.storage = Some(if redis {
            Place::Redis { server: server(&word, said, cx)?, copy }
        } else {
            Place::S3 { bucket: bucket(&word, said, cx)?, copy }
        });
        return Ok(());
    }
    let word = args.peek().map_or(node.words[0].span, |word| word.span);
    Err(cx.report(
        Mistake::new(Code::E0020, word, "`storage` says first of what kind it is")
            .help("write: storage file /var/lib/rp, or: storage redis redis://10.0.0.5:6379, or: storage s3 https://s3.example.com/bucket { … }"),
    ))
}

fn block(node: &Node, table: &'static [Opt], cx: &mut Check) -> Result<Said, Reported> {
    let mut said = Said::default();
    cx.options(node, table, |option, inner, cx| {
        let mut args = Arguments::of(inner, option.syntax);
        match option.name {
            "username" => said.username = Some(args.expect::<Text>("a name", cx)?.0.into()),
            "password" => said.password = Some(secret(&mut args, cx)?),
            "key" => said.key = Some(args.expect::<Text>("a key's id", cx)?.0.into()),
            "secret" => said.secret = Some(secret(&mut args, cx)?.0),
            "region" => said.region = Some(args.expect::<Text>("a region", cx)?.0.into()),
            "prefix" => said.prefix = Some(prefix(&mut args, cx)?),
            "root" => {
                let word = args.expect_word("a file", cx)?;
                said.root = Some((cx.value::<Text>(word)?.0.into(), word.span));
            }
            "timeout" => said.timeout = Some(duration(&mut args, Duration::from_millis(10), "10ms", cx)?),
            "lease" => said.lease = Some(duration(&mut args, Duration::from_secs(1), "1s", cx)?),
            "copy" => said.copy = copy(&mut args, cx)?,
            _ => said.tickets = Some(args.expect::<Switch>("on or off", cx)?.0),
        }
        args.done_without_block(cx)
    })?;
    Ok(said)
}

fn secret(args: &mut Arguments<'_>, cx: &mut Check) -> Result<(Secret, Span), Reported> {
    let word = args.expect_word("a secret", cx)?;
    Ok((Secret::new(cx.value::<Text>(word)?.0), word.span))
}

fn copy(args: &mut Arguments<'_>, cx: &mut Check) -> Result<Copy, Reported> {
    if args.keyword("off") {
        return Ok(Copy::Off);
    }
    Ok(Copy::In(args.expect::<Text>("a folder, or `off`", cx)?.0.into()))
}

/// Keys are one word everywhere else, so their beginning is, too.
fn prefix(args: &mut Arguments<'_>, cx: &mut Check) -> Result<Box<str>, Reported> {
    let word = args.expect_word("a prefix", cx)?;
    let text = cx.value::<Text>(word)?.0;
    if text.is_empty() || text.split(':').flat_map(|part| part.split('/')).all(|part| part.is_empty() || is_key(part)) {
        return Ok(text.into());
    }
    Err(cx.report(
        Mistake::new(Code::E0020, word.span, format!("`{text}` is not what a key can begin with"))
            .help("write letters, digits, `-`, `_`, `.`, `:` and `/`: prefix rp:"),
    ))
}

fn duration(args: &mut Arguments<'_>, least: Duration, shown: &str, cx: &mut Check) -> Result<Duration, Reported> {
    let word = args.expect_word("a duration", cx)?;
    let time: Duration = cx.value(word)?;
    if time >= least {
        return Ok(time);
    }
    let text = word.plain().unwrap_or_default();
    Err(cx.report(
        Mistake::new(Code::E0021, word.span, format!("in `{text}` nothing comes to an end"))
            .help(format!("write {shown} or more")),
    ))
}

/// `redis://[user[:password]@]host[:port][/database]`, `rediss://…` over TLS, or `unix//PATH`.
fn server(word: &Word, said: Said, cx: &mut Check) -> Result<Server, Reported> {
    let text = cx.value::<Text>(word)?.0;
    let root = said.root.clone().map(|(root, _)| root);
    let Some(Url { address, username, password, database }) = url(&text, root) else {
        let shown = if text.contains('@') { "this".to_owned() } else { format!("`{text}`") };
        return Err(cx.report(
            Mistake::new(Code::E0020, word.span, format!("{shown} is not the address of a Redis server"))
                .help("write redis://10.0.0.5:6379/0, rediss://redis.example.com:6379 (over TLS), or unix//run/redis/redis.sock"),
        ));
    };
    if let (Some(_), Some((_, at))) = (&password, &said.password) {
        return Err(cx.report(
            Mistake::new(Code::E0028, *at, "the URL has a password already")
                .other(word.span, "here")
                .help("keep one of the two: password {$REDIS_PASSWORD}"),
        ));
    }
    if let (Some((_, at)), false) = (&said.root, matches!(address, Address::Tls { .. })) {
        cx.report(
            Mistake::new(Code::W0009, *at, "there is no TLS with this server, so there is no certificate to check")
                .help("remove it, or write: rediss://…"),
        );
    }
    Ok(Server {
        address,
        username: said.username.or(username),
        password: said.password.map(|(secret, _)| secret).or(password),
        database,
        prefix: said.prefix.unwrap_or_else(|| "rp:".into()),
        timeout: said.timeout.unwrap_or(TIMEOUT),
        lease: said.lease.unwrap_or(LEASE),
    })
}

/// `https://host[:port]/bucket`; without TLS on this machine alone, since what is kept are private keys.
fn bucket(word: &Word, said: Said, cx: &mut Check) -> Result<Bucket, Reported> {
    let text = cx.value::<Text>(word)?.0;
    let root = said.root.map(|(root, _)| root);
    let Some((endpoint, bucket)) = endpoint(&text, root) else {
        return Err(cx.report(
            Mistake::new(Code::E0020, word.span, format!("`{text}` is not the address of a bucket"))
                .help("write the server and behind it the bucket: https://s3.eu-central-1.amazonaws.com/my-bucket"),
        ));
    };
    let is_here = matches!(&*endpoint.host, "localhost" | "127.0.0.1" | "[::1]");
    if !endpoint.tls && !is_here {
        return Err(cx.report(
            Mistake::new(Code::E0020, word.span, "private keys would pass this network for all to read")
                .help(format!("write: {}", text.replacen("http:", "https:", 1))),
        ));
    }
    let (Some(key), Some(secret)) = (said.key, said.secret) else {
        return Err(cx.report(
            Mistake::new(Code::E0020, word.span, "a bucket is asked with a `key` and a `secret`")
                .help("write: storage s3 https://… { key {$S3_KEY}; secret {$S3_SECRET} }"),
        ));
    };
    Ok(Bucket {
        endpoint,
        bucket,
        region: said.region.unwrap_or_else(|| "us-east-1".into()),
        key,
        secret,
        prefix: said.prefix.unwrap_or_else(|| "rp/".into()),
        timeout: said.timeout.unwrap_or(Duration::from_secs(10)),
        lease: said.lease.unwrap_or(LEASE),
    })
}

fn endpoint(text: &str, root: Option<PathBuf>) -> Option<(Endpoint, Box<str>)> {
    let uri: Uri = text.parse().ok()?;
    let tls = match uri.scheme_str()? {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    let host: Box<str> = uri.host().filter(|host| !host.is_empty())?.into();
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let bucket = uri.path().trim_matches('/');
    let is_plain = is_key(bucket) && !bucket.contains('/') && uri.query().is_none();
    let is_bare = !uri.authority()?.as_str().contains('@');
    (is_plain && is_bare).then(|| (Endpoint { host, port, tls, root }, bucket.into()))
}

struct Url {
    address: Address,
    username: Option<Box<str>>,
    password: Option<Secret>,
    database: u16,
}

fn url(text: &str, root: Option<PathBuf>) -> Option<Url> {
    if let Some(path) = text.strip_prefix("unix/").filter(|path| path.starts_with('/')) {
        return Some(Url { address: Address::Unix(path.into()), username: None, password: None, database: 0 });
    }
    let uri: Uri = text.parse().ok()?;
    let host: Box<str> = uri.host().filter(|host| !host.is_empty())?.into();
    let port = uri.port_u16().unwrap_or(6379);
    let address = match uri.scheme_str()? {
        "redis" => Address::Tcp { host, port },
        "rediss" => Address::Tls { host, port, root },
        _ => return None,
    };
    let login = uri.authority()?.as_str().rsplit_once('@').map(|(login, _)| login);
    let decoded = |text: &str| -> Option<Box<str>> {
        let text = percent_decode_str(text).decode_utf8().ok()?;
        (!text.is_empty()).then(|| text.into())
    };
    let (username, password) = login.map_or(("", ""), |login| login.split_once(':').unwrap_or((login, "")));
    let database = match uri.path().trim_matches('/') {
        "" => 0,
        number => number.parse().ok()?,
    };
    let is_bare = uri.query().is_none();
    is_bare.then(|| Url {
        address,
        username: decoded(username),
        password: decoded(password).map(Secret::new),
        database,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, Option<&str>, Option<&str>)>) {
        let read = url(text, None).map(|url| {
            let server = Server {
                address: url.address,
                username: None,
                password: None,
                database: url.database,
                prefix: "".into(),
                timeout: TIMEOUT,
                lease: LEASE,
            };
            (server.to_string(), url.username, url.password)
        });
        let read = read.as_ref().map(|(server, username, password)| {
            (server.as_str(), username.as_deref(), password.as_ref().map(Secret::expose))
        });
        assert_eq!(read, expected, "{text}");
    }

    #[test]
    fn addresses_of_buckets() {
        let read = |text: &str| {
            endpoint(text, None).map(|(at, bucket)| format!("{} {} {} {bucket}", at.tls, at.host, at.port))
        };
        assert_eq!(read("https://s3.a.test/rp").as_deref(), Some("true s3.a.test 443 rp"));
        assert_eq!(read("http://[::1]:9000/rp/").as_deref(), Some("false [::1] 9000 rp"));
        for other in ["s3://rp", "https://a.test", "https://a.test/b/c", "https://k:s@a.test/b", "https://a.test/b?x"] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn addresses_of_servers() {
        check("redis://10.0.0.5", Some(("redis://10.0.0.5:6379/0/", None, None)));
        check("redis://a.test:1/3", Some(("redis://a.test:1/3/", None, None)));
        check("rediss://[::1]:7/", Some(("rediss://[::1]:7/0/", None, None)));
        check("redis://:p%40ss@a", Some(("redis://a:6379/0/", None, Some("p@ss"))));
        check("redis://rp:word@a/1", Some(("redis://a:6379/1/", Some("rp"), Some("word"))));
        check("unix//run/redis.sock", Some(("unix//run/redis.sock/0/", None, None)));
        for other in
            ["10.0.0.5:6379", "http://a", "redis://", "redis://a/b", "redis://a/0?x=1", "unix/run", "redis://a/99999"]
        {
            check(other, None);
        }
    }
}
