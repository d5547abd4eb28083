//! What the statements of a block are, told by the statement that the block belongs to.

use crate::check::Opt;
use crate::directive;
use crate::model::top;
use crate::syntax::tree::Node;

/// A kind of block.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// The file itself.
    Top,
    /// Statements that meet a request: a site, a route, a snippet as a rule.
    Body,
    /// Options of what bears this name.
    Options(&'static str, &'static [Opt]),
}

impl Place {
    /// What the block of a statement in this place holds.
    pub fn inside(self, node: &Node) -> Self {
        let name = node.name();
        match self {
            Place::Top => match top::find(name) {
                Some(room) if !room.options.is_empty() => Place::Options(room.name, room.options),
                _ => Place::Body,
            },
            Place::Body => match directive::find(name) {
                Some(room) if !room.options.is_empty() => Place::Options(room.name, room.options),
                _ => Place::Body,
            },
            Place::Options(..) => match self.option(name) {
                Some(option) => Place::Options(option.name, option.options),
                None => Place::Options("", &[]),
            },
        }
    }

    /// The option of this name, where options stand.
    pub fn option(self, name: &str) -> Option<&'static Opt> {
        let Place::Options(_, table) = self else { return None };
        table.iter().find(|option| option.name == name)
    }

    /// How a statement of this name is written here.
    pub fn syntax(self, name: &str) -> Option<&'static str> {
        match self {
            Place::Options(..) => self.option(name).map(|option| option.syntax).or_else(|| anywhere(name)),
            Place::Top => top::find(name).map(|room| room.syntax),
            Place::Body => directive::find(name).map(|room| room.syntax).or_else(|| anywhere(name)),
        }
    }

    /// Whether words behind this statement are a matcher.
    pub fn takes_matcher(self, node: &Node) -> bool {
        let name = node.name();
        name.starts_with('@')
            || matches!(self, Place::Body) && name != "else" && self.syntax(name).is_some_and(|s| s.contains("MATCHER"))
    }
}

fn anywhere(name: &str) -> Option<&'static str> {
    top::find(name).filter(|room| room.stands_anywhere()).map(|room| room.syntax)
}
