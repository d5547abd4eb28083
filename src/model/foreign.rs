//! Whole files in the format of another program, and statements of the top level that other servers have.

use crate::check::habit::{self, Place};
use crate::check::{Check, Reported};
use crate::diagnostic::{Code, Mistake, Span};
use crate::directive::{self, check_nodes};
use crate::syntax::tree::{Block, Node, Word};
use crate::upstream::Target;

/// Said alone where a file is not of our language at all: each of its lines would only be wrong once more.
pub(super) fn format(tree: &Block, text: &str) -> Option<Mistake> {
    let nodes = tree.nodes.as_slice();
    let first = nodes.first();
    let written = |name: &str| first.is_some_and(|node| node.name().starts_with(name));
    let open = text.trim_start();
    let quoted = open.strip_prefix(['{', '[']).is_some_and(|rest| rest.trim_start().starts_with('"'));
    if quoted {
        let start = text.len() - open.len();
        return Some(whole(Span::new(tree.span.file, start, start + 1), "JSON"));
    }
    let first = first?;
    let at = first.words[0].span;
    let flat = nodes.iter().all(|node| node.block.is_none());
    let header = first.name().starts_with('[') && first.name().ends_with(']') && !first.name().contains(':');
    let named = |node: &Node, names: &[&str]| names.contains(&node.name());
    if written("<") && first.name().len() > 1 {
        return Some(whole(at, "sections between `<` and `>`"));
    }
    if flat && header {
        return Some(whole(at, "TOML"));
    }
    if flat && nodes.len() > 1 && nodes.iter().all(|node| node.name().ends_with(':') || node.name() == "-") {
        return Some(whole(at, "YAML"));
    }
    let sections = nodes.iter().find(|node| named(node, &["frontend", "backend", "listen", "defaults"]));
    sections.filter(|_| flat && nodes.len() > 1).map(|node| sections_of(node, nodes))
}

fn whole(at: Span, format: &str) -> Mistake {
    Mistake::new(
        Code::E0010,
        at,
        format!("this file is written in {format}, and a Proxyfile has a language of its own"),
    )
    .label("nothing of it has been read")
    .help("a whole one is: example.com { reverse_proxy 127.0.0.1:3000 }")
}

/// Sections that begin with a name and end with the next: their servers are put in where there are any.
fn sections_of(node: &Node, nodes: &[Node]) -> Mistake {
    let backend = nodes.iter().find(|node| node.name() == "backend").and_then(|node| node.words.get(1));
    let name = backend.map_or("web".to_owned(), Word::written);
    let servers = nodes.iter().filter(|node| node.name() == "server").filter_map(|node| node.words.get(2));
    let servers: Vec<String> = servers.take(3).map(|word| format!("server {}", word.written())).collect();
    let servers = if servers.is_empty() { "server 10.0.0.1:80".to_owned() } else { servers.join("; ") };
    let text = "this file is written in sections, and a Proxyfile has blocks in braces";
    let help = format!("write: upstream {name} {{ {servers} }}, and below it: example.com {{ reverse_proxy {name} }}");
    Mistake::new(Code::E0010, node.words[0].span, text).label("nothing of it has been read").help(help)
}

/// A site whose braces were left out, which other servers allow where it is the only one.
pub(super) fn without_braces(nodes: &[Node], cx: &mut Check) -> bool {
    let [site, rest @ ..] = nodes else { return false };
    let known = |node: &Node| directive::find(node.name()).is_some() || habit::find(Place::Site, node).is_some();
    let address = site.block.is_none()
        && site.words.len() == 1
        && (site.name().contains(['.', ':']) || site.name() == "localhost");
    if !address || rest.is_empty() || !rest.iter().all(known) {
        return false;
    }
    let name = site.name().trim_end_matches(':');
    let text = format!("site `{name}` has no block around its statements");
    let mistake = Mistake::new(Code::E0025, site.span, text);
    cx.report(mistake.help(format!("write: {name} {{, and a line with }} behind the last of them")));
    check_nodes(rest, cx);
    true
}

/// A statement that other servers have at the top level. `Ok` where it is none.
pub(super) fn top(node: &Node, cx: &mut Check) -> Result<(), Reported> {
    let Some(habit) = habit::find(Place::Top, node).filter(|_| !may_be_site(node)) else { return Ok(()) };
    let text = format!("there is no `{}` at the top level", node.name());
    let mistake = habit.advise(Place::Top, node, Mistake::new(Code::E0010, node.words[0].span, text));
    let inside = node.block.as_ref().map_or(&[][..], |block| &block.nodes);
    // What stands in the block of another name is read where it would stand here.
    let reported = if node.name() == "server" {
        let (names, rest): (Vec<Node>, Vec<Node>) = inside.iter().cloned().partition(is_address);
        let reported = cx.report(match addresses(&names) {
            Some(addresses) => mistake.help(format!("write: {addresses} {{ … }}")),
            None => mistake,
        });
        check_nodes(&rest, cx);
        reported
    } else {
        let reported = cx.report(mistake);
        match node.name() {
            "http" => inside.iter().for_each(|inner| _ = top(inner, cx)),
            "frontend" | "vhost" | "site" => drop(check_nodes(inside, cx)),
            _ => {}
        }
        reported
    };
    cx.lose();
    Err(reported)
}

/// `http {` may be a site of this name, but not where something stands in it that no site has.
fn may_be_site(node: &Node) -> bool {
    let inside = node.block.as_ref().map_or(&[][..], |block| &block.nodes);
    let alone = node.words.len() == 1 || node.words[1].is_punctuation(",");
    alone
        && node.block.is_some()
        && inside.iter().all(|inner| directive::find(inner.name()).is_some() || inner.name().starts_with('@'))
}

/// What other servers have inside of a site to say which one it is.
fn is_address(node: &Node) -> bool {
    matches!(node.name(), "server_name" | "listen")
}

/// The site's addresses, where its names or else its port is known.
fn addresses(nodes: &[Node]) -> Option<String> {
    let values = |name| nodes.iter().filter(move |node| node.name() == name).flat_map(|node| &node.words[1..]);
    let listens: Vec<String> = values("listen").map(Word::written).collect();
    let port = listens.iter().find_map(|listen| listen.rsplit(':').next()?.parse::<u16>().ok());
    let tls = listens.is_empty() || listens.iter().any(|listen| listen == "ssl" || listen.ends_with("443"));
    let address = |name: String| match port {
        Some(80) if !tls => format!("http://{name}"),
        Some(port) if !tls => format!("http://{name}:{port}"),
        Some(port) if !matches!(port, 80 | 443) => format!("{name}:{port}"),
        _ => name,
    };
    let names: Vec<String> = values("server_name").map(Word::written).filter(|name| name != "_").collect();
    if names.is_empty() {
        return port.map(|port| format!(":{port}"));
    }
    Some(names.into_iter().map(address).collect::<Vec<_>>().join(", "))
}

/// What stands alone at the top level out of habit: `localhost:3000`, `80:3000`, `NAME=value`, a statement of a site.
pub(super) fn no_site(node: &Node, cx: &mut Check) -> Option<Reported> {
    let name = node.name();
    if let Some(habit) = habit::find(Place::Site, node) {
        let mistake = Mistake::new(Code::E0010, node.words[0].span, format!("there is no directive `{name}`"));
        return Some(cx.report(habit.advise(Place::Top, node, mistake)));
    }
    if let Some(help) = on_one_line(node) {
        let text = format!("site `{}` has no block", name.trim_end_matches(':'));
        return Some(cx.report(Mistake::new(Code::E0025, node.span, text).help(help)));
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (host, port) = name.rsplit_once(':').unwrap_or((name, ""));
    let (sentence, help) = if name.split_once('=').is_some_and(|(name, _)| !name.contains(['.', '/', ':'])) {
        let help = "variables come from the environment, and are written {$NAME}".to_owned();
        ("this sets no variable", help)
    } else if digits(host) && digits(port) {
        let help = format!("write: :{host} {{ reverse_proxy 127.0.0.1:{port} }}");
        ("two ports make no site", help)
    } else if matches!(host, "localhost" | "127.0.0.1") && digits(port) && node.words.len() == 1 {
        ("an address alone is no site", format!("write: example.com {{ reverse_proxy {name} }}"))
    } else {
        return None;
    };
    Some(cx.report(Mistake::new(Code::E0025, node.span, sentence).help(help)))
}

/// `example.com reverse_proxy app:3000`, `example.com -> app:3000`: with the braces that it lacks.
fn on_one_line(node: &Node) -> Option<String> {
    let [site, rest @ ..] = node.words.as_slice() else { return None };
    let site = site.written();
    let site = site.trim_end_matches(':');
    let first = rest.first()?.plain()?;
    if !site.contains('.') && site != "localhost" {
        return None;
    }
    if directive::find(first).is_some() {
        return Some(format!("write: {site} {{ {} }}", habit::statement(first, &rest[1..], node)));
    }
    let server = rest.last()?.plain().filter(|text| text.contains(':') && text.parse::<Target>().is_ok())?;
    (rest.len() <= 2).then(|| format!("write: {site} {{ reverse_proxy {server} }}"))
}
