//! The statements of the top level beside sites, as they tell of themselves.

use super::global;
use crate::check::Opt;
use crate::directive::upstream;

/// One statement of the top level.
#[derive(Debug)]
pub struct Room {
    pub name: &'static str,
    pub syntax: &'static str,
    /// One sentence.
    pub summary: &'static str,
    pub options: &'static [Opt],
}

impl Room {
    /// Whether it stands among the statements of a site, too.
    #[must_use]
    pub fn stands_anywhere(&self) -> bool {
        matches!(self.name, "import" | "use")
    }
}

/// All of them, in the order of the manual.
pub static ROOMS: &[Room] = &[
    Room {
        name: "upstream",
        syntax: "upstream NAME { … }",
        summary: "servers that a `reverse_proxy` names, and how they are asked",
        options: upstream::OPTIONS,
    },
    Room {
        name: "global",
        syntax: global::SYNTAX,
        summary: "what holds for the whole process; it stands once, outside of all sites",
        options: global::OPTIONS,
    },
    Room {
        name: "snippet",
        syntax: "snippet NAME(PARAMETER, …) { … }",
        summary: "statements by name; inside, `{arg.PARAMETER}` is what the `use` gives",
        options: &[],
    },
    Room {
        name: "use",
        syntax: "use NAME VALUE …",
        summary: "puts the statements of a snippet in its place",
        options: &[],
    },
    Room {
        name: "import",
        syntax: "import PATH|PATTERN",
        summary: "puts another file in its place, or every file that a pattern with `*` finds",
        options: &[],
    },
];

/// The statement of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| room.name == name)
}
