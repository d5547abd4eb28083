//! The way of a request, for people: one line a statement with its place, and below it what it found or changed.

use std::fmt::Write as _;

use crate::diagnostic::Span;
use crate::http::step::Forward;
use crate::matcher::Reason;
use crate::server::rehearse::{Change, Event, Played, Request, Stage};

pub fn render(stage: &Stage, request: &Request, played: &Played, color: bool) -> String {
    let mut page = Page { stage, color, text: String::new() };
    page.beginning(request, played);
    for event in played.events.iter().filter(|event| !matches!(event, Event::Returned { .. })) {
        page.event(event, played);
    }
    page.way_back(played);
    page.answer(played);
    page.text
}

/// Columns before a statement's place.
const PLACE: usize = 64;

/// What a statement is marked with.
#[derive(Clone, Copy)]
enum Mark {
    Taken,
    Left,
    Answer,
    Fault,
}

impl Mark {
    /// The sign, and its colour on a terminal.
    fn sign(self) -> (&'static str, &'static str) {
        match self {
            Self::Taken => ("✓", "32"),
            Self::Left => ("·", "2"),
            Self::Answer => ("→", "1"),
            Self::Fault => ("✗", "31"),
        }
    }
}

struct Page<'s> {
    stage: &'s Stage,
    color: bool,
    text: String,
}

impl Page<'_> {
    fn painted(&self, text: &str, code: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn beginning(&mut self, request: &Request, played: &Played) {
        let head = format!("{} {} from {}", request.method, request.uri, request.from);
        let head = self.painted(&head, "1");
        let _ = writeln!(self.text, "{head}\n");
        if played.client != request.from {
            let _ = writeln!(self.text, "client  {}, by the word of a trusted proxy", played.client);
        }
        match &played.site {
            Some((name, at)) => {
                let place = self.stage.sources.place(*at);
                let line = format!("site    {name}");
                let _ = writeln!(self.text, "{line:<PLACE$} {}", self.painted(&place, "2"));
            }
            None => {
                let _ = writeln!(self.text, "site    none has this host");
            }
        }
    }

    fn event(&mut self, event: &Event, played: &Played) {
        match event {
            Event::Asked { at, holds, reasons } => {
                self.statement(if *holds { Mark::Taken } else { Mark::Left }, *at);
                reasons.iter().for_each(|reason| self.reason(reason));
            }
            Event::Passed { at, changes } => {
                self.statement(Mark::Taken, *at);
                changes.iter().for_each(|change| self.change(change));
            }
            Event::Answers { at } => {
                self.statement(Mark::Answer, *at);
                if let Some(forward) = &played.forward {
                    self.forward(forward);
                }
            }
            Event::Failed { at, fault, handled } => {
                self.statement(Mark::Fault, *at);
                let then = if *handled { "; handle_errors takes it" } else { "" };
                let _ = writeln!(self.text, "      {} ({}){then}", fault.status(), fault.cause.code());
            }
            Event::Returned { at, changes } => {
                self.statement(Mark::Taken, *at);
                changes.iter().for_each(|change| self.change(change));
            }
        }
    }

    /// A statement may go on over lines; it is told in one.
    fn statement(&mut self, mark: Mark, at: Span) {
        let (sign, color) = mark.sign();
        let words: Vec<&str> = self.stage.text(at).split_whitespace().filter(|word| *word != "\\").collect();
        let line = words.join(" ");
        let place = self.stage.sources.place(at);
        let (sign, place) = (self.painted(sign, color), self.painted(&place, "2"));
        let _ = writeln!(self.text, "  {sign} {line:<0$} {place}", PLACE - 4);
    }

    fn reason(&mut self, reason: &Reason) {
        let text = self.stage.sources.text(reason.at);
        let answer = if reason.holds { "yes" } else { "no" };
        let _ = writeln!(self.text, "      {text}: {answer}, {}", reason.found);
    }

    fn change(&mut self, change: &Change) {
        let Change { what, before, after } = change;
        let _ = match (before, after) {
            (None, Some(after)) => writeln!(self.text, "      {what}: {after}"),
            (Some(before), Some(after)) => writeln!(self.text, "      {what}: {before} → {after}"),
            (Some(before), None) => writeln!(self.text, "      {what}: {before} → removed"),
            (None, None) => Ok(()),
        };
    }

    fn forward(&mut self, forward: &Forward) {
        let many = forward.servers.len() > 1;
        for (at, server) in forward.servers.iter().enumerate() {
            let weight = if many { format!(" weight {}", server.weight) } else { String::new() };
            let backup = if server.backup { " backup" } else { "" };
            let chosen = if forward.server == Some(at) { "to " } else { "or " };
            let _ = writeln!(self.text, "      {chosen}{}{weight}{backup}", server.address);
        }
        if forward.server.is_none() {
            self.text.push_str("      none of them can be asked\n");
        }
        for line in String::from_utf8_lossy(&forward.head).lines().filter(|line| !line.is_empty()) {
            let _ = writeln!(self.text, "      | {line}");
        }
    }

    fn way_back(&mut self, played: &Played) {
        let mut returned = played.events.iter().filter(|event| matches!(event, Event::Returned { .. })).peekable();
        if returned.peek().is_some() {
            self.text.push_str("on the way back\n");
        }
        for event in returned {
            self.event(event, played);
        }
    }

    fn answer(&mut self, played: &Played) {
        let if_so = match played.forward.as_ref().and_then(|forward| forward.server) {
            Some(_) if played.fault.is_none() => ", if the server says so",
            _ => "",
        };
        let head = self.painted(&format!("answer  {}{if_so}", played.status), "1");
        let _ = writeln!(self.text, "{head}");
        for (name, value) in &played.headers {
            let _ = writeln!(self.text, "      {name}: {}", String::from_utf8_lossy(value.as_bytes()));
        }
    }
}
