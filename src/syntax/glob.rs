//! Files by pattern: `*` and `?` in any segment of a path, never across a `/`.

use std::path::{Path, PathBuf};

/// Whether a path holds a sign that stands for others.
pub(super) fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?'])
}

/// The folder up to the first segment that is a pattern.
pub(super) fn fixed_part(pattern: &str) -> &str {
    let end = pattern.find(['*', '?']).unwrap_or(pattern.len());
    match pattern[..end].rfind('/') {
        Some(0) => "/",
        Some(slash) => &pattern[..slash],
        None => "",
    }
}

/// The files that match, sorted, at most `most`. What begins with a dot is found only by a segment that does.
pub(super) fn find(base: &Path, pattern: &str, most: usize) -> Vec<PathBuf> {
    walk(base, pattern, most).1
}

/// The folders in which a file could appear, or another folder, that the pattern would find.
pub(super) fn folders(base: &Path, pattern: &str, most: usize) -> Vec<PathBuf> {
    walk(base, pattern, most).0
}

/// Folders looked into, and files found.
fn walk(base: &Path, pattern: &str, most: usize) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let fixed = fixed_part(pattern);
    let rest = pattern[fixed.len()..].trim_start_matches('/');
    let mut folders = Vec::new();
    let mut found = vec![base.join(fixed)];
    let mut segments = rest.split('/').filter(|segment| !segment.is_empty()).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        let next = found.iter().flat_map(|folder| step(folder, segment, last)).take(most).collect();
        folders.append(&mut std::mem::replace(&mut found, next));
    }
    found.sort();
    folders.truncate(most);
    (folders, found)
}

/// What one segment finds in a folder: files behind the last, folders before it.
fn step(folder: &Path, segment: &str, last: bool) -> Vec<PathBuf> {
    if !is_pattern(segment) {
        let path = folder.join(segment);
        return if kind_fits(&path, last) { vec![path] } else { Vec::new() };
    }
    let place = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    // A folder that cannot be read holds nothing; that nothing matched is then said of the whole pattern.
    let Ok(entries) = std::fs::read_dir(place) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.') || segment.starts_with('.'))
        .filter(|name| matches(segment, name))
        .map(|name| folder.join(name))
        .filter(|path| kind_fits(path, last))
        .collect();
    found.sort();
    found
}

fn kind_fits(path: &Path, last: bool) -> bool {
    if last { path.is_file() } else { path.is_dir() }
}

/// Whether a name fits a segment. It walks back to the last `*` only, so it is quadratic at worst.
fn matches(segment: &str, name: &str) -> bool {
    let (segment, name): (Vec<char>, Vec<char>) = (segment.chars().collect(), name.chars().collect());
    let (mut at, mut star, mut index) = (0, None, 0);
    while index < name.len() {
        match segment.get(at) {
            Some('*') => {
                star = Some((at, index));
                at += 1;
            }
            Some(sign) if *sign == '?' || *sign == name[index] => {
                at += 1;
                index += 1;
            }
            _ => {
                let Some((star_at, taken)) = star else { return false };
                star = Some((star_at, taken + 1));
                at = star_at + 1;
                index = taken + 1;
            }
        }
    }
    segment[at..].iter().all(|sign| *sign == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_segments() {
        for (segment, name) in
            [("*", "a"), ("*.conf", "a.conf"), ("a?c", "abc"), ("*a*b", "xaxab"), ("**", "x"), ("a*", "a")]
        {
            assert!(matches(segment, name), "{segment} {name}");
        }
        for (segment, name) in [("*.conf", "a.conf~"), ("a?c", "ac"), ("a", "ab"), ("*a", "ab"), ("?", "")] {
            assert!(!matches(segment, name), "{segment} {name}");
        }
    }

    #[test]
    fn the_fixed_part_ends_before_the_pattern() {
        assert_eq!(fixed_part("sites/*.conf"), "sites");
        assert_eq!(fixed_part("*.conf"), "");
        assert_eq!(fixed_part("/etc/rp/a?/x.conf"), "/etc/rp");
        assert_eq!(fixed_part("/*"), "/");
    }

    #[test]
    fn finds_files_in_order_and_skips_hidden_ones() {
        let folder = std::env::temp_dir().join(format!("proxyfile-glob-{}", std::process::id()));
        for name in ["b/x.conf", "a/x.conf", "a/.hidden.conf", "a/y.txt", "c/sub/x.conf"] {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let found = |pattern| -> Vec<String> {
            let paths = find(&folder, pattern, 100);
            paths.iter().map(|path| path.strip_prefix(&folder).unwrap().display().to_string()).collect()
        };
        assert_eq!(found("*/x.conf"), ["a/x.conf", "b/x.conf"]);
        assert_eq!(found("a/*"), ["a/x.conf", "a/y.txt"]);
        assert_eq!(found("a/.*"), ["a/.hidden.conf"]);
        assert_eq!(found("*/sub/*.c?nf"), ["c/sub/x.conf"]);
        assert!(found("*").is_empty());
        let looked = folders(&folder, "*/sub/*.conf", 10);
        let looked: Vec<_> = looked.iter().map(|path| path.strip_prefix(&folder).unwrap().to_str().unwrap()).collect();
        assert_eq!(looked, ["", "a", "b", "c", "c/sub"]);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
