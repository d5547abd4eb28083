//! What was formatted is formatted, and means what it meant: the same words, the same comments, the same nesting.

use proxyfile::syntax::format::format;
use proxyfile::syntax::parse;
use proxyfile::syntax::tree::{Block, Comment, Part};

pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(once) = format(text) else { return };
    let twice = format(&once).expect("what was formatted parses");
    assert_eq!(once, twice, "formatting twice changes nothing");
    assert_eq!(meaning(text), meaning(&once));
}

fn meaning(text: &str) -> Vec<String> {
    let (tree, mistakes) = parse(0, text);
    assert!(mistakes.is_empty());
    let mut out = Vec::new();
    fold(&tree, &mut out);
    out
}

fn fold(block: &Block, out: &mut Vec<String>) {
    let comment = |comment: &Comment| comment.text.clone();
    out.extend(block.opening.iter().map(comment));
    for node in &block.nodes {
        out.extend(node.comments.iter().map(comment));
        for word in &node.words {
            out.push(word.parts.iter().map(part).collect::<String>());
        }
        if let Some(inner) = &node.block {
            out.push("{".to_owned());
            fold(inner, out);
            out.push("}".to_owned());
        }
        out.extend(node.trailing.iter().map(comment));
        out.push(";".to_owned());
    }
    out.extend(block.tail.iter().map(comment));
}

fn part(part: &Part) -> String {
    match part {
        Part::Text(text) => format!("text({text})"),
        Part::Placeholder { name, .. } => format!("placeholder({name})"),
        Part::Environment { name, default, .. } => format!("environment({name},{default:?})"),
        Part::File { path, .. } => format!("file({path})"),
        Part::Lines { path, .. } => format!("lines({path})"),
    }
}
