//! The way of a request, for programs. docs/explain.md describes it.

use serde_json::{Map, Value, json};

use crate::diagnostic::Span;
use crate::http::step::Forward;
use crate::matcher::Reason;
use crate::server::rehearse::{Change, Event, Played, Request, Stage};

pub fn render(stage: &Stage, request: &Request, played: &Played) -> Value {
    let steps: Vec<Value> = played.events.iter().map(|event| step(stage, event)).collect();
    let site = played.site.as_ref().map(|(name, at)| json!({ "name": name, "at": place(stage, *at) }));
    json!({
        "request": { "method": request.method.as_str(), "url": request.uri.to_string(), "from": request.from },
        "client": played.client,
        "listen": played.listen.to_string(),
        "site": site,
        "steps": steps,
        "target": played.target,
        "upstream": played.forward.as_ref().map(upstream),
        "answer": {
            "status": played.status.as_u16(),
            "fields": fields(&played.headers),
            "error": played.fault.as_ref().map(|fault| fault.cause.code()),
        },
    })
}

/// Fields as an object of lists: one name may have many values.
fn fields(headers: &http::HeaderMap) -> Value {
    let mut all = Map::new();
    for (name, value) in headers {
        let values = all.entry(name.as_str()).or_insert_with(|| json!([]));
        if let Value::Array(values) = values {
            values.push(json!(String::from_utf8_lossy(value.as_bytes())));
        }
    }
    Value::Object(all)
}

fn step(stage: &Stage, event: &Event) -> Value {
    let (did, at) = match event {
        Event::Asked { at, .. } => ("asked", at),
        Event::Passed { at, .. } => ("passed", at),
        Event::Answers { at } => ("answers", at),
        Event::Failed { at, .. } => ("failed", at),
        Event::Returned { at, .. } => ("returned", at),
    };
    let mut value = json!({ "did": did, "statement": stage.text(*at), "at": place(stage, *at) });
    match event {
        Event::Asked { holds, reasons, .. } => {
            value["holds"] = json!(holds);
            value["reasons"] = reasons.iter().map(|reason| self::reason(stage, reason)).collect();
        }
        Event::Passed { changes, .. } | Event::Returned { changes, .. } => {
            value["changes"] = changes.iter().map(change).collect();
        }
        Event::Failed { fault, handled, .. } => {
            value["status"] = json!(fault.status().as_u16());
            value["error"] = json!(fault.cause.code());
            value["handled"] = json!(handled);
        }
        Event::Answers { .. } => {}
    }
    value
}

fn reason(stage: &Stage, reason: &Reason) -> Value {
    json!({
        "matcher": stage.sources.text(reason.at),
        "at": place(stage, reason.at),
        "holds": reason.holds,
        "found": reason.found,
    })
}

fn change(change: &Change) -> Value {
    json!({ "what": change.what, "before": change.before, "after": change.after })
}

fn upstream(forward: &Forward) -> Value {
    let servers: Vec<Value> = forward
        .servers
        .iter()
        .map(|server| json!({ "address": server.address, "weight": server.weight, "backup": server.backup }))
        .collect();
    json!({
        "name": forward.upstream,
        "server": forward.server.map(|at| &forward.servers[at].address),
        "servers": servers,
        "head": String::from_utf8_lossy(&forward.head).lines().filter(|line| !line.is_empty()).collect::<Vec<_>>(),
    })
}

fn place(stage: &Stage, at: Span) -> Value {
    let (line, column) = stage.sources.line_column(at);
    json!({ "file": stage.sources.file(at.file).path.display().to_string(), "line": line, "column": column })
}
