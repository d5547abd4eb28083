//! `log`: where the access log goes, and how it looks.

use std::time::Duration;

use super::{Directive, Front, Room};
use crate::check::value::{Count, Size, Switch, Text};
use crate::check::{Arguments, Check, Opt, Reported, near};
use crate::diagnostic::{Code, Mistake};
use crate::site::Building;
use crate::syntax::tree::{Node, Word};
use crate::telemetry::access::{Form, Style};
use crate::telemetry::redact::{NAMES, Redact};
use crate::telemetry::writer::{Rotation, Target};

pub static ROOM: Room = Room {
    name: "log",
    syntax: "log [off|json|text] [stdout|stderr|file PATH] [{ … }]",
    summary: "the access log: one line for each request",
    doc: "Without it every site logs to standard output: JSON lines, or coloured ones on a terminal. In `global` it holds for all sites, in a site for that one.\n\nA file is rotated by size and age, and older ones are compressed.\n\nThe values of query parameters that usually hold secrets are written as `REDACTED`; `Authorization` and `Cookie` never get into the log.\n\nLines are written off the request path: a slow disk makes the log lose lines, which are counted, and never slows a request.",
    options: OPTIONS,
    examples: &["log json file /var/log/rp/access.log { rotate 50MiB; keep 20 }", "log text stderr", "log off"],
    related: &["global"],
    check,
};

pub const OPTIONS: &[Opt] = &[
    Opt::once("rotate", "rotate SIZE|off", "begins a new file at this size (100MiB)").by_default(&["100MiB"]),
    Opt::once("every", "every DURATION|off", "begins a new file after this time, in step with the clock (off)")
        .by_default(&["off"]),
    Opt::once("keep", "keep COUNT", "how many older files stay (10)").by_default(&["10"]),
    Opt::once("compress", "compress on|off", "compresses older files with gzip (on)").by_default(&["on"]),
    Opt::many("redact", "redact NAME …", "more query parameters whose values are left out"),
];

/// A log as it was asked for; what was left open is settled when the server starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogModel {
    Off,
    On { style: LogStyle, target: Target, rotation: Rotation },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogStyle {
    /// `None`: JSON, or coloured lines where the target is a terminal.
    pub form: Option<Form>,
    pub redact: Redact,
}

impl Default for LogModel {
    fn default() -> Self {
        Self::On {
            style: LogStyle { form: None, redact: Redact::default() },
            target: Target::Stdout,
            rotation: Rotation::default(),
        }
    }
}

impl LogStyle {
    /// With what depends on where the lines go.
    #[must_use]
    pub fn settle(&self, target: &Target) -> Style {
        use std::io::IsTerminal as _;
        let terminal = match target {
            Target::Stdout => std::io::stdout().is_terminal(),
            Target::Stderr => std::io::stderr().is_terminal(),
            Target::File(_) => false,
        };
        let people = if terminal && std::env::var_os("NO_COLOR").is_none() { Form::Coloured } else { Form::Plain };
        let form = match self.form {
            None => {
                if terminal {
                    people
                } else {
                    Form::Json
                }
            }
            Some(Form::Json) => Form::Json,
            Some(_) => people,
        };
        Style { form, redact: self.redact.clone() }
    }
}

#[derive(Debug)]
struct Log(LogModel);

fn check(node: &Node, cx: &mut Check) -> Result<Box<dyn Directive>, Reported> {
    Ok(Box::new(Log(read(node, cx)?)))
}

/// Reads a `log` statement, of a site or of `global`.
pub fn read(node: &Node, cx: &mut Check) -> Result<LogModel, Reported> {
    let mut args = Arguments::of(node, ROOM.syntax);
    if args.keyword("off") {
        args.done_without_block(cx)?;
        return Ok(LogModel::Off);
    }
    let form = if args.keyword("json") {
        Some(Form::Json)
    } else if args.keyword("text") {
        Some(Form::Plain)
    } else {
        None
    };
    let target = match args.word() {
        None => Target::Stdout,
        Some(word) => target(word, &mut args, cx)?,
    };
    args.done(cx)?;
    let mut rotation = Rotation::default();
    let mut names: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    cx.options(node, OPTIONS, |option, inner, cx| {
        let mut args = Arguments::of(inner, option.syntax);
        match option.name {
            "rotate" => {
                rotation.size = if args.keyword("off") { None } else { Some(args.expect::<Size>("a size", cx)?.0) }
            }
            "every" => {
                rotation.age = if args.keyword("off") { None } else { Some(args.expect::<Duration>("a duration", cx)?) }
            }
            "keep" => rotation.keep = args.expect::<Count>("a count", cx)?.0 as usize,
            "compress" => rotation.gzip = args.expect::<Switch>("on or off", cx)?.0,
            _ => names.extend(args.expect_all::<Text>("a name", cx)?.into_iter().map(|name| name.0)),
        }
        args.done_without_block(cx)
    })?;
    if node.block.is_some() && !matches!(target, Target::File(_)) && rotation != Rotation::default() {
        cx.report(
            Mistake::new(Code::W0009, node.words[0].span, format!("{target} is not rotated"))
                .help("log to a file: log file /var/log/rp/access.log { … }"),
        );
    }
    Ok(LogModel::On { style: LogStyle { form, redact: Redact::new(names) }, target, rotation })
}

fn target(word: &Word, args: &mut Arguments<'_>, cx: &mut Check) -> Result<Target, Reported> {
    let text = cx.value::<Text>(word)?.0;
    match text.as_str() {
        "stdout" => Ok(Target::Stdout),
        "stderr" => Ok(Target::Stderr),
        "file" => Ok(Target::File(args.expect::<Text>("the path of a file", cx)?.0.into())),
        _ if text.contains('/') => Err(cx.report(
            Mistake::new(Code::E0020, word.span, format!("`{text}` is neither a form nor a target of the log"))
                .help(format!("write: log file {text}")),
        )),
        _ => {
            let mistake =
                Mistake::new(Code::E0020, word.span, format!("`{text}` is neither a form nor a target of the log"));
            let near = near::nearest(&text, ["off", "json", "text", "stdout", "stderr", "file"]);
            Err(cx.report(match near {
                Some(near) => mistake.meant(&text, near).help(format!("write: {}", ROOM.syntax)),
                None => mistake.help(format!("write: {}", ROOM.syntax)),
            }))
        }
    }
}

impl Directive for Log {
    fn compile(&self, _: &mut Building<'_>) -> Result<(), Mistake> {
        Ok(())
    }

    fn front(&self) -> Option<Front<'_>> {
        Some(Front::Log(&self.0))
    }
}
