//! `tls`: the certificate that a site shows.

use std::path::PathBuf;

use super::{Directive, Front, Room};
use crate::check::value::Text;
use crate::check::{Arguments, Check, Reported};
use crate::diagnostic::{Code, Mistake, Span};
use crate::site::Building;
use crate::syntax::tree::Node;

pub static ROOM: Room = Room {
    name: "tls",
    syntax: "tls CERTIFICATE KEY | acme | internal",
    summary: "the certificate that the site shows",
    doc: "A public name without `tls` has its certificate from an authority that strangers trust, and rp asks for it, shows it and renews it by itself: Let's Encrypt, unless `acme` in `global` names another one. The authority looks at port 80 or 443 of the name whether it is rp that answers there, so the name has to lead here. Until the certificate is there, clients see one that they don't trust. `rp certs` tells what there is.\n\nCERTIFICATE is a PEM file with the site's certificate and the intermediates behind it, KEY the PEM file with its private key; both are read again when they change.\n\n`acme` asks the authority for a name that is not public, too: one of your own may know it.\n\n`internal` asks rp's own authority, which is what `localhost`, private names and addresses get without being told; `rp trust` makes this machine trust it. Wildcards and public addresses get that as well, and a warning, since rp can't yet show an authority that they are its own.",
    options: &[],
    examples: &["tls /etc/ssl/example.com.pem /etc/ssl/example.com.key", "tls acme", "tls internal"],
    related: &["bind", "global"],
    check,
};

/// Where a site's certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsModel {
    Internal,
    Acme { at: Span },
    Files { certificate: PathBuf, certificate_at: Span, key: PathBuf, key_at: Span },
}

#[derive(Debug)]
struct Tls(TlsModel);

fn check(node: &Node, cx: &mut Check) -> Result<Box<dyn Directive>, Reported> {
    let mut args = Arguments::of(node, ROOM.syntax);
    let first = args.expect_word("a certificate and its key, `acme` or `internal`", cx)?;
    let text = cx.value::<Text>(first)?.0;
    let model = match (text.as_str(), args.word()) {
        ("internal", None) => TlsModel::Internal,
        ("acme", None) => TlsModel::Acme { at: first.span },
        ("off", None) => {
            return Err(cx.report(
                Mistake::new(Code::E0020, first.span, "a site without TLS says so in its address")
                    .help("write it there: http://example.com { … }"),
            ));
        }
        (other, None) if other.contains('@') => {
            return Err(cx.report(
                Mistake::new(Code::E0020, first.span, "the address of an account belongs to the whole process")
                    .help(format!("write: global {{ email {other} }}; a public name needs no `tls`, others: tls acme")),
            ));
        }
        ("on" | "auto" | "true", None) => {
            return Err(cx.report(
                Mistake::new(Code::E0020, first.span, "a certificate of a public name comes by itself")
                    .help("remove the line; or, for a name that is not public, write: tls acme"),
            ));
        }
        (_, None) => return Err(args.missing("the file of the private key", cx)),
        (_, Some(key)) => TlsModel::Files {
            certificate: text.into(),
            certificate_at: first.span,
            key: cx.value::<Text>(key)?.0.into(),
            key_at: key.span,
        },
    };
    args.done_without_block(cx)?;
    Ok(Box::new(Tls(model)))
}

impl Directive for Tls {
    fn compile(&self, _: &mut Building<'_>) -> Result<(), Mistake> {
        Ok(())
    }

    fn front(&self) -> Option<Front<'_>> {
        Some(Front::Tls(&self.0))
    }
}
