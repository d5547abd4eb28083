//! Who may come in: the statement's own users, and those of a file.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::guard::Guard;
use super::hash::Hash;
use crate::check::{Value, Wrong};
use crate::diagnostic::plain;

/// The name of a user, as RFC 7617 lets it be: without colons and control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UserName(pub Box<str>);

impl Value for UserName {
    const KIND: &'static str = "the name of a user";
    const EXAMPLE: &'static str = "alice";

    fn parse(text: &str) -> Result<Self, Wrong> {
        if let Some((name, _)) = text.split_once(':') {
            return Err(Wrong::say("a name holds no colon: in a login, the first one ends the name")
                .help(format!("write name and hash as two words: user {name} HASH")));
        }
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(Wrong::kind());
        }
        Ok(Self(text.into()))
    }
}

#[derive(Debug, Default)]
pub(super) struct Users {
    by_name: HashMap<Box<str>, Arc<Hash>>,
    hashes: Vec<Arc<Hash>>,
}

impl Users {
    /// False where the name is known already.
    pub fn add(&mut self, name: Box<str>, hash: Arc<Hash>) -> bool {
        if self.by_name.contains_key(&name) {
            return false;
        }
        self.hashes.push(hash.clone());
        self.by_name.insert(name, hash);
        true
    }

    /// The hash to compare with, and whether it is this user's. Whoever does not exist is compared with somebody's hash,
    /// always the same one, so that the time of a refusal tells nothing of who exists.
    pub fn of(&self, name: &str, guard: &Guard) -> Option<(&Arc<Hash>, bool)> {
        let decoy = self.hashes.get(guard.choose(name, self.hashes.len()))?;
        Some(self.by_name.get(name).map_or((decoy, false), |hash| (hash, true)))
    }

    /// Adds the users of a file with lines of `NAME:HASH`. Blank lines and those that begin with `#` are left out.
    pub fn read(&mut self, path: &Path) -> Result<(), String> {
        let shown = path.display();
        let text =
            std::fs::read_to_string(path).map_err(|error| format!("cannot read `{shown}`: {}", plain(&error)))?;
        let mut count = 0;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, hash) = entry(line).map_err(|why| format!("in line {} of `{shown}`, {why}", number + 1))?;
            if !self.add(name, Arc::new(hash)) {
                return Err(format!("in line {} of `{shown}`, the user is named a second time", number + 1));
            }
            count += 1;
        }
        if count == 0 { Err(format!("`{shown}` names no user")) } else { Ok(()) }
    }
}

fn entry(line: &str) -> Result<(Box<str>, Hash), String> {
    let Some((name, hash)) = line.split_once(':') else { return Err("there is no `NAME:HASH`".to_owned()) };
    let said = |wrong: Wrong, kind: &str| wrong.text.unwrap_or_else(|| format!("there is not {kind}"));
    let name = UserName::parse(name).map_err(|wrong| said(wrong, UserName::KIND))?;
    let hash = Hash::parse(hash).map_err(|wrong| said(wrong, Hash::KIND))?;
    Ok((name.0, hash))
}
