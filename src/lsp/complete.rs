//! What can be written at the cursor.

mod files;
mod syntax;

use lsp_types::{
    CompletionItem, CompletionItemKind, CompletionTextEdit, Documentation, MarkupContent, MarkupKind, TextEdit,
};

use super::configuration::Configuration;
use super::cursor::Cursor;
use super::hover;
use super::names::{Kind, Occurrence};
use super::place::Place;
use crate::diagnostic::Span;
use crate::directive;
use crate::http::placeholder;
use crate::matcher;
use crate::model::top;
use crate::syntax::tree::{Node, Style};
use syntax::Wanted;

/// `sign` is what the editor asks because of; nothing where it was asked for help.
pub(super) fn complete(configuration: &Configuration, cursor: &Cursor<'_>, sign: Option<&str>) -> Vec<CompletionItem> {
    let completion = Completion { configuration, cursor, sign };
    if cursor.is_in_comment() {
        return Vec::new();
    }
    if let Some(items) = completion.placeholders() {
        return items;
    }
    match cursor.node {
        None if sign.is_none() => completion.statements(),
        Some(_) if cursor.index() == 0 && sign.is_none() => completion.statements(),
        Some(_) if cursor.index() > 0 => completion.arguments(),
        _ => Vec::new(),
    }
}

struct Completion<'a> {
    configuration: &'a Configuration,
    cursor: &'a Cursor<'a>,
    sign: Option<&'a str>,
}

/// What is offered, before it is told where it goes.
struct Offer {
    label: String,
    kind: CompletionItemKind,
    detail: Option<String>,
    doc: Option<String>,
    /// Where it is not the label that is written.
    text: Option<String>,
}

impl Offer {
    fn new(label: impl Into<String>, kind: CompletionItemKind) -> Self {
        Self { label: label.into(), kind, detail: None, doc: None, text: None }
    }

    fn told(mut self, detail: &str, doc: Option<String>) -> Self {
        self.detail = Some(detail.to_owned());
        self.doc = doc;
        self
    }
}

impl Completion<'_> {
    fn items(&self, offers: Vec<Offer>, at: Span) -> Vec<CompletionItem> {
        let range = self.configuration.range(at);
        let item = |offer: Offer| {
            let new_text = offer.text.unwrap_or_else(|| offer.label.clone());
            CompletionItem {
                filter_text: Some(offer.label.clone()),
                label: offer.label,
                kind: Some(offer.kind),
                detail: offer.detail,
                documentation: offer
                    .doc
                    .map(|value| Documentation::MarkupContent(MarkupContent { kind: MarkupKind::Markdown, value })),
                text_edit: Some(CompletionTextEdit::Edit(TextEdit { range, new_text })),
                ..CompletionItem::default()
            }
        };
        offers.into_iter().map(item).collect()
    }

    // ---- placeholders

    /// Behind a `{` that begins a placeholder, or may.
    fn placeholders(&self) -> Option<Vec<CompletionItem>> {
        let (text, end) = (self.cursor.text, self.cursor.offset as usize);
        let name = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '_' | '.' | '-');
        let start = text[..end].trim_end_matches(name).len();
        let before = text[..start].strip_suffix('{')?;
        let apart = before.is_empty() || before.ends_with(char::is_whitespace);
        if apart && !self.may_stand_apart(before.len()) {
            return None;
        }
        let closed = text[end..].starts_with('}');
        let offers = placeholder::TABLE.iter().map(|known| {
            let keyed = known.name.ends_with('.');
            let close = if closed || keyed { "" } else { "}" };
            let mut offer = Offer::new(known.name, CompletionItemKind::VARIABLE);
            offer.text = Some(format!("{}{close}", known.name));
            offer.told(known.doc, Some(hover::of_placeholder(known)))
        });
        Some(self.items(offers.collect(), Span::new(self.cursor.file, start, end)))
    }

    /// Whether a `{` behind white space may begin a placeholder: where it more likely opens a block, the editor is not
    /// to put one in its way.
    fn may_stand_apart(&self, brace: usize) -> bool {
        let opened = |node: &&Node| node.block.as_ref().is_some_and(|block| block.span.start as usize == brace);
        let Some(node) = self.cursor.around.last().copied().filter(opened) else {
            return self.cursor.word().is_some_and(|(index, _)| index > 0);
        };
        let Some(syntax) = self.cursor.outer.syntax(node.name()) else { return false };
        let asked = self.sign.is_none() && self.cursor.outer.takes_matcher(node);
        asked || !syntax::takes_block(syntax, node.words.len())
    }

    // ---- statements

    fn statements(&self) -> Vec<CompletionItem> {
        let keyword = CompletionItemKind::KEYWORD;
        let mut offers: Vec<Offer> = match self.cursor.place {
            Place::Top => {
                top::ROOMS.iter().map(|room| Offer::new(room.name, keyword).told(room.summary, None)).collect()
            }
            Place::Body => {
                let rooms = directive::ROOMS.iter().map(|room| Offer::new(room.name, keyword).told(room.summary, None));
                rooms.collect()
            }
            Place::Options(_, table) => {
                let said = |name| self.cursor.block.nodes.iter().any(|node| node.name() == name);
                let open = table.iter().filter(|option| option.repeats || !said(option.name));
                open.map(|option| Offer::new(option.name, CompletionItemKind::PROPERTY).told(option.syntax, None))
                    .collect()
            }
        };
        if !matches!(self.cursor.place, Place::Top) {
            let anywhere = top::ROOMS.iter().filter(|room| room.stands_anywhere());
            offers.extend(anywhere.map(|room| Offer::new(room.name, keyword).told(room.summary, None)));
        }
        for offer in &mut offers {
            offer.doc = hover::of_statement(self.cursor.place, &offer.label);
        }
        self.items(offers, self.cursor.prefix().1)
    }

    // ---- arguments

    fn arguments(&self) -> Vec<CompletionItem> {
        let Some(node) = self.cursor.node else { return Vec::new() };
        let (index, place) = (self.cursor.index(), self.cursor.place);
        if matches!(self.cursor.word(), Some((_, word)) if word.style == Style::Heredoc) {
            return Vec::new();
        }
        match node.name() {
            "use" if index == 1 => return self.named(self.configuration.names().defined(Kind::Snippet)),
            "import" if index == 1 => return self.files(&self.folder_of_file()),
            _ if place.takes_matcher(node) => return self.matchers(),
            _ => {}
        }
        let Some(syntax) = place.syntax(node.name()) else { return Vec::new() };
        let before = node.words.get(index - 1).and_then(|word| word.plain()).unwrap_or_default();
        match syntax::wanted(syntax, index, before) {
            Wanted::Upstream => self.named(self.configuration.names().defined(Kind::Upstream)),
            Wanted::File(choices) => {
                let mut items = self.files(&self.folder_of_root());
                items.extend(self.choices(choices));
                items
            }
            Wanted::Choice(choices) => self.choices(choices),
        }
    }

    fn choices(&self, choices: Vec<&str>) -> Vec<CompletionItem> {
        let offers = choices.into_iter().map(|choice| Offer::new(choice, CompletionItemKind::ENUM_MEMBER));
        self.items(offers.collect(), self.cursor.prefix().1)
    }

    fn named(&self, names: Vec<&Occurrence>) -> Vec<CompletionItem> {
        let offer = |one: &Occurrence| {
            let detail = one.defines.map(|whole| self.configuration.text(whole).lines().next().unwrap_or_default());
            Offer::new(&one.name, CompletionItemKind::REFERENCE).told(detail.unwrap_or_default(), None)
        };
        let mut at = self.cursor.prefix().1;
        // Inside of quotes, they stay.
        if self.cursor.word().is_some_and(|(_, word)| word.style == Style::Quoted) && at.start < at.end {
            at.start += 1;
        }
        self.items(names.into_iter().map(offer).collect(), at)
    }

    fn matchers(&self) -> Vec<CompletionItem> {
        let node = self.cursor.node.into_iter();
        let before = node.flat_map(|node| &node.words).rfind(|word| word.span.end < self.cursor.offset);
        if before.and_then(|word| word.plain()) == Some("file") {
            return self.files(&self.folder_of_root());
        }
        let (prefix, at) = self.cursor.prefix();
        let mut items = self.named(self.configuration.names().matchers_in(self.cursor.block.span));
        if !prefix.starts_with(['@', '/', '{', '"', '`']) {
            let rooms = matcher::ROOMS.iter().map(|room| {
                Offer::new(room.name, CompletionItemKind::FUNCTION)
                    .told(room.syntax, Some(hover::entry(room.syntax, room.doc)))
            });
            let joints = ["and", "or", "not"].map(|joint| Offer::new(joint, CompletionItemKind::OPERATOR));
            items.extend(self.items(rooms.chain(joints).collect(), at));
        }
        items
    }
}

#[cfg(test)]
mod tests;
