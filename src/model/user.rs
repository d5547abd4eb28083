//! `user` in `global`: whom the process becomes.

use crate::check::{Arguments, Check, Reported};
use crate::diagnostic::{Code, Mistake, Span};
use crate::telemetry::identity::{self, Identity};

/// A user of the machine, as it is named.
#[derive(Debug, Clone)]
pub struct User {
    pub name: String,
    group: Option<String>,
    pub at: Span,
}

/// Where it is written says nothing of who it is.
impl PartialEq for User {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.group) == (&other.name, &other.group)
    }
}

impl User {
    /// Asks the machine.
    pub fn find(&self) -> Result<Identity, String> {
        identity::find(&self.name, self.group.as_deref())
    }
}

pub(super) fn read(args: &mut Arguments<'_>, cx: &mut Check) -> Result<User, Reported> {
    let word = args.expect_word("a user", cx)?;
    let text = cx.plain(word)?;
    let (name, group) = text.split_once(':').map_or((text, None), |(name, group)| (name, Some(group)));
    if name.is_empty() || group.is_some_and(|group| group.is_empty() || group.contains(':')) {
        let text = format!("`{text}` is not a user and a group");
        return Err(cx.report(Mistake::new(Code::E0020, word.span, text).help("write `rp`, or `rp:www-data`")));
    }
    if matches!(name, "root" | "0") {
        let text = "who is root stays root by itself";
        return Err(cx.report(
            Mistake::new(Code::E0020, word.span, text).help("remove the statement, or name somebody else: `nobody`"),
        ));
    }
    Ok(User { name: name.to_owned(), group: group.map(str::to_owned), at: word.span })
}
