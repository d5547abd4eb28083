//! `use NAME VALUE …`: a snippet's statements, in place.

use super::snippet::named;
use super::{Expansion, NODE, Values};
use crate::check::{Reported, arguments, known, near};
use crate::diagnostic::{Code, Mistake, Span};
use crate::syntax::DEEPEST;
use crate::syntax::tree::{Node, Word};

impl Expansion<'_> {
    /// `use NAME value name=value`: the snippet's statements, in place. What is wrong has been reported, or will be.
    pub(super) fn inline(&mut self, node: &Node, values: Option<&Values>, into: &mut Vec<Node>) -> Result<(), ()> {
        let Some(name) = node.words.get(1) else {
            let mistake = Mistake::new(Code::E0022, node.span, "`use` wants the name of a snippet");
            self.cx.report(mistake.help("write: use NAME VALUE …"));
            return Err(());
        };
        let name = self.word(name, values);
        let text = self.cx.plain(&name).map_err(drop)?.to_owned();
        let Some(snippet) = self.snippets.get_mut(&text) else {
            self.unknown_snippet(&text, name.span);
            return Err(());
        };
        snippet.used = true;
        let (at, body) = (snippet.at, snippet.body.clone());
        arguments::no_block(node, self.cx).map_err(drop)?;
        self.enter(&text, at, name.span).map_err(drop)?;
        let words: Vec<Word> = node.words[2..].iter().map(|word| self.word(word, values)).collect();
        let given = self.bind(&text, &words, node.span).map_err(drop)?;
        self.open.push(text);
        let expanded = self.spend(NODE, node.span).map(|()| self.nodes(body.iter(), Some(&given)));
        self.open.pop();
        // Of snippets inside of snippets, the innermost is where a statement comes from.
        into.extend(expanded?.into_iter().map(|node| Node { used_at: node.used_at.or(Some(name.span)), ..node }));
        if self.full { Err(()) } else { Ok(()) }
    }

    /// Snippets may use each other, but neither themselves nor without end.
    fn enter(&mut self, name: &str, defined: Span, at: Span) -> Result<(), Reported> {
        if self.open.iter().any(|open| open == name) {
            let chain = self.open.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" → ");
            return Err(self.cx.report(
                Mistake::new(Code::E0034, at, format!("snippet `{name}` uses itself: {chain} → `{name}`"))
                    .other(defined, "defined here")
                    .help("take one of these `use` out"),
            ));
        }
        if self.open.len() >= DEEPEST {
            return Err(self.cx.report(
                Mistake::new(Code::E0008, at, format!("snippets use each other deeper than {DEEPEST}"))
                    .help("put the statements of some of them where they are used"),
            ));
        }
        Ok(())
    }

    fn unknown_snippet(&mut self, name: &str, at: Span) {
        // A mistake in what may be its definition has been reported.
        if self.nameless || self.broken.contains(name) {
            return;
        }
        let mistake = Mistake::new(Code::E0015, at, format!("there is no snippet `{name}`"));
        let may = self.cx.may_suggest(self.snippets.len());
        let names = self.snippets.keys().map(String::as_str);
        let near = if may { near::nearest(name, names).map(str::to_owned) } else { None };
        let mistake = match near {
            Some(near) => {
                // That it is unused would be the same mistake, told a second time.
                self.snippets.entry(near.clone()).and_modify(|snippet| snippet.used = true);
                mistake.meant(name, &near).help(format!("write: use {near}"))
            }
            None if self.snippets.is_empty() || !may => {
                mistake.help(format!("define it at the top level: snippet {name} {{ … }}"))
            }
            None => {
                let mut names: Vec<&str> = self.snippets.keys().map(String::as_str).collect();
                names.sort_unstable();
                mistake.help(known("snippet", names))
            }
        };
        self.cx.report(mistake);
    }

    fn bind(&mut self, snippet: &str, words: &[Word], at: Span) -> Result<Values, Reported> {
        let parameters = &self.snippets[snippet].parameters;
        let mut values = Values::new();
        let mut positions = parameters.iter();
        for word in words {
            let given = named(word).filter(|(name, _)| parameters.iter().any(|p| p.name == *name));
            let (name, parts) = match given {
                Some((name, parts)) => (name, parts),
                None => match positions.find(|p| !values.contains_key(&p.name)) {
                    Some(parameter) => (parameter.name.clone(), word.parts.clone()),
                    None => {
                        let (sentence, help) = if parameters.is_empty() {
                            ("no", format!("write: use {snippet}"))
                        } else {
                            ("no more", known("parameter", parameters.iter().map(|p| p.name.as_str())))
                        };
                        return Err(self.cx.report(
                            Mistake::new(
                                Code::E0023,
                                word.span,
                                format!("snippet `{snippet}` takes {sentence} arguments"),
                            )
                            .other(self.snippets[snippet].at, "defined here")
                            .help(help),
                        ));
                    }
                },
            };
            if values.insert(name.clone(), parts).is_some() {
                return Err(self.cx.report(
                    Mistake::new(Code::E0024, word.span, format!("`{name}` is given twice")).help("remove one of them"),
                ));
            }
        }
        for parameter in parameters {
            if values.contains_key(&parameter.name) {
                continue;
            }
            let Some(default) = &parameter.default else {
                let name = &parameter.name;
                let mistake = Mistake::new(Code::E0022, at, format!("snippet `{snippet}` wants a value for `{name}`"));
                return Err(self.cx.report(
                    mistake
                        .other(self.snippets[snippet].at, "defined here")
                        .help(format!("write: use {snippet} {name}=VALUE")),
                ));
            };
            values.insert(parameter.name.clone(), default.clone());
        }
        Ok(values)
    }

    pub(super) fn report_unused(&mut self) {
        if self.cx.lost {
            return;
        }
        let mut unused: Vec<_> =
            self.snippets.iter().filter(|(_, s)| !s.used).map(|(name, s)| (s.at, name.clone())).collect();
        unused.sort();
        for (at, name) in unused {
            self.cx.report(
                Mistake::new(Code::W0006, at, format!("nothing uses snippet `{name}`"))
                    .help(format!("write `use {name}` where its statements belong, or remove it")),
            );
        }
    }
}
