//! Colours by meaning: what a word is, which no pattern can tell.

use lsp_types::{SemanticToken, SemanticTokenType, SemanticTokens, SemanticTokensLegend};

use super::configuration::Configuration;
use super::place::Place;
use crate::diagnostic::{FileId, Span};
use crate::directive;
use crate::matcher;
use crate::model::top;
use crate::syntax::tree::{Block, Comment, Node, Part, Style, Word};

/// In the order of the legend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colour {
    Comment,
    Keyword,
    Property,
    String,
    Number,
    Variable,
    Function,
    Type,
}

pub(super) fn legend() -> SemanticTokensLegend {
    let token_types = vec![
        SemanticTokenType::COMMENT,
        SemanticTokenType::KEYWORD,
        SemanticTokenType::PROPERTY,
        SemanticTokenType::STRING,
        SemanticTokenType::NUMBER,
        SemanticTokenType::VARIABLE,
        SemanticTokenType::FUNCTION,
        SemanticTokenType::TYPE,
    ];
    SemanticTokensLegend { token_types, token_modifiers: Vec::new() }
}

pub(super) fn tokens(configuration: &Configuration, file: FileId) -> SemanticTokens {
    let mut data = Vec::new();
    let (mut line, mut character) = (0, 0);
    for (at, colour) in painted(configuration, file) {
        for at in lines(configuration, at) {
            let range = configuration.range(at);
            let delta_line = range.start.line - line;
            let delta_start = if delta_line == 0 { range.start.character - character } else { range.start.character };
            (line, character) = (range.start.line, range.start.character);
            let length = range.end.character - range.start.character;
            data.push(SemanticToken {
                delta_line,
                delta_start,
                length,
                token_type: colour as u32,
                token_modifiers_bitset: 0,
            });
        }
    }
    SemanticTokens { result_id: None, data }
}

/// A token does not go over the end of its line.
fn lines(configuration: &Configuration, at: Span) -> Vec<Span> {
    let mut start = at.start as usize;
    let mut spans = Vec::new();
    for line in configuration.text(at).split_inclusive('\n') {
        let length = line.trim_end_matches(['\n', '\r']).len();
        if length > 0 {
            spans.push(Span::new(at.file, start, start + length));
        }
        start += line.len();
    }
    spans
}

/// In the order of the text, none over another.
fn painted(configuration: &Configuration, file: FileId) -> Vec<(Span, Colour)> {
    let mut painter = Painter { configuration, painted: Vec::new() };
    painter.block(configuration.tree(file), configuration.names().place(file));
    let mut painted = painter.painted;
    painted.sort_by_key(|(at, _)| *at);
    let mut end = 0;
    painted.retain(|(at, _)| {
        let apart = at.start >= end && at.end > at.start;
        end = if apart { at.end } else { end };
        apart
    });
    painted
}

struct Painter<'c> {
    configuration: &'c Configuration,
    painted: Vec<(Span, Colour)>,
}

impl Painter<'_> {
    fn block(&mut self, block: &Block, place: Place) {
        self.comments(block.opening.iter().chain(&block.tail));
        for node in &block.nodes {
            self.comments(node.comments.iter().chain(&node.trailing));
            self.words(node, place);
            if let Some(inner) = &node.block {
                let inside = if node.name() == "snippet" && matches!(place, Place::Top) {
                    self.configuration.names().snippet_place(inner.span)
                } else {
                    place.inside(node)
                };
                self.block(inner, inside);
            }
        }
    }

    fn comments<'t>(&mut self, comments: impl Iterator<Item = &'t Comment>) {
        self.painted.extend(comments.map(|comment| (comment.span, Colour::Comment)));
    }

    fn words(&mut self, node: &Node, place: Place) {
        let is_matcher = place.takes_matcher(node);
        for (index, word) in node.words.iter().enumerate() {
            let colour = match index {
                0 => first(node, place),
                // The addresses of a site go on.
                _ if first(node, place) == Some(Colour::Type) => Some(Colour::Type),
                1 if matches!(node.name(), "use" | "snippet") => Some(Colour::Function),
                1 if node.name() == "upstream" && matches!(place, Place::Top) => Some(Colour::Type),
                _ if is_matcher => in_matcher(word),
                _ => value(word),
            };
            self.word(word, colour);
        }
    }

    /// The word in its colour, and its placeholders in theirs.
    fn word(&mut self, word: &Word, colour: Option<Colour>) {
        let mut start = word.span.start;
        for part in &word.parts {
            if let Part::Placeholder { span, .. }
            | Part::Environment { span, .. }
            | Part::File { span, .. }
            | Part::Lines { span, .. } = part
            {
                let before = Span { start, end: span.start, ..word.span };
                self.painted.extend(colour.map(|colour| (before, colour)));
                self.painted.push((*span, Colour::Variable));
                start = span.end;
            }
        }
        let rest = Span { start, ..word.span };
        self.painted.extend(colour.filter(|_| word.style != Style::Punctuation).map(|colour| (rest, colour)));
    }
}

/// The word that names a statement.
fn first(node: &Node, place: Place) -> Option<Colour> {
    let name = node.name();
    if name.starts_with('@') {
        return Some(Colour::Function);
    }
    let anywhere = top::find(name).is_some_and(top::Room::stands_anywhere);
    match place {
        Place::Top if top::find(name).is_some() => Some(Colour::Keyword),
        Place::Top => node.block.as_ref().map(|_| Colour::Type),
        Place::Body if anywhere || directive::find(name).is_some() => Some(Colour::Keyword),
        Place::Options(..) if anywhere => Some(Colour::Keyword),
        Place::Options(..) => place.option(name).map(|_| Colour::Property),
        Place::Body => None,
    }
}

fn in_matcher(word: &Word) -> Option<Colour> {
    match word.plain()? {
        "and" | "or" | "not" => Some(Colour::Keyword),
        name if name.starts_with('@') => Some(Colour::Function),
        name if matcher::ROOMS.iter().any(|room| room.name == name) => Some(Colour::Property),
        _ => value(word),
    }
}

/// `30s`, `10MiB`, `100/m`, `5%`, `5xx`, `8080` are numbers; what stands in quotes is text.
fn value(word: &Word) -> Option<Colour> {
    match word.style {
        Style::Quoted | Style::Raw | Style::Heredoc => Some(Colour::String),
        Style::Punctuation => None,
        Style::Bare => {
            let text = word.plain()?;
            let number = text.starts_with(|sign: char| sign.is_ascii_digit())
                && text.bytes().all(|sign| sign.is_ascii_alphanumeric() || b"%/".contains(&sign));
            number.then_some(Colour::Number)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lsp::testing::at_cursor;

    fn check(text: &str, expected: &str) {
        let scene = at_cursor(text);
        let show = |(at, colour): (Span, Colour)| format!("{colour:?} {}", scene.configuration.text(at));
        let said: Vec<String> = painted(&scene.configuration, scene.file).into_iter().map(show).collect();
        assert_eq!(said.join("; "), expected, "{text}");
    }

    #[test]
    fn words_have_the_colour_of_their_meaning() {
        check(
            "# one\nupstream api { server a:1 weight 3 } # two\n",
            "Comment # one; Keyword upstream; Type api; Property server; Number 3; Comment # two",
        );
        check(
            "a.com, b.com {\n    route not @x and path /y { respond 404 \"a {host} b\" }\n    # end\n}\n@x host c\n",
            "Type a.com; Type b.com; Keyword route; Keyword not; Function @x; Keyword and; Property path; \
             Keyword respond; Number 404; String \"a ; Variable {host}; String  b\"; Comment # end; \
             Function @x; Property host",
        );
        check(
            "snippet s(a) { respond {arg.a} }\na.com { use s 1 }\n",
            "Keyword snippet; Function s; Keyword respond; Variable {arg.a}; Type a.com; Keyword use; Function s; Number 1",
        );
        check("a.com { mistake x }\n", "Type a.com");
    }

    #[test]
    fn tokens_stay_on_their_line() {
        let scene = at_cursor(":80 {\n  respond <<END\n    ä {host}\n    x\n  END\n}\n");
        let data = tokens(&scene.configuration, scene.file).data;
        let said: Vec<_> =
            data.iter().map(|one| (one.delta_line, one.delta_start, one.length, one.token_type)).collect();
        assert_eq!(
            said,
            [(0, 0, 3, 7), (1, 2, 7, 1), (0, 8, 5, 3), (1, 0, 6, 3), (0, 6, 6, 5), (1, 0, 5, 3), (1, 0, 5, 3)]
        );
    }
}
