//! What was taken from the front of a path on its way in, so that a path on its way out can get it back.

use std::borrow::Cow;
use std::sync::Arc;

use smallvec::SmallVec;

use super::rooted::rooted;

#[derive(Debug, Clone)]
enum Change {
    Stripped(Arc<str>),
    Added(Arc<str>),
}

/// The prefixes that `strip_prefix` took away and `add_prefix` put there, in their order.
#[derive(Debug, Clone, Default)]
pub struct Prefixes(SmallVec<[Change; 1]>);

impl Prefixes {
    /// The path without `prefix`, where the prefix is there as whole segments: what is left is empty or starts with a
    /// slash.
    #[must_use]
    pub fn without<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
        path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    pub fn stripped(&mut self, prefix: &Arc<str>) {
        self.0.push(Change::Stripped(prefix.clone()));
    }

    pub fn added(&mut self, prefix: &Arc<str>) {
        self.0.push(Change::Added(prefix.clone()));
    }

    /// An absolute path as the upstream names it, such as that of `Location`, made what the client knows it by: each
    /// change undone, the last one first. A query or fragment behind it stays. A path that lies outside what was added
    /// has no such name and stays as it is (requirement M05).
    #[must_use]
    pub fn outward<'t>(&self, target: &'t str) -> Cow<'t, str> {
        let (path, tail) = target.split_at(target.find(['?', '#']).unwrap_or(target.len()));
        let mut known = path.to_owned();
        for change in self.0.iter().rev() {
            known = match change {
                Change::Stripped(prefix) => format!("{prefix}{known}"),
                Change::Added(prefix) => match Self::without(&known, prefix) {
                    Some("") => "/".to_owned(),
                    // What was a path below the prefix must not become the name of a host without it (threat XP07).
                    Some(rest) => match rooted(rest.as_bytes()) {
                        Some(rooted) => String::from_utf8_lossy(&rooted).into_owned(),
                        None => rest.to_owned(),
                    },
                    None => return Cow::Borrowed(target),
                },
            };
        }
        if self.0.is_empty() { Cow::Borrowed(target) } else { Cow::Owned(known + tail) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m05_a_path_on_its_way_out_gets_its_prefix_back() {
        let mut prefixes = Prefixes::default();
        assert_eq!(prefixes.outward("/login?x"), "/login?x");
        prefixes.stripped(&"/service".into());
        assert_eq!(prefixes.outward("/login?x"), "/service/login?x");
        assert_eq!(prefixes.outward("/"), "/service/");
        prefixes.added(&"/v1".into());
        assert_eq!(prefixes.outward("/v1/login"), "/service/login");
        assert_eq!(prefixes.outward("/v1"), "/service/");
        assert_eq!(prefixes.outward("/v1?x#y"), "/service/?x#y");
        assert_eq!(prefixes.outward("/v1//login"), "/service/login");
        assert_eq!(prefixes.outward("/v12/login"), "/v12/login", "another path than those below /v1");
    }

    #[test]
    fn xp07_what_is_below_a_prefix_is_no_host_without_it() {
        let mut prefixes = Prefixes::default();
        prefixes.added(&"/v1".into());
        for target in ["/v1//evil.test/x", "/v1/\\evil.test/x", "/v1/\t/evil.test/x", "/v1///evil.test/x"] {
            assert_eq!(prefixes.outward(target), "/evil.test/x", "{target:?}");
        }
        assert_eq!(prefixes.outward("/v1/a//b"), "/a//b");
    }
}
