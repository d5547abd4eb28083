//! What a statement's own syntax line says of its next word.

/// What may stand somewhere.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Upstream,
    /// The path of a file or folder, or one of these.
    File(Vec<&'static str>),
    /// One of these words; none where they are not of a closed set.
    Choice(Vec<&'static str>),
}

/// Reads `timeout connect|read DURATION`: what stands in capitals is a value, what stands small is meant literally, what
/// stands in brackets may be left out. `before` is the word before.
pub(super) fn wanted(syntax: &'static str, index: usize, before: &str) -> Wanted {
    let name = syntax.split(' ').next().unwrap_or_default();
    let mut choices = Vec::new();
    let (mut upstream, mut file) = (false, before == "file");
    for form in forms(syntax) {
        let words: Vec<&'static str> =
            form.split(' ').filter(|word| *word != name).take_while(|word| *word != "{").collect();
        for word in here(&words, index - 1) {
            for one in word.trim_matches(['[', ']']).split('|') {
                match one {
                    "UPSTREAM" => upstream = true,
                    "FOLDER" | "FILE" | "CERTIFICATE" => file = true,
                    "KEY" => file |= words.len() > 1 && matches!(words[0], "CERTIFICATE" | "FILE"),
                    _ if is_literal(one) => choices.push(one),
                    _ => {}
                }
            }
        }
    }
    choices.dedup();
    if upstream {
        Wanted::Upstream
    } else if file {
        Wanted::File(choices)
    } else {
        Wanted::Choice(choices)
    }
}

/// Whether a statement of so many words may have a block behind them.
pub(super) fn takes_block(syntax: &'static str, written: usize) -> bool {
    forms(syntax).any(|form| {
        let mut before = 0;
        let open = form.split(' ').find(|word| {
            before += 1;
            word.trim_start_matches('[').starts_with('{')
        });
        let endless = form.contains("… {") || form.contains("… [{") || form.contains("MATCHER {");
        open.is_some() && (endless || written < before)
    })
}

/// The ways to write a statement: `a, or b`, `a, b` and `a | b`.
fn forms(syntax: &'static str) -> impl Iterator<Item = &'static str> {
    syntax.split(", or ").flat_map(|form| form.split(", ")).flat_map(|form| form.split(" | "))
}

/// The words of a form that may stand at a place.
fn here<'w>(words: &'w [&'static str], index: usize) -> Vec<&'w &'static str> {
    let repeats = |word: &&str| word.starts_with('…');
    let Some(word) = words.get(index).filter(|word| !repeats(word)) else {
        // `NAME …`: the word before goes on.
        let last = words.iter().rposition(repeats).filter(|last| *last > 0);
        return last.and_then(|last| words.get(last - 1)).into_iter().collect();
    };
    if !word.starts_with('[') {
        return vec![word];
    }
    words[index..].iter().filter(|word| word.starts_with('[')).collect()
}

fn is_literal(word: &str) -> bool {
    word.starts_with(|sign: char| sign.is_ascii_lowercase())
        && word.bytes().all(|sign| sign.is_ascii_lowercase() || sign.is_ascii_digit() || b"_/.".contains(&sign))
}

#[cfg(test)]
mod tests {
    use super::Wanted::{Choice, File, Upstream};
    use super::{takes_block, wanted};

    #[test]
    fn syntax_lines_say_where_a_block_may_stand() {
        assert!(takes_block("route MATCHER { … }", 7));
        assert!(takes_block("reverse_proxy UPSTREAM|ADDRESS … { … }", 3));
        assert!(takes_block("file_server FOLDER [{ … }]", 2));
        assert!(!takes_block("respond [STATUS] [TEXT]", 1));
        let header = "header [request] set NAME VALUE, or header [request] { set NAME VALUE; … }";
        assert!(takes_block(header, 2) && !takes_block(header, 3));
    }

    #[test]
    fn syntax_lines_say_what_comes_next() {
        assert_eq!(wanted("reverse_proxy UPSTREAM|ADDRESS … { … }", 1, "reverse_proxy"), Upstream);
        assert_eq!(wanted("file_server FOLDER [{ … }]", 1, "file_server"), File(vec![]));
        assert_eq!(wanted("tls CERTIFICATE KEY | internal", 1, "tls"), File(vec!["internal"]));
        assert_eq!(wanted("tls CERTIFICATE KEY | internal", 2, "a.pem"), File(vec![]));
        assert_eq!(wanted("balance round_robin|least_conn", 1, "balance"), Choice(vec!["round_robin", "least_conn"]));
        assert_eq!(wanted("balance round_robin|least_conn", 2, "x"), Choice(vec![]));
        assert_eq!(wanted("timeout connect|read DURATION", 2, "read"), Choice(vec![]));
        assert_eq!(wanted("encode [zstd|br|gzip …]", 3, "br"), Choice(vec!["zstd", "br", "gzip"]));
        assert_eq!(wanted("log [off|json|text] [stdout|file PATH] { … }", 2, "file"), File(vec!["stdout", "file"]));
        assert_eq!(
            wanted("limit header|uri SIZE, limit fields COUNT", 1, "limit"),
            Choice(vec!["header", "uri", "fields"])
        );
        assert_eq!(wanted("strip_prefix /PATH", 1, "strip_prefix"), Choice(vec![]));
        assert_eq!(
            wanted("header [request] set NAME VALUE, or header [request] { … }", 1, "header"),
            Choice(vec!["request"])
        );
        assert_eq!(wanted("rate_limit RATE [burst NUMBER] [by client_ip|KEY]", 2, "1/s"), Choice(vec!["burst", "by"]));
    }
}
