//! The addresses of sites: who is meant, on which port, with TLS or without.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use super::{Global, SiteModel};
use crate::check::value::HostPattern;
use crate::check::{Check, Reported, Value, Wrong};
use crate::diagnostic::{Code, Mistake, Span};
use crate::directive::Front;
use crate::syntax::tree::Word;
use crate::tls::Name;

/// What a site speaks at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    Plain,
    Tls,
}

/// One address of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteAddress {
    pub at: Span,
    pub text: String,
    pub transport: Transport,
    /// `None`: any host.
    pub host: Option<HostPattern>,
    /// `None`: the default of its transport.
    pub port: Option<u16>,
    pub unix: Option<PathBuf>,
}

/// Without its place.
struct Parsed {
    transport: Transport,
    host: Option<HostPattern>,
    port: Option<u16>,
    unix: Option<PathBuf>,
}

pub(super) fn read(word: &Word, cx: &mut Check) -> Result<SiteAddress, Reported> {
    let Parsed { transport, host, port, unix } = cx.value::<Parsed>(word)?;
    Ok(SiteAddress { at: word.span, text: word.plain().unwrap_or_default().to_owned(), transport, host, port, unix })
}

impl SiteAddress {
    #[must_use]
    pub fn port(&self, global: &Global) -> u16 {
        self.port.unwrap_or(match self.transport {
            Transport::Plain => global.http_port,
            Transport::Tls => global.https_port,
        })
    }

    /// What its certificate is for; `None` where it is for any host.
    #[must_use]
    pub fn name(&self) -> Option<Name> {
        self.host.as_ref().and_then(|host| Name::parse(&host.to_string()))
    }

    /// Whether strangers may come to it, and a public authority could vouch for its name.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.host.as_ref().is_some_and(is_public)
    }

    /// Whether only this machine can mean it.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            Some(HostPattern::Exact(name)) => {
                **name == *"localhost"
                    || name.ends_with(".localhost")
                    || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
            Some(HostPattern::Below(parent)) => **parent == *"localhost",
            None => false,
        }
    }
}

/// Names that no public authority vouches for, with all below them: set aside by RFC 2606, RFC 6761, RFC 6762, RFC 7686,
/// RFC 8375 and ICANN for what is private, or never given to anyone because so many use them privately.
const PRIVATE: [&str; 14] = [
    "localhost",
    "internal",
    "local",
    "test",
    "example",
    "invalid",
    "home.arpa",
    "onion",
    "lan",
    "home",
    "corp",
    "intranet",
    "private",
    "localdomain",
];

/// Whether strangers may come by this name, and a public authority could vouch for it.
pub(super) fn is_public(host: &HostPattern) -> bool {
    let name = match host {
        HostPattern::Exact(name) | HostPattern::Below(name) => &**name,
    };
    match name.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => is_public_v4(ip),
        Ok(IpAddr::V6(ip)) => ip.to_ipv4_mapped().map_or_else(|| is_public_v6(ip), is_public_v4),
        Err(_) => {
            let within =
                |zone: &&str| name.strip_suffix(*zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
            name.contains('.') && !PRIVATE.iter().any(within)
        }
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    // Shared address space (RFC 6598) is what carriers have behind their NAT.
    let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0b1100_0000 == 64;
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_unspecified()
        || ip.is_documentation()
        || ip.is_broadcast()
        || shared)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let documentation = ip.segments()[..2] == [0x2001, 0xdb8];
    !(ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local() || documentation)
}

impl Value for Parsed {
    const KIND: &'static str = "the address of a site";
    const EXAMPLE: &'static str = "example.com, *.example.com, http://example.com, :8080 or unix//run/rp.sock";

    fn parse(text: &str) -> Result<Self, Wrong> {
        if let Some(path) = text.strip_prefix("unix/") {
            if !path.starts_with('/') {
                return Err(Wrong::say(format!("`{text}` has no absolute path"))
                    .help(format!("write two slashes: `unix//{path}`")));
            }
            return Ok(Self { transport: Transport::Plain, host: None, port: None, unix: Some(path.into()) });
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
            return Err(Wrong::say(format!("`{text}` is a port without its colon")).instead(format!(":{text}")));
        }
        if let Some(port) = text.strip_prefix('*').filter(|port| port.is_empty() || port.starts_with(':')) {
            let port = if port.is_empty() { ":80" } else { port };
            return Err(Wrong::say(format!("`{text}` names no host")).help(format!("for any host, write `{port}`")));
        }
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Some(Transport::Plain), rest),
            Some(("https", rest)) => (Some(Transport::Tls), rest),
            Some((other, rest)) => {
                return Err(Wrong::say(format!("a site is reached by http or https, not by `{other}`"))
                    .instead(format!("https://{rest}")));
            }
            None => (None, text),
        };
        if let Some((host, path)) = rest.split_once('/') {
            return Err(Wrong::say(format!("`{text}` has a path, and a site is a whole host"))
                .help(format!("write: {host} {{ route /{path} {{ … }} }}")));
        }
        let (host, port) = split_port(rest)?;
        let host = if host.is_empty() { None } else { Some(HostPattern::parse(host)?) };
        if host.is_none() && port.is_none() {
            return Err(Wrong::kind());
        }
        // `:8080` is plain, and so is port 80 of anything: whoever wants TLS there says https.
        let transport =
            scheme.unwrap_or(if host.is_none() || port == Some(80) { Transport::Plain } else { Transport::Tls });
        match (transport, port) {
            (Transport::Tls, Some(80)) => Err(Wrong::say(format!("`{text}` speaks https on the port of http"))
                .help(format!("write `http://{rest}`, or another port"))),
            (Transport::Plain, Some(443)) => Err(Wrong::say(format!("`{text}` speaks http on the port of https"))
                .help(format!("write `https://{rest}`, or another port"))),
            _ => Ok(Self { transport, host, port, unix: None }),
        }
    }
}

fn split_port(text: &str) -> Result<(&str, Option<u16>), Wrong> {
    // An IPv6 address stands in brackets where a port follows; alone it may stand without.
    if text.parse::<std::net::Ipv6Addr>().is_ok() {
        return Ok((text, None));
    }
    let after = if text.starts_with('[') { text.find(']').map_or(0, |at| at + 1) } else { 0 };
    match text[after..].rfind(':') {
        None => Ok((text, None)),
        Some(colon) => {
            let (host, port) = text.split_at(after + colon);
            match port[1..].parse::<u32>() {
                Ok(port) if port <= 65_535 => Ok((host, u16::try_from(port).ok())),
                Ok(port) => Err(Wrong::range(format!("there is no port {port}")).help("ports go from 1 to 65535")),
                Err(_) => Err(Wrong::kind()),
            }
        }
    }
}

/// Two sites with one address, and ports that would have to speak two protocols.
pub(super) fn conflicts(sites: &[SiteModel], global: &Global, cx: &mut Check) {
    let (mut hosts, mut ports) = (HashMap::new(), HashMap::<_, (Transport, Span)>::new());
    for site in sites {
        let (bind, passed) = (bound(site), site.passes_to().is_some());
        for address in &site.addresses {
            let port = address.port(global);
            // Port 0 is a different port each time.
            if port == 0 && address.unix.is_none() {
                continue;
            }
            let this = (address.at, passed);
            let key = (port, address.host.clone(), address.unix.clone(), bind.clone());
            if let Some(first) = hosts.insert(key, this) {
                cx.report(taken(address, first, passed));
            }
            if address.unix.is_some() {
                continue;
            }
            match ports.get(&(port, bind.clone())) {
                Some((transport, first)) if *transport != address.transport => {
                    cx.report(
                        Mistake::new(Code::E0041, address.at, format!("port {port} can't speak both http and https"))
                            .other(*first, "the other is here")
                            .help("give one of the sites another port"),
                    );
                }
                Some(_) => {}
                None => {
                    ports.insert((port, bind.clone()), (address.transport, address.at));
                }
            }
        }
    }
}

/// What is passed through is nothing that another statement could stand beside.
fn taken(address: &SiteAddress, (first, first_passed): (Span, bool), passed: bool) -> Mistake {
    let text = &address.text;
    let mistake = Mistake::new(Code::E0040, address.at, format!("`{text}` is the address of another site already"))
        .other(first, "first used here");
    if passed || first_passed {
        return mistake.help("keep one of the two: `passthrough` is the whole of its site; or change one address");
    }
    mistake.help(format!("put both into one block: {text} {{ … }}; or change one address"))
}

/// The site's `bind`, as text: sites on other interfaces are no conflict.
fn bound(site: &SiteModel) -> String {
    site.body
        .statements
        .iter()
        .find_map(|s| if let Some(Front::Bind(to)) = s.directive.front() { Some(format!("{to:?}")) } else { None })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        match Parsed::parse(text) {
            Ok(p) => format!("{:?} {} {:?}", p.transport, p.host.map_or("any".to_owned(), |h| h.to_string()), p.port),
            Err(wrong) => wrong.text.unwrap_or_else(|| "no".to_owned()),
        }
    }

    #[test]
    fn public_names_are_those_that_strangers_may_come_by() {
        let public = |text: &str| is_public(&HostPattern::parse(text).expect(text));
        for name in ["example.com", "*.example.com", "a.b.co.uk", "mylocal.com", "localhost.com", "1.1.1.1", "2606::1"]
        {
            assert!(public(name), "{name}");
        }
        for name in [
            "localhost",
            "app.localhost",
            "*.localhost",
            "intranet",
            "nas.local",
            "a.b.internal",
            "a.test",
            "router.lan",
            "x.home.arpa",
            "10.0.0.1",
            "127.0.0.1",
            "192.168.1.1",
            "172.20.0.1",
            "100.64.0.1",
            "100.127.0.1",
            "169.254.0.1",
            "[::1]",
            "[fd00::1]",
            "[fe80::1]",
            "[::ffff:10.0.0.1]",
            "192.0.2.1",
        ] {
            assert!(!public(name), "{name}");
        }
        assert!(public("100.128.0.1"));
    }

    #[test]
    fn addresses_say_scheme_host_and_port() {
        assert_eq!(parsed("example.com"), "Tls example.com None");
        assert_eq!(parsed("http://example.com"), "Plain example.com None");
        assert_eq!(parsed(":8080"), "Plain any Some(8080)");
        assert_eq!(parsed("https://:8443"), "Tls any Some(8443)");
        assert_eq!(parsed("localhost:8443"), "Tls localhost Some(8443)");
        assert_eq!(parsed("example.com:80"), "Plain example.com Some(80)");
        assert_eq!(parsed("*.example.com"), "Tls *.example.com None");
        assert_eq!(parsed("https://10.0.0.1:8443"), "Tls 10.0.0.1 Some(8443)");
        assert_eq!(parsed("[::1]:8080"), "Tls ::1 Some(8080)");
        assert_eq!(parsed("::1"), "Tls ::1 None");
        assert_eq!(parsed("example.com/api"), "`example.com/api` has a path, and a site is a whole host");
        assert_eq!(parsed("ftp://x"), "a site is reached by http or https, not by `ftp`");
        assert_eq!(parsed("x:99999"), "there is no port 99999");
        assert_eq!(parsed("http://x:443"), "`http://x:443` speaks http on the port of https");
    }
}
