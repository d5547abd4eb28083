//! `tls` of an upstream: how servers are spoken to whose addresses begin with `https://`.

use std::path::PathBuf;
use std::sync::Arc;

use crate::check::value::{Switch, Text};
use crate::check::{Arguments, Check, Opt, Reported};
use crate::diagnostic::{Code, Mistake, Span};
use crate::directive::tls::several;
use crate::site::Supplies;
use crate::syntax::tree::Node;
use crate::tls::client::{self, Client, ClientOptions, Verify};
use crate::tls::{Alpn, Certificate, Version};

pub const TLS: Opt = Opt::once("tls", "tls { … }", "how to speak TLS to `https://` servers").with(OPTIONS);

const OPTIONS: &[Opt] = &[
    Opt::once("ca", "ca FILE", "a PEM file of the authorities to believe, instead of the system's"),
    Opt::once("name", "name HOST", "the name to ask for and to verify, instead of the server's own"),
    Opt::once("certificate", "certificate FILE KEY", "what to show when the server asks for a certificate"),
    Opt::once("versions", "versions 1.2|1.3 …", "the versions of TLS that are spoken with the server (1.2 1.3)")
        .by_default(&["1.2 1.3"]),
    Opt::once("http2", "http2 on|off", "speaks HTTP/2 where the server offers it (on)").by_default(&["on"]),
    Opt::once("verify", "verify on|off", "`off` believes anybody: only for a test (on)").by_default(&["on"]),
];

/// How to speak TLS to the servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsModel {
    ca: Option<(PathBuf, Span)>,
    name: Option<String>,
    certificate: Option<(PathBuf, PathBuf, Span)>,
    min: Version,
    max: Version,
    http2: bool,
    verify: bool,
}

impl Default for TlsModel {
    fn default() -> Self {
        let ClientOptions { min, max, .. } = ClientOptions::default();
        Self { ca: None, name: None, certificate: None, min, max, http2: true, verify: true }
    }
}

impl TlsModel {
    pub fn read(&mut self, node: &Node, cx: &mut Check) -> Result<(), Reported> {
        Arguments::of(node, TLS.syntax).done(cx)?;
        cx.options(node, OPTIONS, |option, inner, cx| {
            let mut args = Arguments::of(inner, option.syntax);
            let at = inner.words.get(1).map_or(inner.span, |word| word.span);
            match option.name {
                "ca" => self.ca = Some((args.expect::<Text>("a file", cx)?.0.into(), at)),
                "name" => {
                    let name = args.expect::<Text>("a name", cx)?.0;
                    client::server_name(&name).map_err(|trouble| cx.report(trouble.at(at)))?;
                    self.name = Some(name);
                }
                "certificate" => {
                    let certificate = args.expect::<Text>("a certificate", cx)?.0.into();
                    self.certificate = Some((certificate, args.expect::<Text>("its key", cx)?.0.into(), at));
                }
                "versions" => {
                    let versions = several::<Version>(&mut args, cx)?;
                    self.min = versions.iter().copied().min().unwrap_or(self.min);
                    self.max = versions.iter().copied().max().unwrap_or(self.max);
                }
                "http2" => self.http2 = args.expect::<Switch>("on or off", cx)?.0,
                _ => self.verify = args.expect::<Switch>("on or off", cx)?.0,
            }
            args.done_without_block(cx)
        })
    }

    /// What only all options together can tell.
    pub fn settle(&self, cx: &mut Check) {
        if let (Some((_, at)), false) = (&self.ca, self.verify) {
            cx.report(
                Mistake::new(Code::W0009, *at, "with `verify off` nobody is asked who vouches for the server")
                    .help("remove `verify off`: this file says whom to believe"),
            );
        }
    }

    /// The client, and the key that says what it was made from. One client for equal settings: its sessions resume.
    /// `at` is the upstream.
    pub fn client(&self, at: Span, supplies: &mut Supplies) -> Result<(Arc<Client>, String), Mistake> {
        supplies.files.extend(self.ca.iter().map(|(path, _)| path.clone()));
        supplies
            .files
            .extend(self.certificate.iter().flat_map(|(certificate, key, _)| [certificate.clone(), key.clone()]));
        let ca_at = self.ca.as_ref().map_or(at, |(_, at)| *at);
        let certificate = match &self.certificate {
            None => None,
            Some((certificate, key, at)) => {
                Some(Certificate::load(certificate, key).map_err(|trouble| trouble.at(*at))?)
            }
        };
        let stamp =
            self.ca.as_ref().and_then(|(path, _)| std::fs::metadata(path).ok()).and_then(|meta| meta.modified().ok());
        let shown = certificate.as_ref().map(|certificate| *certificate.fingerprint());
        let key = format!("tls-client {self:?} {stamp:?} {shown:?}");
        let options = ClientOptions {
            verify: match &self.ca {
                _ if !self.verify => Verify::Off,
                Some((path, _)) => Verify::Authorities(path.clone()),
                None => Verify::System,
            },
            name: match &self.name {
                Some(name) => Some(client::server_name(name).map_err(|trouble| trouble.at(at))?),
                None => None,
            },
            min: self.min,
            max: self.max,
            certificate: certificate.map(|certificate| certificate.key().clone()),
            alpn: if self.http2 { vec![Alpn::H2, Alpn::Http11] } else { vec![Alpn::Http11] },
        };
        let built = Client::build(&options, &supplies.roots).map_err(|trouble| trouble.at(ca_at))?;
        Ok((supplies.adopt(&key, || built), key))
    }
}
