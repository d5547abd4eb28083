//! What the room reads. What it says of what it can't is in the golden files.

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
