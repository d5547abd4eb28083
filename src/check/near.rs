//! Did you mean …?

/// Signs of a word that may be a slip for another. To compare two costs the product of their lengths.
const LONGEST: usize = 64;

/// The candidate that the user most likely meant, if any is near enough: a third of the word's length may differ.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    if length > LONGEST {
        return None;
    }
    let allowed = (length / 3).max(1);
    candidates
        .into_iter()
        // Each sign that one has more than the other is a difference.
        .filter(|candidate| candidate.chars().take(LONGEST + length).count().abs_diff(length) <= allowed)
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, candidate)| (*distance, *candidate))
        .map(|(_, candidate)| candidate)
}

/// Case, and `-` for `_`, cost nothing: they are habits, not mistakes of memory.
fn distance(word: &str, candidate: &str) -> usize {
    let fold = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    strsim::damerau_levenshtein(&fold(word), &fold(candidate))
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let names = ["reverse_proxy", "respond", "redirect", "route"];
        assert_eq!(nearest("reverse-proxy", names), Some("reverse_proxy"));
        assert_eq!(nearest("reverseproxy", names), Some("reverse_proxy"));
        assert_eq!(nearest("rout", names), Some("route"));
        assert_eq!(nearest("redirct", names), Some("redirect"));
        assert_eq!(nearest("proxy_pass", names), None);
        assert_eq!(nearest("x", names), None);
    }
}
