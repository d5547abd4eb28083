//! Any text has a tree, and every place in it is a place of the text.

use std::path::Path;

use proxyfile::diagnostic::terminal::{self, Style};
use proxyfile::diagnostic::{Sources, json};
use proxyfile::syntax;
use proxyfile::syntax::tree::Block;

pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let mut sources = Sources::default();
    let file = sources.add(Path::new("Proxyfile"), text);
    let (tree, mistakes) = syntax::parse(file, text);
    places(&tree, text);
    // Drawing them looks every place up.
    let _ = terminal::render(&mistakes, &sources, Style { color: false, width: 100 });
    let _ = json::render(&mistakes, &sources);
}

fn places(block: &Block, text: &str) {
    for node in &block.nodes {
        assert!(!node.words.is_empty(), "a statement has a word");
        for word in &node.words {
            let (start, end) = (word.span.start as usize, word.span.end as usize);
            assert!(text.get(start..end).is_some(), "{start}..{end} is no place of the text");
        }
        if let Some(inner) = &node.block {
            places(inner, text);
        }
    }
}
