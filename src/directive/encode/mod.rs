//! `encode`: answers made smaller on their way.

mod accept;
mod body;
mod coder;
mod filter;
mod media;

use smallvec::SmallVec;

use self::accept::Coding;
use self::filter::{Encode, Offer};
use self::media::COMMON;
pub use self::media::MediaRange;
use super::{Directive, Effect, Room};
use crate::check::value::{Count, Size, Switch};
use crate::check::{Arguments, Check, Opt, Reported, Value, Wrong, near, no_block};
use crate::diagnostic::{Code, Mistake};
use crate::site::Building;
use crate::syntax::tree::{Node, Word};

pub static ROOM: Room = Room {
    name: "encode",
    syntax: "encode [zstd|br|gzip …] [{ … }]",
    summary: "compresses answers for the clients that take it",
    doc: "Without a word: zstd, br and gzip. The client's weights decide (RFC 9110, 12.5.3); of encodings that it likes as much, the one written first is used.\n\n\
          An answer is encoded if it is of one of the `types` and not shorter than `minimum`, unless it is encoded already, is a part (206), says `Cache-Control: no-transform`, or is gRPC. Whatever may be encoded says `Vary: Accept-Encoding`, to clients that don't take it too. What is encoded loses its `Content-Length`, its `Accept-Ranges` and its digests, and its `ETag` becomes a weak one. A client that sends the weak tag in `If-None-Match` still gets its 304, since that comparison is a weak one; `If-Match` wants a strong tag, so it can't be used with an encoded answer. An answer to HEAD has the fields of the answer to GET.\n\n\
          An answer whose length is not known, and every `text/event-stream`, is brought out whenever the origin pauses, so an event is never kept back.\n\n\
          The levels by default are gzip 2, br 4 and zstd 3: beyond them a few per cent of size cost twice the CPU. gzip and zstd go from 1 to 9, br from 1 to 6. br and zstd look back on 256 KiB, which bounds the memory of each answer on its way: at these levels 0.4 MiB with gzip, 1.5 with zstd and 2 with br.\n\n\
          Where a page shows a secret and something that the client sent, its encoded size tells whether the two are alike, and another site that makes a browser ask often enough can read the secret (BREACH). So what another site asks for with the user's cookies, without the user having clicked, is sent as it is. `cross_site on` ends that. `Set-Cookie` makes no difference: fields are not encoded with the body.",
    options: OPTIONS,
    examples: &[
        "encode",
        "encode zstd br gzip",
        "encode gzip { level 2 }",
        "encode zstd gzip { level gzip 5; minimum 2KiB; types text/* application/json }",
    ],
    related: &["file_server", "header"],
    check,
};

const OPTIONS: &[Opt] = &[
    Opt::many(
        "level",
        "level [zstd|br|gzip] NUMBER",
        "how hard to try, from 1, fast, to 9, small, br only to 6 (zstd 3, br 4, gzip 2)",
    )
    .by_default(&["zstd 3", "br 4", "gzip 2"]),
    Opt::once("minimum", "minimum SIZE", "shorter answers go as they are (1KiB)").by_default(&["1KiB"]),
    Opt::once(
        "types",
        "types TYPE …",
        "which media types are encoded: `text/*`, `application/json`, or `+json` for all that end so (text, JSON, JavaScript, XML, SVG and WebAssembly)",
    ),
    Opt::once(
        "cross_site",
        "cross_site on|off",
        "encodes also what another site asks for with the user's cookies (off)",
    )
    .by_default(&["off"]),
];

/// In a TCP segment or so, nothing is won.
const MINIMUM: u64 = 1 << 10;

fn check(node: &Node, cx: &mut Check) -> Result<Box<dyn Directive>, Reported> {
    read(node, cx).map(|encode| Box::new(encode) as Box<dyn Directive>)
}

fn read(node: &Node, cx: &mut Check) -> Result<Encode, Reported> {
    let mut offers = offers(node, cx);
    let mut encode = Encode { offers: [].into(), minimum: MINIMUM, types: common(), cross_site: false };
    let mut levels = Levels::default();
    let options = cx.options(node, OPTIONS, |option, inner, cx| {
        no_block(inner, cx)?;
        let mut args = Arguments::of(inner, option.syntax);
        match option.name {
            "level" => {
                let offers = offers.as_deref_mut().map_err(|reported| *reported)?;
                levels.read(args, offers, inner, cx)
            }
            "minimum" => {
                encode.minimum = args.expect::<Size>("a size", cx)?.0;
                args.done(cx)
            }
            "types" => {
                encode.types = args.expect_all::<MediaRange>("a type", cx)?.into();
                Ok(())
            }
            _ => {
                encode.cross_site = args.expect::<Switch>("`on` or `off`", cx)?.0;
                args.done(cx)
            }
        }
    });
    encode.offers = offers?.as_slice().into();
    options?;
    Ok(encode)
}

type Offers = SmallVec<[Offer; 3]>;

/// The encodings named, each at its own level by default.
fn offers(node: &Node, cx: &mut Check) -> Result<Offers, Reported> {
    let words = &node.words[1..];
    if words.is_empty() {
        return Ok(Coding::ALL.map(Offer::usual).into_iter().collect());
    }
    let mut offers = Offers::new();
    let mut outcome = Ok(());
    for (index, word) in words.iter().enumerate() {
        match cx.value::<Coding>(word) {
            Err(reported) => outcome = Err(reported),
            Ok(coding) if offers.iter().any(|offer| offer.coding == coding) => {
                let first = words[..index].iter().find(|word| word.plain() == Some(coding.name()));
                outcome = Err(twice(coding, word, first.unwrap_or(word), cx));
            }
            Ok(coding) => offers.push(Offer::usual(coding)),
        }
    }
    outcome.map(|()| offers)
}

fn twice(coding: Coding, word: &Word, first: &Word, cx: &mut Check) -> Reported {
    cx.report(
        Mistake::new(Code::E0024, word.span, format!("`{}` is said twice", coding.name()))
            .other(first.span, "first said here")
            .help("remove one of them")
            .fix(word.plain().unwrap_or_default(), ""),
    )
}

fn common() -> std::sync::Arc<[MediaRange]> {
    COMMON.iter().filter_map(|range| MediaRange::parse(range).ok()).collect()
}

impl Offer {
    fn usual(coding: Coding) -> Self {
        let level = match coding {
            Coding::Zstd => 3,
            Coding::Brotli => 4,
            // zlib-rs makes at level 2 what zlib makes at level 4 or so, at half the CPU of zlib's level 1.
            Coding::Gzip => 2,
        };
        Self { coding, level }
    }
}

impl Value for Coding {
    const KIND: &'static str = "an encoding";
    const EXAMPLE: &'static str = "zstd, br or gzip";

    fn parse(text: &str) -> Result<Self, Wrong> {
        Self::find(text).ok_or_else(|| match text {
            "brotli" => Wrong::kind().instead("br"),
            "zstandard" => Wrong::kind().instead("zstd"),
            "zip" | "x-gzip" | "gz" => Wrong::kind().instead("gzip"),
            "deflate" => Wrong::say("`deflate` is understood in two ways, so no one sends it").instead("gzip"),
            "identity" | "off" | "none" => {
                Wrong::kind().help("remove the statement: without `encode`, nothing is encoded")
            }
            _ => match near::nearest(text, Self::ALL.map(Self::name)) {
                Some(near) => Wrong::kind().instead(near),
                None => Wrong::kind().help("write `zstd`, `br` or `gzip`"),
            },
        })
    }
}

/// Those above what an encoding takes here cost a second or tens of megabytes for one answer: they are for files that
/// are encoded once, ahead of time.
fn highest(coding: Coding) -> u8 {
    match coding {
        Coding::Zstd | Coding::Gzip => 9,
        Coding::Brotli => 6,
    }
}

fn level(coding: Coding, word: &Word, cx: &mut Check) -> Result<u8, Reported> {
    let Count(level) = cx.value(word)?;
    let (name, highest) = (coding.name(), highest(coding));
    u8::try_from(level).ok().filter(|level| *level <= highest).ok_or_else(|| {
        cx.report(
            Mistake::new(Code::E0021, word.span, format!("`{name}` has no level {level} here"))
                .help(format!("the levels of {name} go from 1 (fast) to {highest} (small)")),
        )
    })
}

/// The `level` options seen so far.
#[derive(Default)]
struct Levels(SmallVec<[(Coding, crate::diagnostic::Span); 3]>);

impl Levels {
    /// `level NUMBER` where one encoding is offered, else `level ENCODING NUMBER`.
    fn read(
        &mut self,
        mut args: Arguments<'_>,
        offers: &mut [Offer],
        node: &Node,
        cx: &mut Check,
    ) -> Result<(), Reported> {
        let coding = match (args.peek(), &*offers) {
            (Some(word), [one]) if !names_a_coding(word) => one.coding,
            (Some(word), _) if is_number(word) => return Err(of_which(word, offers, cx)),
            _ => args.expect("an encoding and a level", cx)?,
        };
        let level = level(coding, args.expect_word("a level", cx)?, cx)?;
        args.done(cx)?;
        if let Some((_, first)) = self.0.iter().find(|(seen, _)| *seen == coding) {
            return Err(cx.report(
                Mistake::new(Code::E0024, node.span, format!("the level of `{}` is said twice", coding.name()))
                    .other(*first, "first said here")
                    .help("remove one of them"),
            ));
        }
        self.0.push((coding, node.span));
        match offers.iter_mut().find(|offer| offer.coding == coding) {
            Some(offer) => offer.level = level,
            None => {
                cx.report(
                    Mistake::new(
                        Code::W0009,
                        node.span,
                        format!("`{}` is not offered, so it has no level", coding.name()),
                    )
                    .help(format!("remove the line, or name the encoding: `encode … {}`", coding.name())),
                );
            }
        }
        Ok(())
    }
}

fn names_a_coding(word: &Word) -> bool {
    word.plain().is_some_and(|text| Coding::find(text).is_some())
}

fn is_number(word: &Word) -> bool {
    word.plain().is_some_and(|text| text.starts_with(|first: char| first.is_ascii_digit() || first == '-'))
}

fn of_which(word: &Word, offers: &[Offer], cx: &mut Check) -> Reported {
    let text = word.plain().unwrap_or_default();
    let name = offers.last().map_or("gzip", |offer| offer.coding.name());
    cx.report(
        Mistake::new(Code::E0022, word.span, "several encodings are offered, and this does not say whose level it is")
            .help(format!("write `level {name} {text}`")),
    )
}

impl Directive for Encode {
    fn compile(&self, site: &mut Building<'_>) -> Result<(), Mistake> {
        site.filter(self.clone());
        Ok(())
    }

    fn effect(&self) -> Effect<'_> {
        Effect::Bodies
    }
}

#[cfg(test)]
mod tests;
