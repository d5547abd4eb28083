//! `rate_limit`: so many requests in a time, from each client or for each key.

mod filter;
mod key;
mod pace;
mod table;

use self::filter::{Limit, Told};
use self::key::Key;
use self::pace::{Pace, Unkept};
use self::table::Table;
use super::{Directive, Effect, Room};
use crate::check::value::{Count, Rate, Switch};
use crate::check::{Arguments, Check, Opt, Reported, Value, Wrong, no_block};
use crate::diagnostic::{Code, Mistake, Span};
use crate::site::Building;
use crate::syntax::tree::{Node, Word};

pub static ROOM: Room = Room {
    name: "rate_limit",
    syntax: "rate_limit RATE [burst NUMBER] [by client_ip|header NAME|cookie NAME|KEY] [{ … }]",
    summary: "answers 429 to those who ask too often",
    doc: "RATE is a number of requests and a time: `10/s`, `100/m`, `5/10s`. Without `burst`, that number may come at once, and comes back evenly over the time: `100/m` lets 100 pass, refuses the 101st, and lets one more pass every 0.6 seconds. With `burst`, so many may come at once beyond the one that is due: after a pause, `10/s burst 20` lets 21 pass at once, then one every 100 ms; `burst 0` lets none come early. Nothing is ever made to wait.\n\n\
          What is counted together is said by `by`: the client's address (by default; all of an IPv6 /64, which is one client), a field, a cookie, or any text with placeholders: `by {host}{header.Authorization}`. A request that brings nothing of its key in is counted by its address, so leaving a field out lifts no limit. But a client that makes up a new key for each request is a new client each time: limit by address as well where keys are not checked.\n\n\
          Refused requests are answered with 429 and `Retry-After`, or by `handle_errors 429`; they use up nothing. Every answer tells the client where it stands, in `RateLimit-Policy` (`q`: how many may come at once, `w`: the seconds in which they come back) and `RateLimit` (`r`: how many may come now, `t`: the seconds until all have come back); `headers off` keeps that back.\n\n\
          Several limits one below the other each count for themselves, in written order: what passed the first has used one of the first's, though the second refuses it. So write the limit that is wider above.\n\n\
          A limit keeps what it knows over a reload that leaves its statement as it is. It knows up to `keys` keys, at 18 bytes each; beyond them it forgets the key whose allowance is nearest to whole. Each process counts for itself.",
    options: OPTIONS,
    examples: &[
        "rate_limit 10/s burst 20",
        "rate_limit 100/m by header X-Api-Key",
        "rate_limit 5/10s by {host}{path} { headers off }",
        "rate_limit 1000/h by cookie session { keys 100000 }",
    ],
    related: &["max_body", "handle_errors", "global"],
    check,
};

const OPTIONS: &[Opt] = &[
    Opt::once(
        "keys",
        "keys NUMBER",
        "how many keys are known at once (1000000, which take 18 MiB once there are so many)",
    )
    .by_default(&["1000000"]),
    Opt::once("headers", "headers on|off", "tells clients where they stand, in every answer (on)").by_default(&["on"]),
];

const KEYS: u32 = 1_000_000;

/// A checked limit.
#[derive(Debug)]
struct Model {
    /// As it was written.
    rate: Box<str>,
    burst: Option<u32>,
    pace: Pace,
    key: Key,
    keys: u32,
    headers: bool,
}

fn check(node: &Node, cx: &mut Check) -> Result<Box<dyn Directive>, Reported> {
    read(node, cx).map(|model| Box::new(model) as Box<dyn Directive>)
}

fn read(node: &Node, cx: &mut Check) -> Result<Model, Reported> {
    let mut args = Arguments::of(node, ROOM.syntax);
    let word = args.expect_word("a rate", cx)?;
    let rate: Rate = cx.value(word)?;
    let burst_at = args.peek().map(|word| word.span);
    let burst = if args.keyword("burst") { Some(args.expect::<Burst>("a number", cx)?.0) } else { None };
    // `1/s burst 0` says in full what it means.
    if let (Some(at), Some(burst)) = (burst_at, burst.filter(|burst| *burst > 0 && *burst == rate.events - 1)) {
        cx.report(idle_burst(word, at, burst, rate.events));
    }
    let key = if args.keyword("by") { Key::read(&mut args, cx)? } else { Key::client_ip() };
    args.done(cx)?;
    let pace = Pace::new(rate, burst).map_err(|why| unkept(why, word, cx))?;
    let text = word.plain().unwrap_or_default();
    let mut model = Model { rate: text.into(), burst, pace, key, keys: KEYS, headers: true };
    cx.options(node, OPTIONS, |option, inner, cx| {
        no_block(inner, cx)?;
        let mut args = Arguments::of(inner, option.syntax);
        if option.name == "keys" {
            model.keys = args.expect::<Count>("a number", cx)?.0;
        } else {
            model.headers = args.expect::<Switch>("`on` or `off`", cx)?.0;
        }
        args.done(cx)
    })?;
    Ok(model)
}

fn unkept(why: Unkept, word: &Word, cx: &mut Check) -> Reported {
    let text = word.plain().unwrap_or_default();
    let (sentence, help) = match why {
        Unkept::TooFast => (format!("`{text}` is more than a million in a second"), "write `1000000/s` or less"),
        Unkept::TooLong => (
            format!("at `{text}`, what is used up takes more than a hundred years to come back"),
            "write a smaller burst, or a shorter time",
        ),
    };
    cx.report(Mistake::new(Code::E0021, word.span, sentence).help(help))
}

fn idle_burst(word: &Word, at: Span, burst: u32, events: u32) -> Mistake {
    let text = word.plain().unwrap_or_default();
    let sentence = format!("`{text}` lets {events} pass at once as it is, and with `burst {burst}` no more");
    Mistake::new(Code::W0009, at, sentence)
        .other(word.span, "a window's worth may come at once")
        .help(format!("remove it; to let more pass at once, write a larger number: burst {}", events.saturating_mul(2)))
}

/// Requests beyond the one that is due; 0 is one too.
struct Burst(u32);

impl Value for Burst {
    const KIND: &'static str = "a number of requests";
    const EXAMPLE: &'static str = "20";

    fn parse(text: &str) -> Result<Self, Wrong> {
        if text == "0" { Ok(Self(0)) } else { Count::parse(text).map(|count| Self(count.0)) }
    }
}

impl Model {
    /// The statement in one form: what a limit is known by over a reload, and in the log.
    fn what(&self) -> String {
        let burst = self.burst.map_or(String::new(), |burst| format!(" burst {burst}"));
        format!("{}{burst} by {}", self.rate, self.key.text)
    }
}

/// What a limit lets through: conforming to it is a matter of `Pace` alone.
#[derive(Debug, Clone, Copy)]
pub struct Bound<'a> {
    /// Equal for limits that count the same requests together.
    pub key: &'a str,
    /// The key is the same wherever in a site it is asked for.
    pub of_client: bool,
    pace: &'a Pace,
}

impl Bound<'_> {
    /// Whoever has come through this limit is never refused by `other`, if both count them together. (A table that is
    /// full forgets, but nobody limits for that.)
    #[must_use]
    pub fn hides(&self, other: &Bound<'_>) -> bool {
        self.key == other.key && self.pace.is_within(other.pace)
    }
}

impl Directive for Model {
    fn effect(&self) -> Effect<'_> {
        Effect::Limits(Bound { key: &self.key.text, of_client: self.key.is_of_client(), pace: &self.pace })
    }

    fn compile(&self, site: &mut Building<'_>) -> Result<(), Mistake> {
        let what = self.what();
        let place = format!("rate_limit {} {what} keys {}", site.name, self.keys);
        let table = site.supplies.adopt_own(&place, || Table::new(self.keys));
        site.filter(Limit {
            pace: self.pace,
            key: self.key.clone(),
            table,
            what: what.into(),
            told: self.headers.then(|| Told::new(&self.rate, &self.pace)),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
