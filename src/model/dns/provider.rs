//! Those who change zones, and what each wants to know.

use std::time::Duration;

use super::{Given, text, url};
use crate::check::value::{Text, base64};
use crate::check::{Arguments, Check, Reported};
use crate::diagnostic::{Code, Mistake, Span};
use crate::tls::Name;
use crate::tls::acme::dns::settings::{
    AcmeDns, Algorithm, Endpoint, Exec, Host, Key, Rfc2136, Route53, Secret, Token, Webhook, Zone,
};
use crate::tls::sigv4::Credentials;

/// Somebody who changes zones.
pub struct Kind {
    pub name: &'static str,
    pub syntax: &'static str,
    /// Beside those of all.
    pub options: &'static [&'static str],
    pub(super) build: fn(&mut Arguments<'_>, &mut Given, Span, &mut Check) -> Result<Zone, Reported>,
}

const HOSTED: &[&str] = &["token", "zone", "endpoint", "root"];

pub const PROVIDERS: &[Kind] = &[
    Kind {
        name: "rfc2136",
        syntax: "dns rfc2136 SERVER { … }",
        options: &["key", "secret", "algorithm", "zone"],
        build: rfc2136,
    },
    Kind {
        name: "cloudflare",
        syntax: "dns cloudflare { token TOKEN }",
        options: HOSTED,
        build: |_, given, at, cx| hosted(Host::Cloudflare, given, at, cx),
    },
    Kind {
        name: "route53",
        syntax: "dns route53 { access_key ID; secret_key KEY }",
        options: &["access_key", "secret_key", "session_token", "zone", "endpoint", "root"],
        build: route53,
    },
    Kind {
        name: "digitalocean",
        syntax: "dns digitalocean { token TOKEN }",
        options: HOSTED,
        build: |_, given, at, cx| hosted(Host::DigitalOcean, given, at, cx),
    },
    Kind {
        name: "hetzner",
        syntax: "dns hetzner { token TOKEN }",
        options: HOSTED,
        build: |_, given, at, cx| hosted(Host::Hetzner, given, at, cx),
    },
    Kind {
        name: "desec",
        syntax: "dns desec { token TOKEN }",
        options: HOSTED,
        build: |_, given, at, cx| hosted(Host::Desec, given, at, cx),
    },
    Kind {
        name: "acme-dns",
        syntax: "dns acme-dns URL { account SUBDOMAIN USER PASSWORD }",
        options: &["account", "root"],
        build: acme_dns,
    },
    Kind { name: "exec", syntax: "dns exec COMMAND …", options: &["timeout"], build: exec },
    Kind { name: "webhook", syntax: "dns webhook URL", options: &["token", "root"], build: webhook },
];

fn endpoint(given: &mut Given, usual: &str) -> Endpoint {
    let url = given.endpoint.take().unwrap_or_else(|| usual.into());
    Endpoint { url, root: given.take("root").map(|(file, _)| file.into()) }
}

/// Its word here, and where it is asked.
fn known(host: Host) -> (&'static str, &'static str) {
    match host {
        Host::Cloudflare => ("cloudflare", "https://api.cloudflare.com/client/v4"),
        Host::DigitalOcean => ("digitalocean", "https://api.digitalocean.com/v2"),
        Host::Hetzner => ("hetzner", "https://api.hetzner.cloud/v1"),
        Host::Desec => ("desec", "https://desec.io/api/v1"),
    }
}

fn hosted(host: Host, given: &mut Given, at: Span, cx: &mut Check) -> Result<Zone, Reported> {
    let (name, usual) = known(host);
    let token = Secret(given.need("token", name, at, cx)?.into());
    Ok(Zone::Token(Token { host, at: endpoint(given, usual), token, zone: given.zone.take() }))
}

fn route53(_: &mut Arguments<'_>, given: &mut Given, at: Span, cx: &mut Check) -> Result<Zone, Reported> {
    let access_key = given.need("access_key", "route53", at, cx)?.into();
    let secret_key = given.need("secret_key", "route53", at, cx)?.into();
    let session_token = given.take("session_token").map(|(token, _)| token.into());
    let credentials = Credentials { access_key, secret_key, session_token };
    Ok(Zone::Route53(Route53 {
        at: endpoint(given, "https://route53.amazonaws.com"),
        credentials,
        zone: given.zone.take(),
    }))
}

fn acme_dns(args: &mut Arguments<'_>, given: &mut Given, at: Span, cx: &mut Check) -> Result<Zone, Reported> {
    let url = url(args, cx)?;
    let accounts = std::mem::take(&mut given.accounts);
    if accounts.is_empty() {
        return Err(cx.report(
            Mistake::new(Code::E0022, at, "`dns acme-dns` wants an `account`")
                .help("register one there (POST /register), and write: account SUBDOMAIN USER PASSWORD"),
        ));
    }
    Ok(Zone::AcmeDns(AcmeDns { at: endpoint(given, &url), accounts }))
}

fn exec(args: &mut Arguments<'_>, given: &mut Given, _: Span, cx: &mut Check) -> Result<Zone, Reported> {
    let words = args.expect_all::<Text>("a command", cx)?;
    let command = words.into_iter().map(|word| word.0.into()).collect();
    Ok(Zone::Exec(Exec { command, timeout: given.timeout.unwrap_or(Duration::from_secs(60)) }))
}

fn webhook(args: &mut Arguments<'_>, given: &mut Given, _: Span, cx: &mut Check) -> Result<Zone, Reported> {
    let url = url(args, cx)?;
    let token = given.take("token").map(|(token, _)| Secret(token.into()));
    Ok(Zone::Webhook(Webhook { at: endpoint(given, &url), token }))
}

fn rfc2136(args: &mut Arguments<'_>, given: &mut Given, at: Span, cx: &mut Check) -> Result<Zone, Reported> {
    let (server, server_at) = text(args, "the name server", cx)?;
    let server = server_of(&server).ok_or_else(|| {
        cx.report(
            Mistake::new(Code::E0020, server_at, format!("`{server}` is neither a host nor an address"))
                .help("write: dns rfc2136 ns.example.com { … }, or an address with its port: 10.0.0.53:53"),
        )
    })?;
    Ok(Zone::Rfc2136(Rfc2136 { server, zone: given.zone.take(), key: key(given, at, cx)? }))
}

/// With port 53, if it has none.
fn server_of(text: &str) -> Option<Box<str>> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port.parse().ok()?),
        _ => (text, 53_u16),
    };
    match Name::parse(host)? {
        Name::Wildcard(_) => None,
        Name::Address(std::net::IpAddr::V6(ip)) => Some(format!("[{ip}]:{port}").into()),
        name => Some(format!("{name}:{port}").into()),
    }
}

fn key(given: &mut Given, at: Span, cx: &mut Check) -> Result<Option<Key>, Reported> {
    let algorithm = match given.take("algorithm") {
        None => Algorithm::Sha256,
        Some((text, at)) => algorithm(&text, at, cx)?,
    };
    let (name, secret) = match (given.take("key"), given.take("secret")) {
        (None, None) => return Ok(None),
        (Some(name), Some(secret)) => (name, secret),
        (name, _) => {
            let (has, lacks) = if name.is_some() { ("key", "secret BASE64") } else { ("secret", "key NAME") };
            return Err(cx.report(
                Mistake::new(Code::E0022, at, format!("`{has}` alone signs nothing"))
                    .help(format!("write, in the same block: {lacks}")),
            ));
        }
    };
    let Some(bytes) = base64(secret.0.trim().as_bytes()).filter(|bytes| !bytes.is_empty()) else {
        return Err(cx.report(
            Mistake::new(Code::E0020, secret.1, "the secret of a key is base64, and this is not")
                .help("copy it as it stands behind `secret` in the name server's configuration, without the quotes"),
        ));
    };
    if Name::parse(&name.0).is_none() {
        return Err(cx.report(
            Mistake::new(Code::E0020, name.1, format!("`{}` is no name of a key", name.0))
                .help("write it as the name server has it: key acme-key"),
        ));
    }
    Ok(Some(Key { name: name.0.into(), algorithm, secret: Secret(bytes) }))
}

fn algorithm(text: &str, at: Span, cx: &mut Check) -> Result<Algorithm, Reported> {
    match text {
        "hmac-sha256" => Ok(Algorithm::Sha256),
        "hmac-sha384" => Ok(Algorithm::Sha384),
        "hmac-sha512" => Ok(Algorithm::Sha512),
        other => Err(cx.report(
            Mistake::new(Code::E0020, at, format!("keys of the algorithm `{other}` are not taken"))
                .help("make a key for `hmac-sha256`: tsig-keygen -a hmac-sha256 acme-key"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_a_port() {
        for (text, expected) in [
            ("ns.example.com", Some("ns.example.com:53")),
            ("10.0.0.53:5353", Some("10.0.0.53:5353")),
            ("[::1]:5353", Some("[::1]:5353")),
            ("::1", Some("[::1]:53")),
            ("ns:", None),
            ("*.example.com", None),
            ("a b", None),
            ("", None),
        ] {
            assert_eq!(server_of(text).as_deref(), expected, "{text}");
        }
    }
}
