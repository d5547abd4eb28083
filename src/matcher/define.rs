//! Matchers by name: each is known before anything uses it, and checked where it stands.

use std::collections::HashMap;

use super::loops;
use super::parse::check;
use crate::check::{Check, Reported, habit};
use crate::diagnostic::{Code, Mistake};
use crate::syntax::tree::Node;

/// All `@name EXPR` of a block: first every name is known, then each is checked where it stands, used or not.
pub fn define_all(nodes: &[Node], cx: &mut Check) {
    let named = || nodes.iter().filter(|node| node.name().starts_with('@'));
    let mut defined: Vec<&Node> = named().filter(|node| cx.define_matcher(node).is_ok()).collect();
    mark_rings(&defined, cx);
    // Those that refer to themselves first: what stands on them is silent about it.
    defined.sort_by_key(|node| cx.find_matcher(node.name(), cx.scopes()).is_none_or(|own| own.ring.is_none()));
    for node in defined {
        // What is wrong was reported; who uses it learns no more of it.
        let _ = no_block(node, cx).and_then(|()| check(node, &node.words[1..], cx).map(drop));
    }
}

/// A matcher's questions stand on its line, joined by what each means for the others.
fn no_block(node: &Node, cx: &mut Check) -> Result<(), Reported> {
    let Some(block) = node.block.as_ref().filter(|_| node.words.len() == 1) else {
        return crate::check::no_block(node, cx);
    };
    let asked: Vec<String> =
        block.nodes.iter().map(|inner| habit::statement(inner.name(), &inner.words[1..], inner)).collect();
    let mut help = format!("write: {} {}", node.name(), asked.join(" and "));
    if asked.is_empty() || help.len() > 120 {
        help = format!("write: {} path /path/* and method GET", node.name());
    }
    let text = format!("the questions of `{}` stand on its line, not in a block", node.name());
    // Whoever uses it learns no more of it.
    cx.use_matcher(node.name(), cx.scopes());
    Err(cx.report(Mistake::new(Code::E0026, block.span, text).help(help)))
}

/// Finds the matchers of a block that refer to themselves, directly or by way of others of the block: those of blocks
/// around it know nothing of them.
fn mark_rings(defined: &[&Node], cx: &mut Check) {
    let index: HashMap<&str, usize> = defined.iter().enumerate().map(|(at, node)| (node.name(), at)).collect();
    let edges: Vec<Vec<usize>> = defined
        .iter()
        .map(|node| node.words[1..].iter().filter_map(|word| index.get(word.plain()?).copied()).collect())
        .collect();
    for (node, ring) in defined.iter().zip(loops::rings(&edges)) {
        if let Some(ring) = ring {
            cx.mark_ring(node.name(), ring);
        }
    }
}
