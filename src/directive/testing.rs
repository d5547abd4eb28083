//! Statements under test: read, built and run as a site does it.

use std::rc::Rc;

use futures_util::FutureExt;
use http::header::HOST;
use http::{HeaderMap, Method};

use super::check_nodes;
use crate::check::Check;
use crate::diagnostic::Sources;
use crate::http::connection::{Connection, TlsFacts};
use crate::http::exchange::Exchange;
use crate::http::step::Answer;
use crate::site::{Building, Supplies};
use crate::syntax;

/// What `statements` answer.
pub fn pass(statements: &str, exchange: &mut Exchange) -> Answer {
    let mut cx = Check::default();
    let body = read(statements, &mut cx);
    let findings = cx.finish().sorted();
    assert!(findings.is_empty(), "{statements}: {findings:?}");
    let mut supplies = Supplies::default();
    let mut building = Building::new(&mut supplies);
    body.compile(&mut building).expect("nothing outside is asked for");
    let program = building.finish();
    program.run(exchange).now_or_never().expect("no step waits")
}

/// What is found wrong with `statements`: `CODE sentence; help`.
pub fn findings(statements: &str) -> Vec<String> {
    let mut cx = Check::default();
    read(statements, &mut cx);
    let findings = cx.finish().sorted();
    findings.iter().map(|m| format!("{} {}; {}", m.code, m.text, m.help.as_deref().unwrap_or_default())).collect()
}

fn read(statements: &str, cx: &mut Check) -> super::Body {
    let mut sources = Sources::default();
    let file = sources.add(std::path::Path::new("Proxyfile"), statements);
    let (tree, mistakes) = syntax::parse(file, statements);
    assert!(mistakes.is_empty(), "{statements}: {mistakes:?}");
    check_nodes(&tree.nodes, cx)
}

/// A GET by HTTPS.
pub fn secure(path: &str, host: &str) -> Exchange {
    let tls = TlsFacts {
        version: "TLSv1.3",
        suite: Some("TLS13_AES_128_GCM_SHA256"),
        sni: Some(host.into()),
        ..TlsFacts::default()
    };
    let mut headers = HeaderMap::new();
    headers.insert(HOST, host.parse().expect("a host"));
    let uri = path.parse().expect("a path");
    let exchange = Exchange::alone(Method::GET, &uri, headers).expect("a request");
    let peer = exchange.connection.peer;
    Exchange { connection: Rc::new(Connection::new(Some(peer), 443, Some(tls))), ..exchange }
}
