//! What there is to tell of certificates, as `rp certs` has it: of a running process, or of what lies in storage.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::admin::Command;
use crate::model::{Source, World};
use crate::telemetry::metrics::{Form, Page};
use crate::tls::acme::{Status, Store, Vault};
use crate::tls::{Certificate, Storage, Trouble};

const fn word(source: &Source) -> &'static str {
    match source {
        Source::Files(_) => "files",
        Source::Internal(_) => "internal",
    }
}

/// All certificates that are shown now: name, where it was got, and the certificate.
pub(super) fn held(world: &World) -> Vec<(String, &'static str, Arc<Certificate>)> {
    let awaited = world.acme.report().into_iter();
    let awaited = awaited.filter_map(|status| Some((status.name.into_string(), "acme", status.certificate?)));
    let others = world.shown.iter();
    awaited.chain(others.map(|it| (it.name.clone(), word(&it.source), it.certificate()))).collect()
}

/// The numbers of the process, those of its certificates among them (requirements T03, T12).
pub(super) fn metrics(world: &World, form: Form) -> String {
    let mut page = Page::of_process(form);
    let now = OffsetDateTime::now_utc();
    // A name has one at every address of its site; what is told of it is told once.
    let mut ends = BTreeMap::new();
    for (name, source, certificate) in held(world) {
        let left = (certificate.not_after() - now).whole_seconds();
        let end: &mut i64 = ends.entry((name, source, certificate.issuer().to_owned())).or_insert(left);
        *end = left.min(*end);
    }
    page.gauge("rp_certificate_remaining_seconds", "Time until a certificate ends; below 0 it has ended.");
    for ((name, source, issuer), left) in &ends {
        let labels = [("name", name.as_str()), ("source", source), ("issuer", issuer)];
        page.sample("rp_certificate_remaining_seconds", &labels, left);
    }
    let awaited = world.acme.report();
    page.gauge("rp_certificate_failing", "Whether an authority was last asked in vain for a name (1) or not (0).");
    for status in &awaited {
        page.sample("rp_certificate_failing", &[("name", &status.name)], u8::from(status.error.is_some()));
    }
    page.gauge("rp_certificates_missing", "Names whose certificate no authority has given yet.");
    page.sample("rp_certificates_missing", &[], awaited.iter().filter(|status| status.certificate.is_none()).count());
    page.finish()
}

/// The certificates that are shown now, by name, with what is under way for them.
#[must_use]
pub fn of(world: &World) -> Value {
    let mut all: Vec<Value> = world.acme.report().iter().map(awaited).collect();
    for shown in &world.shown {
        let certificate = shown.certificate();
        let mut entry = described(&shown.name, word(&shown.source), Some(&certificate));
        if matches!(shown.source, Source::Internal(_)) {
            entry["renewal"] = moment(certificate.renewal());
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
    let of_authorities = awaited.iter().filter_map(|it| Some((&*it.name, it.certificate.as_deref()?.not_after())));
    let others = world.shown.iter().map(|shown| (&*shown.name, shown.certificate().not_after()));
    let ends: BTreeMap<&str, OffsetDateTime> = of_authorities.chain(others).collect();
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
