//! A file of tests, read.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Version;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::check::expand::{Process, expand};
use crate::check::value::{Count, FieldName, MethodName, Pattern, Size, Status, StatusMatch, Text, Url};
use crate::check::{Arguments, Check, Opt, Reported, Value, Wrong, near, no_block};
use crate::diagnostic::{Code, FileId, Findings, Mistake, Sources, Span};
use crate::http::fault::{Blame, Cause};
use crate::server::rehearse::{Reply, Request};
use crate::syntax;
use crate::syntax::tree::Node;

/// The tests of one file, and the configuration that they are of.
#[derive(Debug)]
pub struct Script {
    pub config: PathBuf,
    pub cases: Vec<Case>,
}

#[derive(Debug)]
pub struct Case {
    pub name: String,
    pub steps: Vec<Step>,
}

#[derive(Debug)]
pub enum Step {
    Request(Box<Asked>),
    Expect(Expectation),
}

#[derive(Debug)]
pub struct Asked {
    pub at: Span,
    pub request: Request,
    pub reply: Reply,
    pub times: u32,
}

#[derive(Debug)]
pub struct Expectation {
    pub at: Span,
    pub what: Expect,
}

/// What is expected of the request before it.
#[derive(Debug)]
pub enum Expect {
    Status(StatusMatch),
    Site(String),
    /// As it is written behind `route`.
    Route(String),
    Upstream(String),
    Server(String),
    Uri(Wanted),
    Error(String),
    Body(Wanted),
    Field(Side, HeaderName, Wanted),
    NoField(Side, HeaderName),
}

/// Of which message a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// As it would reach the server.
    Request,
    Answer,
}

#[derive(Debug)]
pub enum Wanted {
    /// That there is one at all.
    Some,
    Text(String),
    Matching(Pattern),
}

const TOP: [&str; 4] = ["test", "config", "snippet", "use"];
const TEST: &str = "test NAME { request …; expect … }";
const CASE: &[Opt] = &[
    Opt::many("request", "request [METHOD] URL { … }", "asks, with nothing sent"),
    Opt::many("expect", "expect [no] status|site|route|upstream|server|uri|error|body|header|request header …", ""),
];
const REQUEST: &[Opt] = &[
    Opt::many("header", "header NAME VALUE", "a field of the request"),
    Opt::once("from", "from IP", "where the connection comes from; 192.0.2.1 by default"),
    Opt::once("body", "body SIZE", "the size of its body; none by default"),
    Opt::once("protocol", "protocol http/1.1|h2", "http/1.1 by default"),
    Opt::once("after", "after DURATION", "since the test began; 0s by default"),
    Opt::once("times", "times NUMBER", "asks so often; expectations are of the last"),
    Opt::once("reply", "reply STATUS|ERROR { … }", "what the server would do; 200 by default"),
];
const REPLY: &[Opt] = &[Opt::many("header", "header NAME VALUE", "a field of the server's answer")];
const EXPECT: [&str; 11] =
    ["status", "site", "route", "upstream", "server", "uri", "error", "body", "header", "request", "no"];

impl Script {
    /// Reads the tests of a file; every mistake in it, where there are any.
    pub fn read(path: &Path, text: &str) -> Result<Self, (Vec<Mistake>, Sources)> {
        let mut sources = Sources::default();
        let file = sources.add(path, text);
        let (tree, mistakes) = syntax::parse(file, text);
        let mut cx = Check::default();
        let nodes = expand(&tree, &Process, &mut cx);
        let mut script = Self { config: default_config(path), cases: Vec::new() };
        for node in &nodes {
            let _ = script.statement(node, path, &mut cx);
        }
        let mut findings = Findings::default();
        findings.extend(mistakes);
        findings.extend(cx.finish().sorted());
        if findings.has_errors() { Err((findings.sorted(), sources)) } else { Ok(script) }
    }

    fn statement(&mut self, node: &Node, path: &Path, cx: &mut Check) -> Result<(), Reported> {
        match node.name() {
            "test" => {
                let mut args = Arguments::of(node, TEST);
                let name = args.expect::<Text>("a name", cx)?.0;
                args.done(cx)?;
                self.cases.push(Case { name, steps: steps(node, cx)? });
                Ok(())
            }
            "config" => {
                let mut args = Arguments::of(node, "config PATH");
                let config = args.expect::<Text>("a path", cx)?.0;
                args.done_without_block(cx)?;
                self.config = path.parent().unwrap_or(Path::new("")).join(config);
                Ok(())
            }
            name => {
                let at = node.words[0].span;
                let mistake = Mistake::new(Code::E0010, at, format!("`{name}` is no statement of a file of tests"));
                Err(cx.report(match near::nearest(name, TOP) {
                    Some(near) => mistake.label(format!("did you mean `{near}`?")).help(format!("write: {near} …")),
                    None => mistake.help(format!("write: {TEST}")),
                }))
            }
        }
    }

    /// The same, as of a file that is another's neighbour.
    #[must_use]
    pub fn moved_to(mut self, file: FileId) -> Self {
        for step in self.cases.iter_mut().flat_map(|case| &mut case.steps) {
            match step {
                Step::Request(asked) => asked.at.file = file,
                Step::Expect(expectation) => expectation.at.file = file,
            }
        }
        self
    }
}

/// `Proxyfile.test` tests `Proxyfile`.
fn default_config(path: &Path) -> PathBuf {
    if path.extension().is_some_and(|ending| ending == "test") {
        path.with_extension("")
    } else {
        path.with_file_name("Proxyfile")
    }
}

fn steps(node: &Node, cx: &mut Check) -> Result<Vec<Step>, Reported> {
    let mut steps = Vec::new();
    let mut is_asked = false;
    cx.options(node, CASE, |option, inner, cx| {
        if option.name == "request" {
            is_asked = true;
            steps.push(Step::Request(Box::new(asked(inner, cx)?)));
            return Ok(());
        }
        if !is_asked {
            let text = "an `expect` without a `request` before it";
            return Err(cx.report(Mistake::new(Code::E0027, inner.words[0].span, text).help(format!("write: {TEST}"))));
        }
        let what = expect(inner, cx)?;
        no_block(inner, cx)?;
        let last = inner.words.last().map_or(inner.words[0].span, |word| word.span);
        steps.push(Step::Expect(Expectation { at: inner.words[0].span.to(last), what }));
        Ok(())
    })?;
    if !steps.iter().any(|step| matches!(step, Step::Expect(_))) {
        let text = "a test that expects nothing cannot fail";
        return Err(cx.report(Mistake::new(Code::E0022, node.words[0].span, text).help(format!("write: {TEST}"))));
    }
    Ok(steps)
}

fn asked(node: &Node, cx: &mut Check) -> Result<Asked, Reported> {
    let mut args = Arguments::of(node, CASE[0].syntax);
    let method = match args.rest() {
        [_, _, ..] => args.expect::<MethodName>("a method", cx)?.0,
        _ => http::Method::GET,
    };
    let uri = args.expect::<Url>("a URL", cx)?.0;
    args.done(cx)?;
    let last = node.words.last().map_or(node.words[0].span, |word| word.span);
    let mut asked = Asked {
        at: node.words[0].span.to(last),
        request: Request {
            method,
            uri,
            version: Version::HTTP_11,
            headers: HeaderMap::new(),
            from: IpAddr::from([192, 0, 2, 1]),
            after: Duration::ZERO,
            body: 0,
        },
        reply: Reply::default(),
        times: 1,
    };
    cx.options(node, REQUEST, |option, inner, cx| request_option(&mut asked, option, inner, cx))?;
    Ok(asked)
}

fn request_option(asked: &mut Asked, option: &Opt, inner: &Node, cx: &mut Check) -> Result<(), Reported> {
    let mut args = Arguments::of(inner, option.syntax);
    let request = &mut asked.request;
    match option.name {
        "header" => field(&mut args, &mut request.headers, cx)?,
        "from" => request.from = args.expect::<Ip>("an address", cx)?.0,
        "body" => request.body = args.expect::<Size>("a size", cx)?.0,
        "protocol" => request.version = args.expect::<Protocol>("a protocol", cx)?.0,
        "after" => request.after = args.expect::<Duration>("a time", cx)?,
        "times" => asked.times = args.expect::<Count>("a number", cx)?.0,
        _ => {
            asked.reply = args.expect::<ReplyWith>("a status or an error", cx)?.0;
            args.done(cx)?;
            return cx.options(inner, REPLY, |option, inner, cx| {
                let mut args = Arguments::of(inner, option.syntax);
                if let Reply::Answer(_, headers) = &mut asked.reply {
                    field(&mut args, headers, cx)?;
                }
                args.done_without_block(cx)
            });
        }
    }
    args.done_without_block(cx)
}

fn field(args: &mut Arguments<'_>, headers: &mut HeaderMap, cx: &mut Check) -> Result<(), Reported> {
    let name = args.expect::<FieldName>("the name of a field", cx)?.0;
    let value = args.expect::<FieldValue>("a value", cx)?.0;
    headers.append(name, value);
    Ok(())
}

fn expect(node: &Node, cx: &mut Check) -> Result<Expect, Reported> {
    let mut args = Arguments::of(node, CASE[1].syntax);
    let word = args.expect_word("what", cx)?;
    let expect = match cx.plain(word)? {
        "status" => Expect::Status(args.expect("a status", cx)?),
        "site" => Expect::Site(args.expect::<Text>("an address", cx)?.0),
        "route" => {
            let mut words = Vec::new();
            while let Some(word) = args.word() {
                words.push(cx.plain(word)?);
            }
            Expect::Route(words.join(" "))
        }
        "upstream" => Expect::Upstream(args.expect::<Text>("a name", cx)?.0),
        "server" => Expect::Server(args.expect::<Text>("an address", cx)?.0),
        "uri" => Expect::Uri(wanted(&mut args, cx)?),
        "error" => Expect::Error(args.expect::<ErrorCode>("an error", cx)?.0),
        "body" => Expect::Body(wanted(&mut args, cx)?),
        "header" => {
            let name = args.expect::<FieldName>("the name of a field", cx)?.0;
            Expect::Field(Side::Answer, name, wanted(&mut args, cx)?)
        }
        "request" => {
            let name = field_of_request(&mut args, cx)?;
            Expect::Field(Side::Request, name, wanted(&mut args, cx)?)
        }
        "no" if args.keyword("request") => Expect::NoField(Side::Request, field_of_request(&mut args, cx)?),
        "no" => Expect::NoField(Side::Answer, field_of_request(&mut args, cx)?),
        text => {
            let mistake = Mistake::new(Code::E0011, word.span, format!("nothing is known of `{text}` to expect"));
            return Err(cx.report(match near::nearest(text, EXPECT) {
                Some(near) => mistake.label(format!("did you mean `{near}`?")).help(format!("write: expect {near} …")),
                None => mistake.help(format!("write: {}", CASE[1].syntax)),
            }));
        }
    };
    args.done(cx)?;
    Ok(expect)
}

/// `header NAME`
fn field_of_request(args: &mut Arguments<'_>, cx: &mut Check) -> Result<HeaderName, Reported> {
    if !args.keyword("header") {
        return Err(args.missing("`header` and a name", cx));
    }
    Ok(args.expect::<FieldName>("the name of a field", cx)?.0)
}

fn wanted(args: &mut Arguments<'_>, cx: &mut Check) -> Result<Wanted, Reported> {
    if args.keyword("~") {
        return args.expect("a regular expression", cx).map(Wanted::Matching);
    }
    Ok(args.optional::<Text>(cx)?.map_or(Wanted::Some, |text| Wanted::Text(text.0)))
}

struct Ip(IpAddr);
struct Protocol(Version);
struct FieldValue(HeaderValue);
struct ReplyWith(Reply);
struct ErrorCode(String);

impl Value for Ip {
    const KIND: &'static str = "an address";
    const EXAMPLE: &'static str = "203.0.113.9 or 2001:db8::1";

    fn parse(text: &str) -> Result<Self, Wrong> {
        text.parse().map(Self).map_err(|_| Wrong::kind())
    }
}

impl Value for Protocol {
    const KIND: &'static str = "a protocol";
    const EXAMPLE: &'static str = "http/1.1 or h2";

    fn parse(text: &str) -> Result<Self, Wrong> {
        match text {
            "http/1.1" => Ok(Self(Version::HTTP_11)),
            "h2" => Ok(Self(Version::HTTP_2)),
            _ => Err(Wrong::kind()),
        }
    }
}

impl Value for FieldValue {
    const KIND: &'static str = "the value of a field";
    const EXAMPLE: &'static str = "a word or \"several words\"";

    fn parse(text: &str) -> Result<Self, Wrong> {
        HeaderValue::from_str(text).map(Self).map_err(|_| Wrong::kind())
    }
}

impl Value for ErrorCode {
    const KIND: &'static str = "the code of an error";
    const EXAMPLE: &'static str = "rate_limited or no_route";

    fn parse(text: &str) -> Result<Self, Wrong> {
        let known = || Cause::ALL.iter().map(|cause| cause.code());
        if known().any(|code| code == text) {
            return Ok(Self(text.to_owned()));
        }
        Err(match near::nearest(text, known()) {
            Some(near) => Wrong::kind().instead(near),
            None => Wrong::kind(),
        })
    }
}

impl Value for ReplyWith {
    const KIND: &'static str = "what a server does";
    const EXAMPLE: &'static str = "404, or upstream_connection_refused";

    fn parse(text: &str) -> Result<Self, Wrong> {
        let cause = Cause::ALL.iter().find(|cause| cause.code() == text && cause.blame() == Blame::Upstream);
        match cause {
            Some(cause) => Ok(Self(Reply::Fault(*cause))),
            None => Status::parse(text).map(|status: Status| Self(Reply::Answer(status.0, HeaderMap::new()))),
        }
    }
}
