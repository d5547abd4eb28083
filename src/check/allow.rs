//! `# rp: allow W0007 why`: a warning that is known and wanted, over the statement that it is of.

use std::collections::{HashMap, HashSet};

use super::near;
use crate::diagnostic::{Code, FileId, Mistake, Severity, Span};
use crate::syntax::tree::{Block, Comment, Node};

/// The warnings that a configuration allows itself.
#[derive(Debug, Default)]
pub struct Allowances {
    all: Vec<Allowance>,
    /// Where each code is allowed: without overlaps, in order.
    places: HashMap<(FileId, Code), Vec<Span>>,
    /// What was kept back.
    kept: HashMap<(FileId, Code), Vec<Span>>,
}

#[derive(Debug)]
struct Allowance {
    /// The code, in its comment.
    at: Span,
    code: Code,
    /// The statement.
    over: Span,
}

impl Allowances {
    /// Those of a tree, with what can't be read of them.
    #[must_use]
    pub fn of(tree: &Block) -> (Self, Vec<Mistake>) {
        let mut reader = Reader { allowances: Self::default(), mistakes: Vec::new(), known: HashSet::new() };
        reader.block(tree);
        let Reader { mut allowances, mistakes, .. } = reader;
        allowances.join();
        (allowances, mistakes)
    }

    /// Takes the findings that are allowed out of these.
    pub fn keep_back(&mut self, findings: &mut Vec<Mistake>) {
        if self.all.is_empty() {
            return;
        }
        findings.retain(|finding| {
            let key = (finding.at.file, finding.code);
            let allowed = finding.severity() == Severity::Warning
                && self.places.get(&key).is_some_and(|places| holds(places, finding.at));
            if allowed {
                self.kept.entry(key).or_default().push(finding.at);
            }
            !allowed
        });
    }

    /// The allowances that kept nothing back, once everything that can be found was.
    #[must_use]
    pub fn unused(&mut self) -> Vec<Mistake> {
        self.kept.values_mut().for_each(|places| places.sort_unstable());
        let is_used = |allowance: &&Allowance| {
            let kept = self.kept.get(&(allowance.over.file, allowance.code));
            kept.is_some_and(|kept| {
                let first = kept.partition_point(|at| at.start < allowance.over.start);
                kept.get(first).is_some_and(|at| at.end <= allowance.over.end)
            })
        };
        let unused = |allowance: &Allowance| {
            Mistake::new(Code::W0041, allowance.at, format!("nothing here is a {}", allowance.code))
                .help("remove it: should it come back, it is worth a look")
        };
        self.all.iter().filter(|allowance| !is_used(allowance)).map(unused).collect()
    }

    /// Statements stand in each other or beside each other.
    fn join(&mut self) {
        for allowance in &self.all {
            self.places.entry((allowance.over.file, allowance.code)).or_default().push(allowance.over);
        }
        for places in self.places.values_mut() {
            places.sort_unstable_by_key(|place| (place.start, u32::MAX - place.end));
            let mut end = 0;
            places.retain(|place| {
                let is_new = place.end > end;
                end = end.max(place.end);
                is_new
            });
        }
    }
}

fn holds(places: &[Span], at: Span) -> bool {
    let next = places.partition_point(|place| place.start <= at.start);
    next.checked_sub(1).is_some_and(|before| at.end <= places[before].end)
}

struct Reader {
    allowances: Allowances,
    mistakes: Vec<Mistake>,
    /// Comments that were read: a file may be imported many times.
    known: HashSet<Span>,
}

impl Reader {
    fn block(&mut self, block: &Block) {
        for node in &block.nodes {
            node.comments.iter().chain(&node.trailing).for_each(|comment| self.comment(comment, node));
            if let Some(block) = &node.block {
                self.block(block);
            }
        }
    }

    fn comment(&mut self, comment: &Comment, node: &Node) {
        let Some(order) = comment.text.trim_start_matches('#').trim_start().strip_prefix("rp:") else { return };
        if !self.known.insert(comment.span) {
            return;
        }
        let mut words = order.split_whitespace();
        match words.next() {
            Some("allow") => {}
            other => {
                let text = format!("`rp: {}` is nothing that can be asked of rp", other.unwrap_or_default());
                self.wrong(comment, other.unwrap_or("rp:"), text);
                return;
            }
        }
        let mut codes = 0;
        let mut reason = false;
        for word in words {
            let named = word.trim_end_matches(',');
            if reason || !looks_like_code(named) {
                reason = true;
                continue;
            }
            codes += 1;
            self.code(comment, named, node);
        }
        if codes == 0 {
            self.wrong(comment, "allow", "`rp: allow` does not say which warning".to_owned());
        } else if !reason {
            self.wrong(comment, "allow", "`rp: allow` does not say why".to_owned());
        }
    }

    fn code(&mut self, comment: &Comment, word: &str, node: &Node) {
        let known = Code::ALL.iter().copied().find(|code| code.as_str() == word);
        match known {
            Some(code) if code.severity() == Severity::Warning => {
                let at = within(comment, word);
                self.allowances.all.push(Allowance { at, code, over: node.span });
            }
            Some(_) => self.wrong(comment, word, format!("{word} is an error, and errors are not allowed")),
            None => {
                let warnings = Code::ALL.iter().filter(|code| code.severity() == Severity::Warning);
                let near = near::nearest(word, warnings.map(|code| code.as_str()));
                let near = near.map_or(String::new(), |near| format!("; is it {near}?"));
                self.wrong(comment, word, format!("there is no warning {word}{near}"));
            }
        }
    }

    fn wrong(&mut self, comment: &Comment, word: &str, text: String) {
        let help = "write: # rp: allow W0005 and the reason";
        self.mistakes.push(Mistake::new(Code::W0040, within(comment, word), text).help(help));
    }
}

fn looks_like_code(word: &str) -> bool {
    let mut bytes = word.bytes();
    matches!(bytes.next(), Some(b'E' | b'W')) && word.len() == 5 && bytes.all(|byte| byte.is_ascii_digit())
}

/// The place of a word in a comment.
fn within(comment: &Comment, word: &str) -> Span {
    let before = comment.text.find(word).unwrap_or(0);
    let start = comment.span.start as usize + before;
    Span::new(comment.span.file, start, start + word.len())
}
