//! A path that must not become a URL of another host (threat XP07).

/// What stays here of a target that a browser would take for a URL of another host; `None` where it would not. Browsers take
/// `\` for `/`, and overlook tabs wherever they are and spaces before a URL.
#[must_use]
pub fn rooted(target: &[u8]) -> Option<Vec<u8>> {
    let slash = |byte: &u8| matches!(byte, b'/' | b'\\');
    if !target.contains(&b'\t') && target.first() != Some(&b' ') && !(target.len() > 1 && target[..2].iter().all(slash))
    {
        return None;
    }
    let seen: Vec<u8> = target.iter().copied().filter(|byte| *byte != b'\t').skip_while(|byte| *byte == b' ').collect();
    let slashes = seen.iter().take_while(|byte| slash(byte)).count();
    Some(if slashes > 1 { [b"/", &seen[slashes..]].concat() } else { seen })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(target: &str, expected: Option<&str>) {
        assert_eq!(rooted(target.as_bytes()).as_deref(), expected.map(str::as_bytes), "{target:?}");
    }

    #[test]
    fn xp07_a_target_that_begins_with_a_slash_stays_here() {
        for target in ["//a", "///a", "/\\a", "\\\\a", "\\/a", " //a", "/\t/a", "\t//a", "/\t\\\t/a", " \t /\t/a"] {
            check(target, Some("/a"));
        }
        for target in ["/", "/a//b", "https://example.com//a", "a", "", "/a b", "/ /a"] {
            check(target, None);
        }
    }
}
