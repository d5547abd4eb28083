//! What a Proxyfile means: names resolved, values typed, everything checked, nothing of the outside world touched.

mod acme;
mod address;
mod admin;
mod ceilings;
mod certificates;
mod chain;
mod challenges;
mod compile;
mod demand;
mod dns;
mod exposed;
mod foreign;
pub mod global;
mod handshakes;
mod hosts;
mod limits;
mod listen;
mod metrics;
pub mod outline;
mod passthrough;
mod storage;
mod strangers;
pub mod top;
pub mod user;

use std::collections::BTreeSet;
use std::path::Path;

pub use crate::site::Legacy;
pub use address::{SiteAddress, Transport};
pub use admin::Admin;
pub use compile::{Door, Inherited, Log, Purpose, Shown, Source, World, compile};
pub use global::Global;
pub use handshakes::{DoorQuic, DoorTls};
pub use limits::{Limits, Timeouts};

use crate::check::allow::Allowances;
use crate::check::expand::{Surroundings, expand, is_left_over};
use crate::check::{Check, Reported, habit, near};
use crate::diagnostic::{Code, FileId, Findings, Mistake, Sources, Span};
use crate::directive::passthrough::PassthroughModel;
use crate::directive::reverse_proxy::pool::PoolModel;
use crate::directive::{self, Body, Front, Line, check_nodes};
use crate::matcher;
use crate::syntax::include::{self, Files};
use crate::syntax::tree::{Block, Node};

/// One configuration.
#[derive(Debug, Default)]
pub struct Model {
    pub global: Global,
    /// The options of `global` as they were written.
    pub global_lines: Box<[Line]>,
    pub upstreams: Vec<PoolModel>,
    pub sites: Vec<SiteModel>,
}

/// One site.
#[derive(Debug)]
pub struct SiteModel {
    pub at: Span,
    pub addresses: Vec<SiteAddress>,
    pub body: Body,
}

impl SiteModel {
    /// Where its connections go as they come.
    #[must_use]
    pub fn passes_to(&self) -> Option<&PassthroughModel> {
        compile::front(self, |front| if let Front::Passthrough(model) = front { Some(model) } else { None })
    }
}

/// A file that was read and checked, with everything there is to say of it.
#[derive(Debug)]
pub struct Checked {
    /// `None` where there are errors.
    pub model: Option<Model>,
    pub sources: Sources,
    pub findings: Vec<Mistake>,
    /// What the file allows itself, and what was kept back for it.
    pub allowances: Allowances,
    /// Every file that was read and every folder that an import looked into.
    pub files: Vec<std::path::PathBuf>,
    /// Which files each import brought in, by the place of its path.
    pub imports: BTreeSet<(Span, FileId)>,
}

/// Reads a Proxyfile with its imports, and checks it.
pub fn load(path: &Path, files: &dyn Files, surroundings: &dyn Surroundings) -> Checked {
    judge(include::load(path, files), surroundings)
}

/// The same for text that is not on disk (yet).
pub fn load_text(path: &Path, text: String, files: &dyn Files, surroundings: &dyn Surroundings) -> Checked {
    judge(include::load_text(path, text, files), surroundings)
}

fn judge(loaded: include::Loaded, surroundings: &dyn Surroundings) -> Checked {
    let include::Loaded { sources, tree, findings, files, imports } = loaded;
    let foreign = foreign::format(&tree, sources.files().next().map_or("", |source| &source.text));
    if let Some(mistake) = foreign {
        let (findings, allowances) = (vec![mistake], Allowances::default());
        return Checked { model: None, sources, findings, allowances, files, imports };
    }
    let (model, more) = check(&tree, surroundings);
    let (mut allowances, unread) = Allowances::of(&tree);
    let mut all = Findings::default();
    all.extend(unread);
    let (findings, more) = (findings.sorted(), more.sorted());
    // Of a comma that nothing follows the parser has told, and what it told is enough.
    let told = |sign: &Mistake| sign.code == Code::E0018 && findings.iter().any(|known| known.at == sign.at);
    let more: Vec<Mistake> = more.into_iter().filter(|mistake| !told(mistake)).collect();
    all.extend(findings);
    all.extend(more);
    // An editor that writes in place leaves an empty file for a moment, and that must not close every port.
    if model.sites.is_empty() && !all.has_errors() {
        let text = "there is no site here, so nothing would be served";
        let help = "write one: example.com { reverse_proxy 127.0.0.1:3000 }";
        all.push(Mistake::new(Code::E0054, Span::default(), text).help(help));
    }
    let model = if all.has_errors() { None } else { Some(model) };
    let mut findings = all.sorted();
    allowances.keep_back(&mut findings);
    Checked { model, sources, findings, allowances, files, imports }
}

/// Tree → model: a value *and* every mistake.
pub fn check(tree: &Block, surroundings: &dyn Surroundings) -> (Model, Findings) {
    let mut cx = Check::default();
    directive::secrets(tree, &mut cx);
    let nodes = expand(tree, surroundings, &mut cx);
    cx.open_scope();
    let mut model = Model::default();
    define(&nodes, &mut cx);
    let without_braces = foreign::without_braces(&nodes, &mut cx);
    for node in habit::without_comments(&nodes, &mut cx).into_iter().filter(|_| !without_braces) {
        match node.name() {
            "global" => {
                global::check(node, &mut model.global, &mut cx);
                model.global_lines = Line::of(node);
            }
            "upstream" => {
                if let Ok(pool) = directive::upstream::check(node, &mut cx) {
                    model.upstreams.push(pool);
                }
            }
            name if name.starts_with('@') || is_left_over(node) => {}
            // The parser has told what it would be. What it holds is read, for it will be used.
            "(" => drop(node.block.as_ref().map(|block| check_nodes(&block.nodes, &mut cx))),
            _ => {
                if foreign::top(node, &mut cx).is_ok()
                    && let Ok(site) = site(node, &mut cx)
                {
                    model.sites.push(site);
                }
            }
        }
    }
    cx.close_scope();
    cx.report_unused_upstreams();
    exposed::exposed(&model, &mut cx);
    ceilings::idle(&model, &mut cx);
    address::conflicts(&model.sites, &model.global, &mut cx);
    strangers::stand_ins(&model.sites, &model.global, &mut cx);
    demand::idle(&model.sites, &mut cx);
    passthrough::servers(&model, &mut cx);
    (model, cx.finish())
}

/// Names are known before anything uses them, wherever they stand.
fn define(nodes: &[Node], cx: &mut Check) {
    for node in nodes {
        if node.name() == "upstream"
            && let Some(word) = node.words.get(1)
            && let Some(name) = word.plain()
        {
            let _ = cx.define_upstream(name, word.span);
        }
    }
    matcher::define_all(nodes, cx);
}

fn site(node: &Node, cx: &mut Check) -> Result<SiteModel, Reported> {
    let at = node.words[0].span;
    let Some(block) = &node.block else { return Err(no_site(node, cx)) };
    if directive::find(node.name()).is_some() {
        return Err(inside_a_site(node, cx));
    }
    if let Some(near) = meant(node) {
        return Err(cx.report(
            Mistake::new(
                Code::E0010,
                at,
                format!("`{}` is neither a statement of the top level nor a site", node.name()),
            )
            .meant(node.name(), near)
            .help(format!("write: {}", syntax(near))),
        ));
    }
    let addresses: Result<Vec<SiteAddress>, _> =
        node.words.iter().filter(|word| !word.is_punctuation(",")).map(|word| address::read(word, cx)).collect();
    if let Some([first, second]) =
        node.words.array_windows().find(|pair: &&[_; 2]| pair.iter().all(|word| !word.is_punctuation(",")))
    {
        let (between, end) = (Span { start: first.span.end, ..first.span }, second.span);
        let (first, second) = (first.plain().unwrap_or_default(), second.plain().unwrap_or_default());
        cx.report(
            Mistake::new(Code::E0018, between.to(end), "a site's addresses are separated by commas")
                .help(format!("write: {first}, {second} {{ … }}")),
        );
    }
    let body = check_nodes(&block.nodes, cx);
    directive::late(&body, cx);
    directive::vacant(&body, cx);
    if !body.may_answer() {
        cx.report(
            Mistake::new(Code::W0003, at, format!("nothing in `{}` answers, so every request gets 404", node.name()))
                .help("add what answers: reverse_proxy, file_server, respond or redirect"),
        );
    }
    let addresses = addresses?;
    passthrough::alone(&addresses, &body, cx);
    // A site of a snippet may be made for other hosts, too.
    if node.used_at.is_none() {
        hosts::foreign(&addresses, &body, cx);
    }
    Ok(SiteModel { at, addresses, body })
}

/// The statement of the top level whose name was probably meant. What has a dot, a colon or a slash is an address.
fn meant(node: &Node) -> Option<&'static str> {
    let name = node.name();
    near::nearest(name, top::ROOMS.iter().map(|room| room.name)).filter(|_| !name.contains(['.', ':', '/', '*']))
}

fn syntax(statement: &str) -> &'static str {
    top::ROOMS.iter().find(|room| room.name == statement).map_or("", |room| room.syntax)
}

fn inside_a_site(node: &Node, cx: &mut Check) -> Reported {
    let name = node.name();
    cx.report(
        Mistake::new(Code::E0027, node.words[0].span, format!("`{name}` belongs inside a site"))
            .help(format!("put it into one: example.com {{ {name} … }}")),
    )
}

fn no_site(node: &Node, cx: &mut Check) -> Reported {
    let name = node.name();
    if directive::find(name).is_some() {
        return inside_a_site(node, cx);
    }
    if let Some(reported) = foreign::no_site(node, cx) {
        return reported;
    }
    let sentence = if name.contains(['.', ':']) {
        format!("site `{name}` has no block")
    } else {
        format!("`{name}` is neither a statement of the top level nor a site with its block")
    };
    let mistake = Mistake::new(Code::E0025, node.span, sentence);
    cx.report(match meant(node) {
        Some(near) => mistake.meant(name, near).help(format!("write: {}", syntax(near))),
        None if node.words.len() > 1 => mistake.help("a site is an address and a block: example.com { … }"),
        None => mistake.help(format!("write: {name} {{ reverse_proxy 127.0.0.1:3000 }}")),
    })
}
