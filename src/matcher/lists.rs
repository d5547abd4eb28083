//! Values of one matcher that another of its values makes useless.

use super::{Atom, Ja4, PathPattern};
use crate::check::Check;
use crate::check::value::HostPattern;
use crate::diagnostic::{Code, Mistake};
use crate::syntax::tree::Word;

/// So many values of one list are compared with each other.
const MOST: usize = 256;

/// Warns of values that add nothing to their list. The last of `words` are those that the question was read from.
pub(super) fn report(atom: &Atom, words: &[Word], cx: &mut Check) {
    if cx.is_quiet() {
        return;
    }
    match atom {
        // What a pattern captures depends on which one fits first.
        Atom::Path(patterns) if patterns.iter().any(PathPattern::captures) => {}
        Atom::Path(patterns) => each(patterns, words, PathPattern::covers, cx),
        Atom::Host(hosts) | Atom::Sni(hosts) => each(hosts, words, HostPattern::covers, cx),
        Atom::Method(methods) => each(methods, words, PartialEq::eq, cx),
        Atom::Header(_, values) | Atom::Query(_, values) | Atom::Cookie(_, values) => {
            each(values, words, PartialEq::eq, cx);
        }
        Atom::ClientIp(networks) => each(networks, words, |a, b| a.0.contains(&b.0), cx),
        Atom::Protocol(protocols) => each(protocols, words, PartialEq::eq, cx),
        Atom::Signature(signatures) => each(signatures, words, PartialEq::eq, cx),
        Atom::Ja4(all) => each(all, words, Ja4::covers, cx),
        Atom::Status(statuses) => each(statuses, words, |a, b| a.covers(*b), cx),
        Atom::Scheme(_) | Atom::File(_) | Atom::Compare(_) => {}
    }
}

fn each<T>(values: &[T], words: &[Word], covers: impl Fn(&T, &T) -> bool, cx: &mut Check) {
    let Some(words) = words.len().checked_sub(values.len()).map(|before| &words[before..]) else { return };
    let values = &values[..values.len().min(MOST)];
    for (at, value) in values.iter().enumerate() {
        // Of two that are equal the first stays.
        let useless = |(other, cover): &(usize, &T)| {
            *other != at && covers(cover, value) && (*other < at || !covers(value, cover))
        };
        if let Some((other, _)) = values.iter().enumerate().find(useless) {
            cx.report(covered(&words[at], &words[other]));
        }
    }
}

fn covered(word: &Word, cover: &Word) -> Mistake {
    let (text, wider) = (word.plain().unwrap_or_default(), cover.plain().unwrap_or_default());
    let (sentence, label) = if text == wider {
        (format!("`{text}` stands twice in this list"), "first here")
    } else {
        (format!("`{text}` adds nothing to this list: `{wider}` takes all of it"), "this one takes it")
    };
    Mistake::new(Code::W0021, word.span, sentence)
        .other(cover.span, label)
        .help(format!("remove `{text}`"))
        .fix(text, "")
}
