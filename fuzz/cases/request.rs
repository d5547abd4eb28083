//! A request of any shape, from its head to what a server would be sent: whatever is taken is canonical, is framed once,
//! and says nothing of the client that the client made up.
//!
//! The input is a head: method and target, then fields. The steps are those of a site with some of everything.

use std::path::Path;

use futures_util::FutureExt as _;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri};
use proxyfile::check::Check;
use proxyfile::diagnostic::Sources;
use proxyfile::directive::check_nodes;
use proxyfile::http::exchange::Exchange;
use proxyfile::http::forwarded::{ForwardedField, Forwarding};
use proxyfile::http::hop::{self, Survey};
use proxyfile::http::path;
use proxyfile::site::{Building, Program, Supplies};
use proxyfile::syntax;
use proxyfile::upstream::wire;

const SITE: &str = r#"
@bot header User-Agent or {header.User-Agent} ~ `(?i)bot|crawler`
header set X-Seen "{host} {path} {query} {header.X-A} {cookie.a} {query.a} {request_id}"
header request { set X-Tenant {host}; remove X-Internal-*; replace X-A `(a+)(b*)` `$2$1` }
rate_limit 100/m by header X-Api-Key
max_body 1MiB
encode
when @bot and not client_ip 10.0.0.0/8 { header add X-Bot yes }
route /old/* { rewrite `/old/(.*)` `/new/$1`; respond "{uri}" }
route /strip/* { strip_prefix /strip; add_prefix /v1; respond "{uri}" }
route /users/:id/* and method GET POST { respond "{param.id}" }
route {query.q} ~ `^(?<word>\w+)$` { redirect /search/{param.word}?{query} }
route host *.example.com and cookie a b { redirect https://{host}{uri} }
route protocol websocket { respond 403 }
route {path} $= .php { respond 404 }
rewrite /all{path}?{query}&seen={header.X-B}
respond "{uri}"
handle_errors { respond "{error.status} {error.code}" }
"#;

thread_local! {
    static PROGRAM: Program = program();
}

fn program() -> Program {
    let mut sources = Sources::default();
    let file = sources.add(Path::new("Proxyfile"), SITE);
    let (tree, mistakes) = syntax::parse(file, SITE);
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let mut cx = Check::default();
    let body = check_nodes(&tree.nodes, &mut cx);
    assert!(!cx.has_errors(), "{:?}", cx.finish().sorted());
    let mut supplies = Supplies::default();
    let mut building = Building::new(&mut supplies);
    body.compile(&mut building).expect("nothing outside is asked for");
    building.finish()
}

pub fn run(data: &[u8]) {
    let Some(mut exchange) = exchange(data) else { return };
    assert_eq!(path::canonical(exchange.target.path()), Ok(None), "what is matched is canonical");
    assert_eq!(exchange.host.name(), exchange.host.name().to_ascii_lowercase());
    let answer = PROGRAM.with(|program| program.run(&mut exchange).now_or_never()).expect("no step waits here");
    if let Some(location) = answer.headers().get(header::LOCATION) {
        assert!(!location.as_bytes().starts_with(b"//"), "a redirect stays on this host: {location:?}");
    }
    forward(&mut exchange);
}

/// What a server would be sent, read back as a server would read it.
fn forward(exchange: &mut Exchange) {
    assert_eq!(path::canonical(exchange.target.path()), Ok(None), "what is forwarded is canonical");
    let survey = Survey::of_request(&exchange.headers);
    hop::strip(&mut exchange.headers, &survey);
    if survey.odd {
        hop::strip_aliases(&mut exchange.headers);
    }
    let forwarding = Forwarding::of(exchange, ForwardedField::On, &survey);
    let also = forwarding.fields(exchange);
    let mut target = Vec::new();
    exchange.target.write(&mut target);
    let fields = wire::Fields { map: &exchange.headers, also: &also, host: None };
    let mut head = Vec::new();
    wire::write(&mut head, &exchange.method, &target, fields, wire::Framing::Empty);
    let mut fields = [httparse::EMPTY_HEADER; 256];
    let mut request = httparse::Request::new(&mut fields);
    let read = request.parse(&head);
    assert_eq!(read, Ok(httparse::Status::Complete(head.len())), "{}", String::from_utf8_lossy(&head));
    assert_eq!(request.path.map(str::as_bytes), Some(target.as_slice()), "a server reads the target that was sent");
    let of = |name: &str| request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).count();
    for name in ["connection", "keep-alive", "transfer-encoding", "upgrade", "proxy", "x-original-uri", "x_real_ip"] {
        assert_eq!(of(name), 0, "{name}");
    }
    assert!(of("host") <= 1 && of("content-length") <= 1);
    let values = |name: &str| -> Vec<&[u8]> {
        let of_name = |field: &&httparse::Header<'_>| field.name.eq_ignore_ascii_case(name);
        request.headers.iter().filter(of_name).map(|field| field.value).collect()
    };
    for name in ["x-forwarded-for", "x-real-ip"] {
        assert_eq!(values(name), [b"192.0.2.1"], "strangers are not believed: {name}");
    }
}

fn exchange(data: &[u8]) -> Option<Exchange> {
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut first = lines.next()?.splitn(2, |byte| *byte == b' ');
    let method = Method::from_bytes(first.next()?).ok()?;
    let uri = Uri::try_from(first.next()?).ok()?;
    let mut headers = HeaderMap::new();
    for line in lines.take(100) {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        headers.append(name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?);
    }
    headers.entry(header::HOST).or_insert(HeaderValue::from_static("a.example.com"));
    let exchange = Exchange::alone(method, &uri, headers).ok()?;
    (exchange.target.path() != "*").then_some(exchange)
}
