//! `tls`: the certificate that a site shows, and what it demands of handshakes.

mod clients;
pub mod demand;
mod policy;
mod value;

use std::path::PathBuf;

pub use clients::ClientsModel;
pub(super) use policy::several;
pub use policy::{DemandModel, PolicyModel};

use super::{Directive, Front, Room};
use crate::check::value::Text;
use crate::check::{Arguments, Check, Reported};
use crate::diagnostic::{Code, Mistake, Span};
use crate::site::Building;
use crate::syntax::tree::Node;

pub static ROOM: Room = Room {
    name: "tls",
    syntax: "tls [CERTIFICATE KEY | FOLDER/ | acme | internal] [{ … }]",
    summary: "the certificate that the site shows, and what it demands of handshakes",
    doc: "A public name without `tls` has its certificate from an authority that strangers trust, and rp asks for it, shows it and renews it by itself: Let's Encrypt, unless `acme` in `global` names another one. The authority looks at port 80 or 443 of the name whether it is rp that answers there, so the name has to lead here. Until the certificate is there, clients see one that they don't trust. `rp certs` tells what there is.\n\nCERTIFICATE is a PEM file with the site's certificate and the intermediates behind it, KEY the PEM file with its private key; both are read again when they change.\n\nFOLDER, with a slash at its end, holds several: each `.pem`, `.crt` or `.cer` file with its key in it or beside it (`a.pem` and `a.key`, or `a-key.pem`). The site shows the one that covers its name; a site for any host shows to each client the one that covers what it asks for.\n\n`acme` asks the authority for a name that is not public, too: one of your own may know it.\n\n`internal` asks rp's own authority, which is what `localhost`, private names and addresses get without being told; `rp trust` makes this machine trust it. A wildcard has its certificate from the authority, too, where `dns` under `acme` in `global` says who changes its zone; without that, wildcards get one of rp's own authority and a warning, unless `on_demand` has certificates asked for when somebody comes: here, or under `acme` in `global` for all sites.\n\nThe options hold for handshakes that ask for a name of this site, so another site at the same port keeps its own. Of two names that fit, the more specific one decides: what is said for `*.example.com` is not said for `a.example.com`, where that is a site. Sessions are never resumed across different options, and a request for this site that comes on a connection that was made under others is answered 421, upon which browsers open another one. What clients do best is to say nothing here: TLS 1.2 and 1.3, with the suites and curves that are safe, and the post-quantum one first.\n\n`client_auth` asks clients for a certificate that one of the authorities in `ca` has signed, for clients; no other authority is believed, and a file that is missing or empty is an error. Without a good one the handshake fails. What is known of the client then stands in `{tls.client.subject}`, `{tls.client.fingerprint}` and their like, for `route`, `header` and others: `header request set X-Client {tls.client.subject}`. What a client claims by fields such as `Client-Cert` or `X-SSL-Client-Verify` is taken out before. `crl` names lists of revoked certificates. As soon as one changes, no session is resumed that was begun before; connections that are open stay open. Answers to who is let in differ by site, so a name without `client_auth` is served beside one with it, and neither is reached by the connection of the other.",
    options: policy::OPTIONS,
    examples: &[
        "tls /etc/ssl/example.com.pem /etc/ssl/example.com.key",
        "tls /etc/ssl/sites/",
        "tls acme",
        "tls internal { versions 1.3 }",
        "tls { client_auth { ca /etc/ssl/clients.pem; crl /etc/ssl/clients.crl } }",
        "tls { versions 1.3; curves x25519mlkem768 x25519; strict_sni on }",
    ],
    related: &["bind", "global"],
    check,
};

/// What a site says of TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsModel {
    pub source: Source,
    pub policy: PolicyModel,
    pub demand: DemandModel,
}

/// Where a site's certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Not said: what fits the name.
    Fitting,
    Internal,
    Acme {
        at: Span,
    },
    Files {
        certificate: PathBuf,
        certificate_at: Span,
        key: PathBuf,
        key_at: Span,
    },
    Folder {
        path: PathBuf,
        at: Span,
    },
}

#[derive(Debug)]
struct Tls(TlsModel);

fn check(node: &Node, cx: &mut Check) -> Result<Box<dyn Directive>, Reported> {
    let mut args = Arguments::of(node, ROOM.syntax);
    let source = source(node, &mut args, cx);
    let source = source.and_then(|source| args.done(cx).map(|()| source));
    // Its mistakes are told along with those of the words before it.
    let policy = PolicyModel::read(node, cx);
    let (source, (policy, demand)) = (source?, policy?);
    if let (Source::Internal | Source::Files { .. } | Source::Folder { .. }, Some((_, at))) = (&source, &demand) {
        let text = "this asks an authority for certificates, and where they come from is said already";
        return Err(cx.report(
            Mistake::new(Code::E0028, *at, text)
                .other(node.words[1].span, "here")
                .help("keep one of the two: tls { on_demand { ask URL } }"),
        ));
    }
    Ok(Box::new(Tls(TlsModel { source, policy, demand })))
}

fn source(node: &Node, args: &mut Arguments<'_>, cx: &mut Check) -> Result<Source, Reported> {
    const WANTED: &str = "a certificate and its key, a folder of them, `acme` or `internal`";
    let first = match args.word() {
        None if node.block.is_some() => return Ok(Source::Fitting),
        None => return Err(args.missing(WANTED, cx)),
        Some(word) => word,
    };
    let text = cx.value::<Text>(first)?.0;
    match (text.as_str(), args.word()) {
        ("internal", None) => Ok(Source::Internal),
        ("acme", None) => Ok(Source::Acme { at: first.span }),
        ("off", None) => Err(cx.report(
            Mistake::new(Code::E0020, first.span, "a site without TLS says so in its address")
                .help("write it there: http://example.com { … }"),
        )),
        (other, None) if other.contains('@') => Err(cx.report(
            Mistake::new(Code::E0020, first.span, "the address of an account belongs to the whole process")
                .help(format!("write: global {{ email {other} }}; a public name needs no `tls`, others: tls acme")),
        )),
        ("on" | "auto" | "true", None) => Err(cx.report(
            Mistake::new(Code::E0020, first.span, "a certificate of a public name comes by itself")
                .help("remove the line; or, for a name that is not public, write: tls acme"),
        )),
        (folder, None) if folder.ends_with('/') => Ok(Source::Folder { path: folder.into(), at: first.span }),
        (_, None) => Err(args.missing("the file of the private key", cx)),
        (_, Some(key)) => Ok(Source::Files {
            certificate: text.into(),
            certificate_at: first.span,
            key: cx.value::<Text>(key)?.0.into(),
            key_at: key.span,
        }),
    }
}

impl Directive for Tls {
    fn compile(&self, _: &mut Building<'_>) -> Result<(), Mistake> {
        Ok(())
    }

    fn front(&self) -> Option<Front<'_>> {
        Some(Front::Tls(&self.0))
    }
}
