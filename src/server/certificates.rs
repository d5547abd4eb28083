//! What there is to tell of certificates, as `rp certs` has it: of a running process, or of what lies in storage.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::admin::Command;
use crate::model::{Source, World};
use crate::tls::acme::{Status, Store, Vault};
use crate::tls::{Certificate, Storage, Trouble};

/// The certificates that are shown now, by name, with what is under way for them.
#[must_use]
pub fn of(world: &World) -> Value {
    let mut all: Vec<Value> = world.acme.report().iter().map(awaited).collect();
    for shown in &world.shown {
        let source = match shown.source {
            Source::Files => "files",
            Source::Internal => "internal",
        };
        let mut entry = described(&shown.name, source, Some(&shown.certificate));
        if shown.source == Source::Internal {
            entry["renewal"] = moment(shown.certificate.renewal());
        }
        all.push(entry);
    }
    all.sort_by(|one, other| one["name"].as_str().cmp(&other["name"].as_str()));
    // A site has its certificate at every address that it listens on.
    all.dedup();
    json!({ "ok": true, "certificates": all })
}

/// How many there are, how many names have none that anybody trusts, and which ends first, in days (requirement T12).
#[must_use]
pub fn summary(world: &World) -> Value {
    let awaited = world.acme.report();
    let missing = awaited.iter().filter(|status| status.certificate.is_none()).count();
    let failing = awaited.iter().filter(|status| status.error.is_some()).count();
    let of_authorities = awaited.iter().filter_map(|status| Some((&*status.name, status.certificate.as_deref()?)));
    let others = world.shown.iter().map(|shown| (&*shown.name, &*shown.certificate));
    let ends: BTreeMap<&str, OffsetDateTime> =
        of_authorities.chain(others).map(|(name, certificate)| (name, certificate.not_after())).collect();
    let first = ends.iter().min_by_key(|(_, end)| **end);
    let days = |end: OffsetDateTime| (end - OffsetDateTime::now_utc()).whole_days();
    json!({
        "shown": ends.len(),
        "missing": missing,
        "failing": failing,
        "first": first.map(|(name, end)| json!({ "name": name, "days": days(*end) })),
    })
}

/// Renews or revokes, as it is told, and says what came of it.
pub async fn run(vault: &Vault, errand: Command) -> Value {
    let (name, outcome, done) = match &errand {
        Command::Renew(name, what) => (name, vault.renew(name, *what).await, "renewed"),
        Command::Revoke(name, reason) => (name, vault.revoke(name, *reason).await, "revoked, and there is another one"),
        _ => return json!({ "ok": false, "message": "this is nothing that is done to a certificate" }),
    };
    match outcome {
        Ok(certificate) => {
            json!({ "ok": true, "message": done, "certificate": described(name, "acme", Some(&certificate)) })
        }
        Err(why) => json!({ "ok": false, "message": why }),
    }
}

/// Those that are kept in a storage.
pub fn kept(storage: &Storage) -> Result<Value, Trouble> {
    let mut all = Vec::new();
    for store in Store::all(storage)? {
        for name in store.names()? {
            let entry = match store.load(&name) {
                Ok(certificate) => {
                    let mut entry = described(&name, "acme", certificate.as_deref());
                    entry["renewal"] = certificate.map_or(Value::Null, |kept| moment(kept.renewal()));
                    entry
                }
                Err(trouble) => {
                    let mut entry = described(&name, "acme", None);
                    entry["error"] = trouble.to_string().into();
                    entry
                }
            };
            all.push(entry);
        }
    }
    Ok(json!({ "ok": true, "certificates": all }))
}

fn awaited(status: &Status) -> Value {
    let mut entry = described(&status.name, "acme", status.certificate.as_deref());
    entry["authority"] = status.directory.clone().into();
    entry["renewal"] = moment(status.due);
    entry["error"] = status.error.clone().into();
    entry["asking"] = status.under_way.into();
    entry
}

fn described(name: &str, source: &str, certificate: Option<&Certificate>) -> Value {
    json!({
        "name": name,
        "source": source,
        "issuer": certificate.map(Certificate::issuer),
        "not_before": certificate.map(|shown| moment(shown.not_before())),
        "not_after": certificate.map(|shown| moment(shown.not_after())),
        "renewal": null,
        "error": null,
    })
}

fn moment(at: OffsetDateTime) -> Value {
    at.replace_nanosecond(0).ok().and_then(|at| at.format(&Rfc3339).ok()).into()
}
