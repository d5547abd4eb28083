//! Route 53 of AWS: XML, signed. All texts of a name are one set, which is replaced as a whole: the old one goes and the
//! new one comes in one step, which fails where somebody else was faster.

use futures_util::future::BoxFuture;
use http::Method;
use time::OffsetDateTime;
use tokio::sync::Mutex;

use super::api::{Answer, Api, Question};
use super::provider::{Provider, Record};
use super::settings::Route53 as Settings;
use crate::tls::acme::Failure;
use crate::tls::sigv4::{Payload, Signer};

/// Seconds that a resolver may keep the texts.
const TTL: &str = "60";
/// How often it is tried where others change the same name.
const TRIES: usize = 4;
const NAMESPACE: &str = "https://route53.amazonaws.com/doc/2013-04-01/";

pub(super) struct Route53 {
    api: Api,
    signer: Signer,
    zone: Option<Box<str>>,
    turn: Mutex<()>,
}

/// All texts of a name, as XML has them.
struct Set {
    ttl: String,
    values: Vec<String>,
}

impl Route53 {
    pub fn new(settings: &Settings) -> Self {
        // There is one of it for all regions, and it is in this one.
        let (region, service) = ("us-east-1".into(), "route53".into());
        Self {
            api: Api::new("Route 53", settings.at.clone()),
            signer: Signer { credentials: settings.credentials.clone(), region, service },
            zone: settings.zone.clone(),
            turn: Mutex::new(()),
        }
    }

    async fn ask(&self, question: &Question<'_>) -> Result<Answer, Failure> {
        let sign = |head: &mut http::request::Parts, body: &[u8]| {
            let signed = self.signer.sign(head, Payload::Bytes(body), OffsetDateTime::now_utc());
            signed.map_err(|_| Failure::other("the keys for Route 53 have signs that none has"))
        };
        self.api.ask(question, sign).await
    }

    async fn read(&self, path: &str) -> Result<String, Failure> {
        let answer = self.ask(&Question::get(path)).await?;
        if answer.status.is_success() { Ok(answer.text().into_owned()) } else { Err(self.refusal(&answer)) }
    }

    fn refusal(&self, answer: &Answer) -> Failure {
        let text = answer.text();
        let words = inner(&text, "Message").next().map(unescaped);
        self.api.refusal(answer, words.as_deref())
    }

    /// The id of the public zone that the name is in.
    async fn zone(&self, record: &Record) -> Result<String, Failure> {
        for name in record.zones_or(self.zone.as_deref()) {
            let text = self.read(&format!("/2013-04-01/hostedzonesbyname?dnsname={name}&maxitems=10")).await?;
            let of_name = |zone: &&str| first(zone, "Name").trim_end_matches('.').eq_ignore_ascii_case(name);
            let mut zones =
                inner(&text, "HostedZone").filter(of_name).filter(|zone| first(zone, "PrivateZone") != "true");
            let id = zones.next().map(|zone| first(zone, "Id").trim_start_matches("/hostedzone/").to_owned());
            if let Some(id) = id.filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
                return Ok(id);
            }
        }
        Err(record.homeless(self.api.who))
    }

    async fn set(&self, zone: &str, name: &str) -> Result<Option<Set>, Failure> {
        let path = format!("/2013-04-01/hostedzone/{zone}/rrset?name={name}&type=TXT&maxitems=1");
        let text = self.read(&path).await?;
        let found = inner(&text, "ResourceRecordSet").find(|set| {
            first(set, "Name").trim_end_matches('.').eq_ignore_ascii_case(name) && first(set, "Type") == "TXT"
        });
        Ok(found.map(|set| Set {
            ttl: first(set, "TTL").to_owned(),
            values: inner(set, "Value").map(str::to_owned).collect(),
        }))
    }

    async fn change(&self, record: &Record, change: impl Fn(&mut Vec<String>, &str)) -> Result<(), Failure> {
        let _turn = self.turn.lock().await;
        let zone = self.zone(record).await?;
        let mut left = TRIES;
        loop {
            left -= 1;
            let before = self.set(&zone, &record.name).await?;
            let known = before.as_ref().map_or(&[][..], |set| &set.values);
            // It may write `"` in either way.
            let mut after: Vec<String> = known.iter().map(|value| escaped(&unescaped(value))).collect();
            let same = after.clone();
            change(&mut after, &escaped(&format!("\"{}\"", record.value)));
            if after == same {
                return Ok(());
            }
            let path = format!("/2013-04-01/hostedzone/{zone}/rrset/");
            let body = Some(("application/xml", request(&record.name, before.as_ref(), &after)));
            let answer = self.ask(&Question { method: Method::POST, path: &path, body }).await?;
            if answer.status.is_success() {
                return Ok(());
            }
            let text = answer.text();
            if left == 0 || !(text.contains("InvalidChangeBatch") || text.contains("PriorRequestNotComplete")) {
                return Err(self.refusal(&answer));
            }
        }
    }
}

fn request(name: &str, before: Option<&Set>, after: &[String]) -> String {
    let set = |action: &str, ttl: &str, values: &[String]| {
        let values: String =
            values.iter().map(|value| format!("<ResourceRecord><Value>{value}</Value></ResourceRecord>")).collect();
        format!(
            "<Change><Action>{action}</Action><ResourceRecordSet><Name>{name}.</Name><Type>TXT</Type><TTL>{ttl}</TTL>\
             <ResourceRecords>{values}</ResourceRecords></ResourceRecordSet></Change>"
        )
    };
    let old = before.map_or(String::new(), |before| set("DELETE", &before.ttl, &before.values));
    // What others have set stays theirs.
    let ttl = before.map_or(TTL, |before| &before.ttl);
    let new = if after.is_empty() { String::new() } else { set("CREATE", ttl, after) };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ChangeResourceRecordSetsRequest xmlns=\"{NAMESPACE}\"><ChangeBatch>\
         <Changes>{old}{new}</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"
    )
}

/// What stands in each element of a name. No answer here has one of the same name inside of it.
fn inner<'t>(text: &'t str, name: &str) -> impl Iterator<Item = &'t str> + use<'t> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, behind) = rest.split_once(&open)?;
        let (inside, behind) = behind.split_once(&close)?;
        rest = behind;
        Some(inside)
    })
}

fn first<'t>(text: &'t str, name: &str) -> &'t str {
    inner(text, name).next().unwrap_or_default().trim()
}

fn unescaped(text: &str) -> String {
    let text = text.replace("&quot;", "\"").replace("&#34;", "\"").replace("&apos;", "'").replace("&#39;", "'");
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn add(values: &mut Vec<String>, value: &str) {
    if !values.iter().any(|known| known == value) {
        values.push(value.to_owned());
    }
}

fn take(values: &mut Vec<String>, value: &str) {
    values.retain(|known| known != value);
}

impl Provider for Route53 {
    fn present<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.change(record, add))
    }

    fn remove<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.change(record, take))
    }
}
