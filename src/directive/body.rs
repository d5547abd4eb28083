//! The statements of a site or of a block in it: looked up, checked, and proved to be of use.

use super::{Line, ROOMS, Statement, find, hidden, reach, undone};
use crate::check::habit::{self, Place};
use crate::check::{Check, Reported, expand, near};
use crate::diagnostic::{Code, Mistake, Span, Written};
use crate::matcher;
use crate::site::Building;
use crate::syntax::tree::{Block, Node};

/// Checked statements, in written order.
#[derive(Debug, Default)]
pub struct Body {
    pub statements: Vec<Statement>,
    /// Something in it could not be read, so nothing is known of what it lacks.
    pub(super) incomplete: bool,
}

impl Body {
    pub fn compile(&self, site: &mut Building<'_>) -> Result<(), Mistake> {
        let behind = site.guarded;
        let falls_through = behind && !self.always_answers();
        let last = self.statements.iter().rposition(|statement| statement.directive.guards());
        let built = self.statements.iter().enumerate().try_for_each(|(at, statement)| {
            site.guarded = falls_through || last.is_some_and(|last| at < last);
            site.statement(statement.at, |site| statement.directive.compile(site))
        });
        site.guarded = behind;
        built
    }

    #[must_use]
    pub fn always_answers(&self) -> bool {
        self.statements.iter().any(|statement| statement.directive.always_answers())
    }

    #[must_use]
    pub fn guards(&self) -> bool {
        self.statements.iter().any(|statement| statement.directive.guards())
    }

    /// The statement of this place, however deep.
    #[must_use]
    pub fn find(&self, at: Span) -> Option<&Statement> {
        self.statements.iter().find_map(|statement| {
            let inside = || statement.directive.blocks().into_iter().find_map(|body| body.find(at));
            if statement.at == at { Some(statement) } else { inside() }
        })
    }

    #[must_use]
    pub fn may_answer(&self) -> bool {
        self.incomplete || self.statements.iter().any(|statement| statement.directive.may_answer())
    }
}

/// The block of `node`, which must be there.
pub fn check_block(node: &Node, syntax: &str, cx: &mut Check) -> Result<Body, Reported> {
    match &node.block {
        Some(Block { nodes, .. }) => Ok(check_nodes(nodes, cx)),
        None => Err(cx.report(
            Mistake::new(
                Code::E0025,
                Span { start: node.span.end, ..node.span },
                format!("`{}` wants a block", node.name()),
            )
            .label("it belongs here")
            .help(format!("write: {syntax}")),
        )),
    }
}

/// Every statement of a block. What can't be checked is left out, and reported.
pub fn check_nodes(nodes: &[Node], cx: &mut Check) -> Body {
    cx.open_scope();
    matcher::define_all(nodes, cx);
    let mut body = Body::default();
    for node in habit::without_comments(nodes, cx).into_iter().filter(|node| !node.name().starts_with('@')) {
        if expand::is_left_over(node) {
            body.incomplete = true;
            continue;
        }
        if node.name() == "else" {
            super::route::join_else(&mut body, node, cx);
            continue;
        }
        match check_statement(node, cx) {
            Ok(statement) => body.statements.push(statement),
            Err(_) => {
                body.incomplete = true;
                // It may be what would have used them.
                cx.lose();
            }
        }
    }
    reach::reach(&body, cx);
    undone::undone(&body, cx);
    hidden::hidden(&body, cx);
    cx.close_scope();
    body
}

fn check_statement(node: &Node, cx: &mut Check) -> Result<Statement, Reported> {
    // A statement is named by a word, not by what a request brings.
    cx.plain(&node.words[0])?;
    let Some(room) = find(node.name()) else { return Err(unknown(node, cx)) };
    if let Some(habit) = habit::of_known(Place::Site, node) {
        let text = format!("`{}` is not used like this", node.name());
        return Err(cx.report(habit.advise(Place::Site, node, Mistake::new(Code::E0020, node.words[0].span, text))));
    }
    habit::matcher_first(node, cx)?;
    habit::odd(node, cx)?;
    let at = node.words[0].span;
    let directive = (room.check)(node, cx)?;
    let options = if room.options.is_empty() { Box::default() } else { Line::of(node) };
    let head = node.words.last().map_or(at, |last| at.to(last.span));
    Ok(Statement { at, head, text: node.written().into(), options, room, used_at: Written(node.used_at), directive })
}

fn unknown(node: &Node, cx: &mut Check) -> Reported {
    let name = node.name();
    let at = node.words[0].span;
    if matches!(name, "global" | "upstream" | "import" | "snippet") {
        return cx.report(
            Mistake::new(Code::E0027, at, format!("`{name}` stands at the top level, not inside a site"))
                .help("move it out of the block"),
        );
    }
    let mistake = Mistake::new(Code::E0010, at, format!("there is no directive `{name}`"));
    if let Some(habit) = habit::find(Place::Site, node) {
        let reported = cx.report(habit.advise(Place::Site, node, mistake));
        if let Some(block) = node.block.as_ref().filter(|_| habit.holds_statements()) {
            check_nodes(&block.nodes, cx);
        }
        return reported;
    }
    if let Some(known) = habit::respelt(name, ROOMS.iter().map(|room| room.name)) {
        let help = format!("write: {}", habit::statement(known, &node.words[1..], node));
        return cx.report(mistake.meant(name, known).help(help));
    }
    if let Some(near) = near::nearest(name, ROOMS.iter().map(|room| room.name)) {
        let syntax = find(near).map_or("", |room| room.syntax);
        return cx.report(mistake.meant(name, near).help(format!("write: {syntax}")));
    }
    if let Some(room) = ROOMS.iter().find(|room| room.options.iter().any(|option| option.name == name)) {
        return cx.report(
            mistake
                .label(format!("it is an option of `{}`", room.name))
                .help(format!("write: {} … {{ {name} … }}", room.name)),
        );
    }
    cx.report(mistake.help("`rp help directives` lists them all"))
}
