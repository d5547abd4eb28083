//! `rp adapt`: what a configuration says, as JSON: snippets and imports in their places, every value with the place that it
//! was written at, and the defaults of what was left out.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use super::{Format, Outcome, default_file, findings};
use crate::check::expand::{Process, expand};
use crate::check::{Check, Opt};
use crate::diagnostic::lines::Indexes;
use crate::diagnostic::{Sources, Span};
use crate::directive::{self, upstream};
use crate::model::global;
use crate::server::Source;
use crate::syntax::include::{self, Disk};
use crate::syntax::tree::{Node, Word, without_password};

#[derive(Debug, Args)]
pub struct Adapt {
    /// The configuration [default: Proxyfile]
    file: Option<PathBuf>,
}

impl Adapt {
    /// 0: adapted. 1: the configuration has mistakes.
    pub fn execute(self) -> Outcome {
        let path = self.file.unwrap_or_else(default_file);
        let checked = Source::File(path.clone()).load();
        if checked.model.is_none() {
            findings::print(&checked.findings, &checked.sources, Format::Text);
            return Outcome::Mistakes;
        }
        let loaded = include::load(&path, &Disk);
        // What there is to say of it has been found above.
        let nodes = expand(&loaded.tree, &Process, &mut Check::default());
        let named = checked.model.iter().flat_map(|model| &model.upstreams).map(|pool| pool.name.clone()).collect();
        let mut pen = Pen { sources: &loaded.sources, indexes: Indexes::default(), named };
        println!("{:#}", pen.configuration(&nodes));
        Outcome::Clean
    }
}

struct Pen<'s> {
    sources: &'s Sources,
    indexes: Indexes,
    /// The upstreams that have a name: who names one has none of its options.
    named: Vec<String>,
}

impl Pen<'_> {
    fn configuration(&mut self, nodes: &[Node]) -> Value {
        let global = nodes.iter().find(|node| node.name() == "global");
        let mut whole = json!({
            "global": { "at": global.map(|node| self.at(node.words[0].span)) },
            "matchers": self.matchers(nodes),
            "upstreams": [],
            "sites": [],
        });
        whole["global"]["options"] = self.options(global, global::OPTIONS);
        for node in nodes.iter().filter(|node| node.block.is_some()) {
            match node.name() {
                "global" => {}
                "upstream" => {
                    let mut pool = self.words(&node.words[1..]);
                    let name = pool.get_mut(0).map(Value::take).unwrap_or_default();
                    let pool = json!({
                        "name": name["value"],
                        "at": name["at"],
                        "options": self.options(Some(node), upstream::OPTIONS),
                    });
                    push(&mut whole["upstreams"], pool);
                }
                name if name.starts_with('@') => {}
                _ => {
                    let site = self.site(node);
                    push(&mut whole["sites"], site);
                }
            }
        }
        whole
    }

    fn site(&mut self, node: &Node) -> Value {
        let nodes = inner(node);
        json!({
            "addresses": self.words(&node.words),
            "at": self.at(node.words[0].span),
            "matchers": self.matchers(nodes),
            "statements": self.statements(nodes),
        })
    }

    fn statements(&mut self, nodes: &[Node]) -> Value {
        let statements = nodes.iter().filter(|node| !node.name().starts_with('@'));
        statements.map(|node| self.statement(node)).collect()
    }

    fn statement(&mut self, node: &Node) -> Value {
        let mut statement = json!({
            "directive": node.name(),
            "at": self.at(node.words[0].span),
            "arguments": self.words(&node.words[1..]),
        });
        match directive::find(node.name()) {
            Some(room) if !room.options.is_empty() => {
                let mut options = self.options(Some(node), room.options);
                if let (true, Value::Object(options)) = (self.names_upstream(node), &mut options) {
                    options.retain(|name, _| !upstream::OPTIONS.iter().any(|option| option.name == name));
                }
                statement["options"] = options;
            }
            _ if node.block.is_some() => {
                let nodes = inner(node);
                statement["matchers"] = self.matchers(nodes);
                statement["statements"] = self.statements(nodes);
            }
            _ => {}
        }
        statement
    }

    fn names_upstream(&self, node: &Node) -> bool {
        let [_, name] = node.words.as_slice() else { return false };
        node.name() == "reverse_proxy" && name.plain().is_some_and(|name| self.named.iter().any(|known| known == name))
    }

    /// By name; each as often as it was given, or its defaults.
    fn options(&mut self, node: Option<&Node>, table: &[Opt]) -> Value {
        let given = node.map_or(&[][..], inner);
        let mut options = Map::new();
        for option in table {
            let of_name = given.iter().filter(|node| node.name() == option.name);
            let mut all: Vec<Value> = of_name.map(|node| self.option(node, option)).collect();
            all.extend(option.defaults.iter().filter(|default| is_open(default, option, given)).map(|default| {
                let words = default.split(' ').map(|word| json!({ "value": word, "at": null }));
                json!({ "arguments": words.collect::<Value>(), "at": null })
            }));
            if !all.is_empty() {
                options.insert(option.name.to_owned(), Value::Array(all));
            }
        }
        Value::Object(options)
    }

    fn option(&mut self, node: &Node, option: &Opt) -> Value {
        let mut value = json!({ "arguments": self.words(&node.words[1..]), "at": self.at(node.words[0].span) });
        if node.is_secret() {
            value["arguments"] = json!([{ "value": "…", "at": self.at(node.words[0].span) }]);
        }
        if !option.options.is_empty() {
            value["options"] = self.options(Some(node), option.options);
        }
        value
    }

    fn matchers(&mut self, nodes: &[Node]) -> Value {
        let named = nodes.iter().filter(|node| node.name().starts_with('@'));
        let mut matchers = Map::new();
        for node in named {
            let matcher = json!({ "at": self.at(node.words[0].span), "arguments": self.words(&node.words[1..]) });
            matchers.insert(node.name().to_owned(), matcher);
        }
        Value::Object(matchers)
    }

    fn words(&mut self, words: &[Word]) -> Value {
        let all = words.iter().filter(|word| !word.is_punctuation(","));
        all.map(|word| json!({ "value": without_password(word.written()), "at": self.at(word.span) })).collect()
    }

    fn at(&mut self, at: Span) -> Value {
        json!(self.indexes.place(at, self.sources))
    }
}

/// Whether nothing that was given stands in the place of a default. Of options of several kinds (`timeout read 60s`),
/// each kind has its own.
fn is_open(default: &str, option: &Opt, given: &[Node]) -> bool {
    let kind = default.split_once(' ').map(|(kind, _)| kind).filter(|_| option.repeats);
    !given.iter().any(|node| {
        let first = || node.words.get(1).and_then(Word::plain);
        node.name() == option.name && (kind.is_none() || first() == kind)
    })
}

fn inner(node: &Node) -> &[Node] {
    node.block.as_ref().map_or(&[], |block| &block.nodes)
}

fn push(list: &mut Value, value: Value) {
    if let Value::Array(list) = list {
        list.push(value);
    }
}
