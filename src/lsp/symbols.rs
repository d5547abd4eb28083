//! The outline of a file: sites, upstreams, snippets, matchers and routes.

use lsp_types::{DocumentSymbol, SymbolKind};

use super::configuration::Configuration;
use super::place::Place;
use crate::diagnostic::{FileId, Span};
use crate::syntax::tree::{Block, Node};

/// Signs of a statement that are shown.
const LONGEST: usize = 80;

pub(super) fn symbols(configuration: &Configuration, file: FileId) -> Vec<DocumentSymbol> {
    let place = configuration.names().place(file);
    of_block(configuration, configuration.tree(file), place)
}

fn of_block(configuration: &Configuration, block: &Block, place: Place) -> Vec<DocumentSymbol> {
    block.nodes.iter().filter_map(|node| symbol(configuration, node, place)).collect()
}

fn symbol(configuration: &Configuration, node: &Node, place: Place) -> Option<DocumentSymbol> {
    let (kind, shown) = kind(node, place)?;
    let words = &node.words[shown.min(node.words.len() - 1)..];
    let name = words.iter().fold(words[0].span, |span, word| span.to(word.span));
    let inside = place.inside(node);
    let children = node.block.as_ref().map(|block| of_block(configuration, block, inside));
    // That the field is old does not let it be left out.
    #[allow(deprecated)]
    Some(DocumentSymbol {
        name: shortened(configuration.text(name)),
        detail: None,
        kind,
        tags: None,
        deprecated: None,
        range: configuration.range(node.span),
        selection_range: configuration.range(first_line(configuration, name)),
        children: children.filter(|children| !children.is_empty()),
    })
}

/// What a statement is in an outline, and its first word that is shown there.
fn kind(node: &Node, place: Place) -> Option<(SymbolKind, usize)> {
    let name = node.name();
    match (place, name) {
        (Place::Top, "global") => Some((SymbolKind::OBJECT, 0)),
        (Place::Top, "upstream") => Some((SymbolKind::STRUCT, 1)),
        (Place::Top, "snippet") => Some((SymbolKind::FUNCTION, 1)),
        (Place::Options(..), _) | (_, "import" | "use") => None,
        (Place::Top | Place::Body, _) if name.starts_with('@') => Some((SymbolKind::CONSTANT, 0)),
        (Place::Top, _) => node.block.as_ref().map(|_| (SymbolKind::MODULE, 0)),
        // What holds other statements.
        (Place::Body, _) => {
            let holds = node.block.is_some() && matches!(place.inside(node), Place::Body);
            holds.then_some((SymbolKind::METHOD, 0))
        }
    }
}

fn first_line(configuration: &Configuration, at: Span) -> Span {
    let length = configuration.text(at).lines().next().unwrap_or_default().len();
    Span::new(at.file, at.start as usize, at.start as usize + length)
}

fn shortened(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().filter(|word| *word != "\\").collect();
    let text = words.join(" ");
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lsp::testing::at_cursor;

    fn check(text: &str, expected: &str) {
        let scene = at_cursor(text);
        let show = |symbols: &[DocumentSymbol]| show(symbols);
        assert_eq!(show(&symbols(&scene.configuration, scene.file)), expected, "{text}");
    }

    fn show(symbols: &[DocumentSymbol]) -> String {
        let one = |symbol: &DocumentSymbol| {
            let children = symbol.children.as_deref().map(|inner| format!(" [{}]", show(inner))).unwrap_or_default();
            format!("{:?} {}{children}", symbol.kind, symbol.name)
        };
        symbols.iter().map(one).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn the_outline_holds_what_has_a_name() {
        check(
            "global { workers 1 }\nupstream api { server a:1 }\nsnippet s(x) { respond }\nimport none\n@m path /x\n",
            "Object global; Struct api; Function s(x); Constant @m path /x",
        );
        check(
            "a.com,\n    b.com {\n    @m path /x\n    use s\n    route @m \\\n    and host x { when /y { respond } else { respond } }\n    file_server /x { browse on }\n}\n",
            "Module a.com, b.com [Constant @m path /x; Method route @m and host x [Method when /y; Method else]]",
        );
    }
}
