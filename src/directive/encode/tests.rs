//! What the room reads, and what it says of what it can't.

use super::*;
use crate::diagnostic::FileId;
use crate::syntax;

/// The model, or the findings: code, sentence, help.
fn read_text(text: &str) -> (Option<Encode>, Vec<String>) {
    let (tree, mistakes) = syntax::parse(FileId::default(), text);
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let mut cx = Check::default();
    let encode = read(&tree.nodes[0], &mut cx).ok();
    let said = cx.finish().sorted().into_iter();
    (encode, said.map(|m| format!("{}: {} | {}", m.code, m.text, m.help.unwrap_or_default())).collect())
}

fn offers(text: &str) -> Vec<(Coding, u8)> {
    let (encode, said) = read_text(text);
    assert_eq!(said, [""; 0], "{text}");
    encode.unwrap().offers.iter().map(|offer| (offer.coding, offer.level)).collect()
}

fn complains(text: &str, expected: &str) {
    let (_, said) = read_text(text);
    assert_eq!(said, [expected], "{text}");
}

#[test]
fn m11_encodings_and_levels() {
    use Coding::{Brotli, Gzip, Zstd};
    assert_eq!(offers("encode"), [(Zstd, 3), (Brotli, 4), (Gzip, 2)]);
    assert_eq!(offers("encode br gzip"), [(Brotli, 4), (Gzip, 2)]);
    assert_eq!(offers("encode gzip { level 9 }"), [(Gzip, 9)]);
    assert_eq!(offers("encode gzip { level gzip 1 }"), [(Gzip, 1)]);
    assert_eq!(offers("encode gzip br { level gzip 6; level br 5 }"), [(Gzip, 6), (Brotli, 5)]);
}

#[test]
fn options_are_taken() {
    let (encode, said) = read_text("encode { minimum 2KiB; types text/html +json; cross_site on }");
    assert_eq!(said, [""; 0]);
    let encode = encode.unwrap();
    assert_eq!((encode.minimum, encode.types.len(), encode.cross_site), (2048, 2, true));
}

#[test]
fn every_example_is_read_without_a_finding() {
    for example in ROOM.examples {
        let (encode, said) = read_text(example);
        assert!(encode.is_some() && said.is_empty(), "{example}: {said:?}");
    }
}

#[test]
fn mistakes_say_what_to_write() {
    complains("encode brotli", "E0020: `brotli` is not an encoding | write `br`");
    complains("encode gzipp", "E0020: `gzipp` is not an encoding | write `gzip`");
    complains("encode deflate", "E0020: `deflate` is understood in two ways, so no one sends it | write `gzip`");
    complains(
        "encode off",
        "E0020: `off` is not an encoding | remove the statement: without `encode`, nothing is encoded",
    );
    complains("encode gzip gzip", "E0024: `gzip` is said twice | remove one of them");
    complains(
        "encode gzip { level 11 }",
        "E0021: `gzip` has no level 11 here | the levels of gzip go from 1 (fast) to 9 (small)",
    );
    complains(
        "encode br { level 7 }",
        "E0021: `br` has no level 7 here | the levels of br go from 1 (fast) to 6 (small)",
    );
    complains("encode br { level 0 }", "E0021: `0` is too small | write `1` or more");
    complains("encode gzip { level best }", "E0020: `best` is not an encoding | write `zstd`, `br` or `gzip`");
    complains(
        "encode { level 5 }",
        "E0022: several encodings are offered, and this does not say whose level it is | write: level gzip 5",
    );
    complains(
        "encode br gzip { level gzip 5; level gzip 6 }",
        "E0024: the level of `gzip` is said twice | remove one of them",
    );
    complains(
        "encode gzip { level br 5 }",
        "W0009: `br` is not offered, so it has no level | remove the line, or name the encoding: encode … br",
    );
    complains(
        "encode { minimum 1024 }",
        "E0020: `1024` has no unit | write `1024B` for bytes, or `1024KiB`, `1024MiB`, `1024GiB`",
    );
    complains("encode { types html }", "E0020: `html` is not a media type | write `text/html`");
    complains(
        "encode { min_length 1KiB }",
        "E0011: `encode` has no option `min_length` | the options are `level`, `minimum`, `types` and `cross_site`",
    );
}
