//! RFC 7541: each way in which a field may be packed, and the ways in which none may.

use super::*;
use crate::frames::{indexed, literal};

/// `www.example.com`, `no-cache`, `custom-key` and `custom-value` in Huffman's code, as appendix C.4 of the RFC has them.
const HOST: &[u8] = &[0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
const NO_CACHE: &[u8] = &[0x86, 0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf];
const KEY: &[u8] = &[0x88, 0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f];
const VALUE: &[u8] = &[0x89, 0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf];

/// GET, `http` and `/` by their places in the static table.
const REQUEST: &[u8] = &[0x82, 0x86, 0x84];

/// A request with this block behind it.
fn with(more: &[u8]) -> Vec<u8> {
    let host = [&[0x01][..], HOST].concat();
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &[REQUEST, &host, more].concat())
}

/// And one more, on the same connection: what the first one left in the table does it no harm.
fn good(name: &'static str, more: &[u8]) -> Case {
    let again = frame(HEADERS, END_HEADERS | END_STREAM, 3, &request("GET", "/", &[]));
    let all = [Step::Say(with(more)), Step::Answered(1), Step::Say(again), Step::Answered(3)];
    steps(name, all.into(), Wanted::GoesOn)
}

fn bad(name: &'static str, more: &[u8]) -> Case {
    case(name, with(more), Wanted::Vaguely(COMPRESSION))
}

pub fn cases() -> Vec<Case> {
    let mut cases = representations();
    cases.extend(tables());
    cases.extend(mistakes());
    cases
}

/// Each representation, its name by place or in full, in Huffman's code or not.
fn representations() -> Vec<Case> {
    let plain: (&[u8], &[u8]) = (b"\x0acustom-key", b"\x0ccustom-value");
    let field = |start: &[u8], name: &[u8], value: &[u8]| [start, name, value].concat();
    vec![
        good("6.1 a field by its place", &[0x90]),
        good("6.2.1 into the table, name by place", &field(&[0x58], b"", b"\x08no-cache")),
        good("6.2.1 into the table, name by place, Huffman", &field(&[0x58], b"", NO_CACHE)),
        good("6.2.1 into the table", &field(&[0x40], plain.0, plain.1)),
        good("6.2.1 into the table, Huffman", &field(&[0x40], KEY, VALUE)),
        good("6.2.2 beside the table, name by place", &field(&[0x0f, 0x09], b"", b"\x08no-cache")),
        good("6.2.2 beside the table, name by place, Huffman", &field(&[0x0f, 0x09], b"", NO_CACHE)),
        good("6.2.2 beside the table", &field(&[0x00], plain.0, plain.1)),
        good("6.2.2 beside the table, Huffman", &field(&[0x00], KEY, VALUE)),
        good("6.2.3 never indexed, name by place", &field(&[0x1f, 0x09], b"", b"\x08no-cache")),
        good("6.2.3 never indexed, name by place, Huffman", &field(&[0x1f, 0x09], b"", NO_CACHE)),
        good("6.2.3 never indexed", &field(&[0x10], plain.0, plain.1)),
        good("6.2.3 never indexed, Huffman", &field(&[0x10], KEY, VALUE)),
        good("5.2 a value with nothing in it", &field(&[0x10], plain.0, b"\x00")),
    ]
}

fn tables() -> Vec<Case> {
    let sized = |sizes: &[u8]| {
        let block = [sizes, REQUEST, &literal(b"host", b"example.com")].concat();
        [frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)].concat()
    };
    let entered = [indexed(b"x-a", b"1"), vec![0xbe]].concat();
    vec![
        good("2.3.2 a field that has entered the table", &entered),
        good("4.4 a field larger than the table", &[indexed(b"x-a", &[b'a'; 4200]), literal(b"x-b", b"1")].concat()),
        case("6.3 the size of the table", sized(&[0x3f, 0x61]), Wanted::Served),
        case("6.3 no table", sized(&[0x20]), Wanted::Served),
        case("6.3 the size of the table, twice", sized(&[0x20, 0x3f, 0xe1, 0x1f]), Wanted::Served),
        case("6.3 a larger table than allowed", sized(&[0x3f, 0xe2, 0x1f]), Wanted::Vaguely(COMPRESSION)),
        bad("4.2 the size of the table behind a field", &[0x20]),
        bad(
            "4.3 a field that left the table",
            &[indexed(b"x-a", b"1"), indexed(b"x-b", &[b'a'; 4090]), vec![0xbf]].concat(),
        ),
    ]
}

fn mistakes() -> Vec<Case> {
    vec![
        bad("2.3.3 the first place beyond the tables", &[0xbe]),
        bad("2.3.3 a place beyond the tables", &[0xff, 0x00]),
        bad("2.3.3 a name by a place beyond the tables", &[0x7f, 0x00, 0x01, b'a']),
        bad("6.1 the place 0", &[0x80]),
        bad("5.1 an integer without an end", &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        bad("5.2 a text longer than the block", &[0x00, 0x01, b'a', 0x7e, b'b']),
        bad("5.2 padding of eight bits and more", &[&[0x00][..], KEY, &[0x8a], &VALUE[1..], &[0xff]].concat()),
        bad("5.2 padding of zeros", &[&[0x00][..], KEY, &[0x81, 0x18]].concat()),
        bad("5.2 the mark of the end", &[&[0x00][..], KEY, &[0x84, 0xff, 0xff, 0xff, 0xff]].concat()),
    ]
}
