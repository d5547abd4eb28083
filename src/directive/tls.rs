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
    syntax: "tls CERTIFICATE KEY | internal",
    summary: "the certificate that the site shows",
    doc: "CERTIFICATE is a PEM file with the site's certificate and the intermediates behind it, KEY the PEM file with its private key; both are read again when they change.\n\n`internal` asks rp's own authority for one, which is what `localhost`, private names and addresses get without being told; `rp trust` makes this machine trust it.\n\nA public name without `tls` gets one, too, and a warning: no stranger trusts it, so it needs files of its own.",
    options: &[],
    examples: &["tls /etc/ssl/example.com.pem /etc/ssl/example.com.key", "tls internal"],
    related: &["bind", "global"],
    check,
};

/// Where a site's certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsModel {
    Internal,
    Files { certificate: PathBuf, certificate_at: Span, key: PathBuf, key_at: Span },
}

#[derive(Debug)]
struct Tls(TlsModel);

fn check(node: &Node, cx: &mut Check) -> Result<Box<dyn Directive>, Reported> {
    let mut args = Arguments::of(node, ROOM.syntax);
    let first = args.expect_word("a certificate and its key, or `internal`", cx)?;
    let text = cx.value::<Text>(first)?.0;
    let model = match (text.as_str(), args.word()) {
        ("internal", None) => TlsModel::Internal,
        ("off", None) => {
            return Err(cx.report(
                Mistake::new(Code::E0020, first.span, "a site without TLS says so in its address")
                    .help("write it there: http://example.com { … }"),
            ));
        }
        (other, None) if other.contains('@') || matches!(other, "on" | "auto" | "acme" | "true") => {
            return Err(cx.report(
                Mistake::new(Code::E0020, first.span, "rp gets no certificates from an authority yet")
                    .help("name files: tls CERTIFICATE KEY; or, of rp's own authority, write: tls internal"),
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
