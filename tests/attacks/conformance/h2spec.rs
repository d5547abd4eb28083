//! The cases of h2spec, the public suite of tests for servers of HTTP/2, each beside the one of ours that is the same: sends
//! what it sends, and demands no less.
//!
//! Its sections are those of RFC 7540, which RFC 9113 has replaced and numbered anew. `generic` is what a server must take.

use std::collections::BTreeSet;

use super::{exchanges, frames, packing, streams};

/// A section, how many cases h2spec has in it, and those of ours, in its order.
type Row = (&'static str, usize, &'static [&'static str]);

/// The second is run with `--strict` alone.
const STRICT: (&str, usize) = ("http2/5.4.1", 1);

const CONNECTION: &[Row] = &[
    // A port that speaks HTTP/1, too, answers the second in HTTP/1: 400, and the connection ends.
    ("http2/3.5", 2, &["3.4 the server's settings come first", "3.4 no preface"]),
    ("http2/4.1", 3, &["4.1 a frame of no known kind", "4.1 flags that are none", "4.1 the reserved bit"]),
    (
        "http2/4.2",
        3,
        &["4.2 as many bytes as a frame may have", "4.2 DATA of one byte more", "4.2 HEADERS of many more"],
    ),
    ("http2/4.3", 3, &["4.3 a block that breaks off", "4.3 PRIORITY within a head", "4.3 another head within a head"]),
    (
        "http2/5.1",
        13,
        &[
            "5.1 idle: DATA",
            "5.1 idle: RST_STREAM",
            "5.1 idle: WINDOW_UPDATE",
            "5.1 idle: CONTINUATION",
            "5.1 half-closed: DATA",
            "5.1 half-closed: HEADERS",
            "5.1 half-closed: CONTINUATION",
            "5.1 closed by RST_STREAM: DATA",
            "5.1 closed by RST_STREAM: HEADERS",
            "5.1 closed by RST_STREAM: CONTINUATION",
            "5.1 closed by END_STREAM: DATA",
            "5.1 closed by END_STREAM: HEADERS",
            "5.1 closed by END_STREAM: CONTINUATION",
        ],
    ),
    ("http2/5.1.1", 2, &["5.1.1 an even stream", "5.1.1 a stream before one that was opened"]),
    ("http2/5.1.2", 1, &["5.1.2 more streams than allowed"]),
    ("http2/5.3.1", 2, &["5.3.1 HEADERS that depend on themselves", "5.3.1 idle: PRIORITY that depends on itself"]),
    (
        "http2/5.4.1",
        2,
        &["5.4.1 the connection is closed behind GOAWAY", "5.4.1 the connection is closed behind GOAWAY"],
    ),
    ("http2/5.5", 2, &["5.5 a frame of no known kind", "5.5 a frame of no known kind within a head"]),
];

const FRAMES: &[Row] = &[
    (
        "http2/6.1",
        3,
        &["6.1 DATA on no stream", "6.1 DATA on a stream that has ended", "6.1 more padding than payload"],
    ),
    (
        "http2/6.2",
        4,
        &[
            "4.3 PRIORITY within a head",
            "4.3 another head within a head",
            "6.2 HEADERS on no stream",
            "6.2 more padding than payload",
        ],
    ),
    ("http2/6.3", 2, &["6.3 PRIORITY of no stream", "6.3 PRIORITY of another length"]),
    (
        "http2/6.4",
        3,
        &[
            "6.4 RST_STREAM of no stream",
            "6.4 RST_STREAM of a stream that never was",
            "6.4 RST_STREAM of another length",
        ],
    ),
    (
        "http2/6.5",
        3,
        &["6.5 SETTINGS with ACK and content", "6.5 SETTINGS of a stream", "6.5 SETTINGS of another length"],
    ),
    (
        "http2/6.5.2",
        5,
        &[
            "6.5.2 ENABLE_PUSH of 2",
            "6.5.2 INITIAL_WINDOW_SIZE beyond 2^31-1",
            "6.5.2 MAX_FRAME_SIZE below 2^14",
            "6.5.2 MAX_FRAME_SIZE beyond 2^24-1",
            "6.5.2 a setting that nobody knows",
        ],
    ),
    ("http2/6.5.3", 2, &["6.5.3 the last of several values holds", "6.5.3 SETTINGS are acknowledged"]),
    ("http2/6.7", 4, &["6.7 PING", "6.7 PING with ACK", "6.7 PING of a stream", "6.7 PING of another length"]),
    ("http2/6.8", 1, &["6.8 GOAWAY of a stream"]),
    (
        "http2/6.9",
        3,
        &[
            "6.9 WINDOW_UPDATE of nothing",
            "6.9 WINDOW_UPDATE of nothing, of a stream",
            "6.9 WINDOW_UPDATE of another length",
        ],
    ),
    (
        "http2/6.9.1",
        3,
        &[
            "6.9.1 no more than the window",
            "6.9.1 a window that grows beyond 2^31-1",
            "6.9.1 a stream's window that grows beyond 2^31-1",
        ],
    ),
    (
        "http2/6.9.2",
        3,
        &[
            "6.9.2 a window that is set while an answer waits for it",
            "6.9.2 a window below nothing",
            "6.5.2 INITIAL_WINDOW_SIZE beyond 2^31-1",
        ],
    ),
    (
        "http2/6.10",
        6,
        &[
            "6.10 CONTINUATION, more than once",
            "6.10 CONTINUATION, and then DATA",
            "6.10 CONTINUATION on no stream",
            "6.10 CONTINUATION behind a whole head",
            "6.10 CONTINUATION behind its own end",
            "6.10 CONTINUATION behind DATA within a head",
        ],
    ),
    ("http2/7", 2, &["7 GOAWAY for a reason that nobody knows", "7 RST_STREAM for a reason that nobody knows"]),
];

const EXCHANGES: &[Row] = &[
    ("http2/8.1", 1, &["8.1 trailers without an end"]),
    ("http2/8.1.2", 1, &["8.2.1 a name with a capital"]),
    (
        "http2/8.1.2.1",
        4,
        &[
            "8.3 one that nobody knows",
            "8.3 one of answers",
            "8.3 one among trailers without an end",
            "8.3 one behind another field, first of all",
        ],
    ),
    ("http2/8.1.2.2", 2, &["8.2.2 connection", "8.2.2 TE of anything else"]),
    (
        "http2/8.1.2.3",
        7,
        &[
            "8.3.1 an empty path",
            "8.3.1 no method",
            "8.3.1 no scheme",
            "8.3.1 no path",
            "8.3.1 two methods",
            "8.3.1 two schemes",
            "8.3.1 two paths",
        ],
    ),
    ("http2/8.1.2.6", 2, &["8.1.1 more DATA than said", "8.1.1 more DATA than said, in sum"]),
    ("http2/8.2", 1, &["8.4 PUSH_PROMISE of a client"]),
];

const PACKING: &[Row] = &[
    ("hpack/2.3.3", 2, &["2.3.3 a place beyond the tables", "2.3.3 a name by a place beyond the tables"]),
    ("hpack/4.2", 1, &["4.2 the size of the table behind a field"]),
    ("hpack/5.2", 3, &["5.2 padding of eight bits and more", "5.2 padding of zeros", "5.2 the mark of the end"]),
    ("hpack/6.1", 1, &["6.1 the place 0"]),
    ("hpack/6.3", 1, &["6.3 a larger table than allowed"]),
];

const GENERIC: &[Row] = &[
    ("generic/1", 1, &["3.4 the server's settings come first"]),
    (
        "generic/2",
        5,
        &[
            "5.1 idle: PRIORITY",
            "5.1 half-closed: WINDOW_UPDATE",
            "5.1 half-closed: PRIORITY",
            "5.1 half-closed: RST_STREAM",
            "5.1 closed by END_STREAM: PRIORITY",
        ],
    ),
    ("generic/3.1", 3, &["6.1 DATA", "6.1 DATA, more than once", "6.1 DATA with padding"]),
    ("generic/3.2", 3, &["8.1 GET", "6.2 HEADERS with padding", "6.2 HEADERS with a priority"]),
    (
        "generic/3.3",
        5,
        &[
            "6.3 PRIORITY of weight 1",
            "6.3 PRIORITY of weight 256",
            "6.3 PRIORITY under another stream",
            "6.3 PRIORITY in place of others",
            "6.3 PRIORITY of a stream to come",
        ],
    ),
    ("generic/3.4", 1, &["6.4 RST_STREAM"]),
    ("generic/3.5", 1, &["6.5 SETTINGS of all that there are"]),
    ("generic/3.7", 1, &["6.7 PING"]),
    ("generic/3.8", 1, &["6.8 GOAWAY with words"]),
    ("generic/3.9", 2, &["6.9 WINDOW_UPDATE of the connection", "6.9 WINDOW_UPDATE of a stream"]),
    ("generic/3.10", 2, &["6.10 CONTINUATION", "6.10 CONTINUATION, more than once"]),
    ("generic/4", 4, &["8.1 GET", "8.1 HEAD", "8.1 POST", "8.1 POST with trailers"]),
    (
        "generic/5",
        15,
        &[
            "6.1 a field by its place",
            "6.2.1 into the table, name by place",
            "6.2.1 into the table, name by place, Huffman",
            "6.2.1 into the table",
            "6.2.1 into the table, Huffman",
            "6.2.2 beside the table, name by place",
            "6.2.2 beside the table, name by place, Huffman",
            "6.2.2 beside the table",
            "6.2.2 beside the table, Huffman",
            "6.2.3 never indexed, name by place",
            "6.2.3 never indexed, name by place, Huffman",
            "6.2.3 never indexed",
            "6.2.3 never indexed, Huffman",
            "6.3 the size of the table",
            "6.3 the size of the table, twice",
        ],
    ),
];

#[test]
fn each_case_of_h2spec_has_one_of_ours() {
    let run = [frames::cases(), streams::cases(), exchanges::cases(), packing::cases()];
    let names: Vec<&str> = run.iter().flatten().map(|case| case.name).collect();
    let known: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(known.len(), names.len(), "a name stands for one case");
    let rows: Vec<&Row> = [CONNECTION, FRAMES, EXCHANGES, PACKING, GENERIC].into_iter().flatten().collect();
    let mut ids = BTreeSet::new();
    for (section, count, ours) in rows {
        assert_eq!(ours.len(), *count, "{section}");
        for (at, name) in ours.iter().enumerate() {
            assert!(known.contains(name), "{section}/{}: no case `{name}`", at + 1);
            assert!(ids.insert((*section, at)), "{section} stands here twice");
        }
    }
    let of = |suite: &str| ids.iter().filter(|(section, _)| section.starts_with(suite)).count();
    assert_eq!((of("http2/"), of("hpack/"), of("generic/")), (95, 8, 44));
    assert!(ids.remove(&STRICT));
    assert_eq!(ids.len(), 146);
}
