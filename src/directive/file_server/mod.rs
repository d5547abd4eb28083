//! `file_server`: the files of a folder.

mod answer;
mod asset;
mod browse;
mod coding;
mod condition;
mod folder;
mod name;
mod pieces;
mod range;
mod serve;
mod shelf;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use asset::Dress;
use coding::Coding;
use folder::{Folder, Links};
use http::HeaderValue;
use name::{Hiding, NamePattern};
use serve::{FileServer, Served};

use super::{Directive, Room};
use crate::check::value::Switch;
use crate::check::{Arguments, Check, Opt, Reported, Value, Wrong};
use crate::diagnostic::{Code, Mistake, Span};
use crate::http::template::{Template, When};
use crate::site::Building;
use crate::syntax::tree::{Node, Word};

pub static ROOM: Room = Room {
    name: "file_server",
    syntax: "file_server FOLDER [{ … }]",
    summary: "serves the files of a folder",
    doc: "The request's path is looked up in FOLDER; a relative FOLDER is relative to the directory that rp is started in. It is the whole path that is looked up: to serve `/static/a.css` from `FOLDER/a.css`, put `strip_prefix /static` above. What is not there is answered 404.

A folder is served by its index file, and without one not at all unless `browse on` asks for a page that lists it. A folder's path without its slash is redirected to the one with it. Names that begin with a dot (except `.well-known`), a file named `Proxyfile`, what `hide` names, and symbolic links that lead out of FOLDER are answered as if they were not there. Only regular files are served: no pipes, no devices.

Files are answered with `ETag`, `Last-Modified` and `Accept-Ranges`; conditional requests, single ranges and up to 16 ranges at once are understood. Files larger than 128 KiB are sent in pieces and never held in memory. Smaller ones may be sent as they were up to one second ago.

Methods other than GET, HEAD and OPTIONS are answered 405. Inside `handle_errors` the file is sent whatever the method was, without validators, and with the status of what failed.",
    options: OPTIONS,
    examples: &[
        "file_server /var/www",
        "file_server /srv/app { try_files {path} /index.html }",
        "file_server /var/www { precompressed br zstd gzip; expires 7d immutable }",
        "file_server /srv/downloads { browse on; index off }",
    ],
    related: &["strip_prefix", "encode", "handle_errors"],
    check,
};

static OPTIONS: &[Opt] = &[
    Opt::once(
        "index",
        "index NAME … | off",
        "the files that stand for their folder, the first that is there (`index.html`)",
    ).by_default(&["index.html"]),
    Opt::once(
        "try_files",
        "try_files PATH …",
        "paths below the folder to look for in place of the request's own; the first that is there is served: a file, or with a slash at its end a folder. `{path} /index.html` is for applications that route in the browser",
    ),
    Opt::once(
        "browse",
        "browse on|off",
        "lists folders without an index file: `?sort=name|size|time&order=asc|desc`, and JSON for `Accept: application/json` (off)",
    ).by_default(&["off"]),
    Opt::once(
        "precompressed",
        "precompressed br|zstd|gzip …",
        "serves `FILE.br`, `FILE.zst` or `FILE.gz` to clients that take it, if it is not older than FILE; the preferred one first (none)",
    ),
    Opt::many(
        "hide",
        "hide PATTERN …",
        "names to treat as if they were not there, with all below them: `*.bak` in any folder, `/private` at the top",
    ),
    Opt::once("hidden", "hidden on|off", "serves names that begin with a dot, too (off)").by_default(&["off"]),
    Opt::once("follow_links", "follow_links on|off", "follows symbolic links that lead out of the folder (off)").by_default(&["off"]),
    Opt::once(
        "expires",
        "expires DURATION|off [immutable]",
        "how long clients and caches may keep a file without asking, by `Cache-Control: public, max-age=…` (off: they decide)",
    ).by_default(&["off"]),
    Opt::once("etag", "etag on|off", "names each version of a file by its time and size (on)").by_default(&["on"]),
];

/// Checked.
#[derive(Debug)]
struct Files {
    folder: PathBuf,
    at: Span,
    index: Vec<String>,
    tries: Vec<Template>,
    offered: Vec<Coding>,
    hiding: Hiding,
    links: Links,
    dress: Dress,
    browse: bool,
}

fn check(node: &Node, cx: &mut Check) -> Result<Box<dyn Directive>, Reported> {
    let mut args = Arguments::of(node, ROOM.syntax);
    let mut files = Files::new();
    let mut idle = Vec::new();
    let options = cx.options(node, OPTIONS, |option, inner, cx| match option.name {
        "hide" => files.hide(inner, &mut idle, cx),
        _ => files.option(option, inner, cx),
    });
    if !files.hiding.dots {
        for mistake in idle {
            cx.report(mistake);
        }
    }
    // `file_server { root /var/www }` lacks nothing that was not told.
    if node.words.len() == 1 && node.block.iter().flat_map(|block| &block.nodes).any(|inner| inner.name() == "root") {
        options?;
    }
    let folder = args.expect_word("a folder", cx).and_then(|word| {
        let text = cx.plain(word)?;
        if text.is_empty() {
            return Err(empty(word, cx));
        }
        Ok((PathBuf::from(text), word.span))
    });
    let arguments = folder.and_then(|folder| args.done(cx).map(|()| folder));
    (files.folder, files.at) = arguments?;
    options?;
    files.dress.vary = !files.offered.is_empty();
    Ok(Box::new(files))
}

fn empty(word: &Word, cx: &mut Check) -> Reported {
    cx.report(
        Mistake::new(Code::E0020, word.span, "the name of the folder is empty").help("write: file_server /var/www"),
    )
}

impl Files {
    fn new() -> Self {
        Self {
            folder: PathBuf::new(),
            at: Span::default(),
            index: vec!["index.html".to_owned()],
            tries: Vec::new(),
            offered: Vec::new(),
            hiding: Hiding::default(),
            links: Links::Beneath,
            dress: Dress { etag: true, ..Dress::default() },
            browse: false,
        }
    }

    fn option(&mut self, option: &Opt, node: &Node, cx: &mut Check) -> Result<(), Reported> {
        let mut args = Arguments::of(node, option.syntax);
        match option.name {
            "index" => self.index = check_index(&mut args, cx)?,
            "try_files" => self.tries = check_tries(&mut args, cx)?,
            "browse" => self.browse = args.expect::<Switch>("`on` or `off`", cx)?.0,
            "precompressed" => self.offered = check_codings(&mut args, cx)?,
            "hidden" => self.hiding.dots = args.expect::<Switch>("`on` or `off`", cx)?.0,
            "follow_links" => {
                let Switch(on) = args.expect("`on` or `off`", cx)?;
                self.links = if on { Links::Anywhere } else { Links::Beneath };
            }
            "expires" => self.dress.cache_control = check_expires(&mut args, cx)?,
            _ => self.dress.etag = args.expect::<Switch>("`on` or `off`", cx)?.0,
        }
        args.done_without_block(cx)
    }
}

impl Files {
    /// Adds the patterns. What would be hidden without them goes to `idle`, for it depends on another option.
    fn hide(&mut self, node: &Node, idle: &mut Vec<Mistake>, cx: &mut Check) -> Result<(), Reported> {
        let mut args = Arguments::of(node, "hide PATTERN …");
        let words = args.rest();
        let patterns = args.expect_all::<NamePattern>("a pattern", cx)?;
        for (_, word) in patterns.iter().zip(words).filter(|(pattern, _)| pattern.is_hidden_anyway()) {
            let text = word.plain().unwrap_or_default();
            idle.push(
                Mistake::new(Code::W0009, word.span, format!("`{text}` is hidden without being named"))
                    .help("remove it: such names are served only with `hidden on`")
                    .fix(text, ""),
            );
        }
        self.hiding.patterns.extend(patterns);
        args.done_without_block(cx)
    }
}

/// The name of a file, without the folder it lies in.
struct FileName(String);

impl Value for FileName {
    const KIND: &'static str = "the name of a file";
    const EXAMPLE: &'static str = "index.html";

    fn parse(text: &str) -> Result<Self, Wrong> {
        match text {
            "" | "." | ".." => Err(Wrong::kind()),
            _ if text.contains('/') => {
                Err(Wrong::kind().help("write it without a folder: it is looked for in every folder"))
            }
            _ => Ok(Self(text.to_owned())),
        }
    }
}

fn check_index(args: &mut Arguments<'_>, cx: &mut Check) -> Result<Vec<String>, Reported> {
    if args.rest().len() == 1 && args.keyword("off") {
        return Ok(Vec::new());
    }
    if let Some(off) = args.rest().iter().find(|word| word.plain() == Some("off")) {
        return Err(cx.report(
            Mistake::new(Code::E0028, off.span, "`off` stands alone: with other names it says two things at once")
                .help("remove it, or the names beside it"),
        ));
    }
    let names = args.expect_all::<FileName>("a file name", cx)?;
    Ok(names.into_iter().map(|name| name.0).collect())
}

fn check_tries(args: &mut Arguments<'_>, cx: &mut Check) -> Result<Vec<Template>, Reported> {
    let first = args.expect_word("a path", cx)?;
    let mut words = vec![first];
    words.extend(std::iter::from_fn(|| args.word()));
    let mut tries = Vec::with_capacity(words.len());
    for word in words {
        match word.plain() {
            Some(text) if text.starts_with('=') => {
                return Err(cx.report(Mistake::new(Code::E0020, word.span, format!("`{text}` is not a path")).help(
                    "leave it out: when nothing fits, the answer is 404; `handle_errors 404` makes a page of it",
                )));
            }
            Some(text) if text.starts_with('$') => {
                let slash = if text.ends_with('/') { "/" } else { "" };
                return Err(cx.report(
                    Mistake::new(Code::E0020, word.span, format!("`{text}` is not a path"))
                        .help(format!("for the path of the request, write `{{path}}{slash}`")),
                ));
            }
            _ => {}
        }
        tries.push(Template::check(word, When::Request, cx)?);
    }
    Ok(tries)
}

fn check_codings(args: &mut Arguments<'_>, cx: &mut Check) -> Result<Vec<Coding>, Reported> {
    let words = args.rest();
    let codings = args.expect_all::<Coding>("br, zstd or gzip", cx)?;
    for (index, coding) in codings.iter().enumerate() {
        if let Some(first) = codings[..index].iter().position(|earlier| earlier == coding) {
            let text = words[index].plain().unwrap_or_default();
            return Err(cx.report(
                Mistake::new(Code::E0024, words[index].span, format!("`{text}` is said twice"))
                    .other(words[first].span, "first said here")
                    .help("remove one of them")
                    .fix(text, ""),
            ));
        }
    }
    Ok(codings)
}

fn check_expires(args: &mut Arguments<'_>, cx: &mut Check) -> Result<Option<HeaderValue>, Reported> {
    if args.keyword("off") {
        return Ok(None);
    }
    let seconds = args.expect::<Duration>("a duration, or off", cx)?.as_secs();
    let immutable = if args.keyword("immutable") { ", immutable" } else { "" };
    Ok(HeaderValue::try_from(format!("public, max-age={seconds}{immutable}")).ok())
}

impl Directive for Files {
    fn compile(&self, site: &mut Building<'_>) -> Result<(), Mistake> {
        // Made absolute now: that a process moves to another directory later must not move its files.
        let root = std::path::absolute(&self.folder).map_err(|error| self.unusable(&error))?;
        match std::fs::read_dir(&root) {
            // It need not be readable, unless it is to be listed: its files may be.
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied || self.browse => {
                return Err(self.unusable(&error));
            }
            _ => {}
        }
        let served = Served {
            folder: Folder::new(root, self.links),
            hiding: self.hiding.clone(),
            index: self.index.clone(),
            offered: self.offered.clone(),
            dress: self.dress.clone(),
            browse: self.browse,
        };
        site.answer(FileServer::new(served, self.tries.clone()));
        Ok(())
    }

    fn always_answers(&self) -> bool {
        true
    }
}

impl Files {
    fn unusable(&self, error: &io::Error) -> Mistake {
        let name = self.folder.display();
        let mistake = |text: String| Mistake::new(Code::E0053, self.at, text);
        match error.kind() {
            io::ErrorKind::NotFound => {
                mistake(format!("there is no folder `{name}`")).help(format!("make it: mkdir -p {name}"))
            }
            io::ErrorKind::NotADirectory => {
                let parent = self.folder.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
                mistake(format!("`{name}` is a file, and not a folder"))
                    .help(format!("name the folder that it lies in: {}", parent.display()))
            }
            io::ErrorKind::PermissionDenied => mistake(format!("`{name}` can't be listed: no permission to read it"))
                .help("let the user that rp runs as read it, or leave `browse on` out"),
            _ => mistake(format!("`{name}` can't be read: {error}")).help("name another folder"),
        }
    }
}
