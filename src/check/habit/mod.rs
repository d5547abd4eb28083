//! What people bring along from other servers, and what it is here: looked up where a name is unknown, with the user's own words put in.

mod fill;
mod odd;
mod options;
mod table;
mod variable;

pub use fill::{arguments, statement};
pub use odd::{matcher_first, odd, without_comments};
pub use variable::{environment, in_text, offered, placeholder, translated};

use std::collections::HashMap;
use std::sync::OnceLock;

use super::near;
use crate::diagnostic::Mistake;
use crate::syntax::tree::{Node, Word};

/// Where something stands, and so what is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    Top,
    Site,
    Matcher,
    /// In the block of the statement of this name.
    In(&'static str),
}

/// One habit.
#[derive(Debug)]
pub struct Habit {
    /// Names of other servers, case aside. `return 301` asks for the first argument too, `handle {` for none, `set $` for
    /// a variable, `header_down -` for what is taken away.
    pub names: &'static [&'static str],
    /// Said before what is to be written; alone, it is all there is to say.
    pub say: &'static str,
    /// A statement with slots: `<1 ADDRESS>` is the user's first argument, or ADDRESS where that can't stand here;
    /// `<2+ TEXT>` is the second and all behind it, `<?2>` is nothing where there is none.
    pub write: &'static str,
    /// Where it is to be written.
    pub there: Place,
}

/// The habit that `node` shows, if it is one that people are known to have.
#[must_use]
pub fn find(place: Place, node: &Node) -> Option<&'static Habit> {
    let (name, args) = (node.name().trim_end_matches(':'), arguments_of(node));
    let written = node.words.get(1).map(Word::written).unwrap_or_default();
    let first = match written.chars().next() {
        Some('$') => "$",
        Some('-') => "-",
        _ => args.first().map_or("{", String::as_str),
    };
    named(place, &format!("{name} {first}")).or_else(|| named(place, name))
}

/// The habit of giving a statement that we have an argument that it has elsewhere: `file_server browse`.
#[must_use]
pub fn of_known(place: Place, node: &Node) -> Option<&'static Habit> {
    if !matches!(node.name(), "file_server" | "redirect" | "reverse_proxy" | "tls") {
        return None;
    }
    let first = match node.words.get(1) {
        Some(word) => word.plain()?,
        None => node.block.as_ref().map(|_| "{")?,
    };
    // `redirect location` may go where it says.
    if node.name() == "redirect" && node.words.len() < 3 {
        return None;
    }
    // Elsewhere the status stands first, and a path may stand between.
    let url = |word: &Word| word.written().contains("://");
    if node.name() == "redirect" && node.words.get(2).is_some_and(url) {
        return named(place, &format!("redirect {first} URL"));
    }
    named(place, &format!("{} {first}", node.name()))
}

/// Found by its name, however many there are: a file may hold a million statements that nobody knows.
fn named(place: Place, wanted: &str) -> Option<&'static Habit> {
    static INDEX: OnceLock<HashMap<(Place, String), &'static Habit>> = OnceLock::new();
    let index = INDEX.get_or_init(|| {
        let mut index = HashMap::new();
        for (place, habit) in all() {
            for name in habit.names {
                index.entry((place, name.to_ascii_lowercase())).or_insert(habit);
            }
        }
        index
    });
    // No habit has a name as long as this.
    if wanted.len() > 60 {
        return None;
    }
    index.get(&(place, wanted.to_ascii_lowercase())).copied()
}

/// Without the `*` that stands for every request elsewhere.
fn arguments_of(node: &Node) -> Vec<String> {
    let mut args = fill::arguments(&node.words[1..]);
    if args.len() > 1 && args[0] == "*" {
        args.remove(0);
    }
    args
}

/// All of them by place, for the tests of what they tell people to write.
pub fn all() -> impl Iterator<Item = (Place, &'static Habit)> {
    table::all().flat_map(|(place, habits)| habits.iter().map(move |habit| (place, habit)))
}

impl Habit {
    /// What to write instead of `node`.
    #[must_use]
    pub fn advise(&self, from: Place, node: &Node, mistake: Mistake) -> Mistake {
        mistake.label("other servers have it").help(self.help(from, arguments_of(node)))
    }

    fn help(&self, from: Place, mut args: Vec<String>) -> String {
        if self.write.is_empty() {
            return self.say.to_owned();
        }
        let matcher = self.takes_a_matcher(&args).then(|| args.remove(0));
        let mut written = fill::fill(self.write, &args);
        if let Some(matcher) = matcher {
            written = format!("route {matcher} {{ {written} }}");
        }
        let verb = match self.there {
            _ if self.there == from => "write".to_owned(),
            Place::In(block) => format!("write, in `{block}`"),
            Place::Top => "write, at the top level".to_owned(),
            _ => "write, in the site".to_owned(),
        };
        if self.say.is_empty() { format!("{verb}: {written}") } else { format!("{}; {verb}: {written}", self.say) }
    }

    /// Whether the first of the arguments says which requests are meant, where the statement has no place for it.
    fn takes_a_matcher(&self, args: &[String]) -> bool {
        let [first, rest @ ..] = args else { return false };
        let second = rest.first().map_or("", String::as_str);
        let target = self.write.contains("TARGET") && (second.starts_with('/') || second.contains(':'));
        let path = first.starts_with('/') && (first.contains('*') || target);
        self.there == Place::Site && !self.write.contains('@') && !self.asks() && (first.starts_with('@') || path)
    }

    fn asks(&self) -> bool {
        self.write.contains("/path>") || self.write.contains("MATCHER")
    }

    /// The statement alone, its slots in capitals.
    #[must_use]
    pub fn pattern(&self) -> String {
        fill::fill(self.write, &[])
    }

    /// Whether it stands for a block of statements, which can be read as such.
    #[must_use]
    pub fn holds_statements(&self) -> bool {
        self.write.ends_with("{ … }")
    }
}

/// The name that `name` is but for case, dashes and a sign of other formats: `Reverse-Proxy`, `encode:`.
#[must_use]
pub fn respelt(name: &str, names: impl IntoIterator<Item = &'static str>) -> Option<&'static str> {
    let fold = |text: &str| text.to_ascii_lowercase().replace(['-', '_'], "");
    let wanted = fold(name.trim_end_matches([':', '=']));
    // What is only a slip is told as one.
    names.into_iter().find(|known| fold(known) == wanted).filter(|_| near::nearest(name, [wanted.as_str()]).is_some())
}
