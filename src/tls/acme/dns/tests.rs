//! Those who host zones, as their public documentation has them: what they must be asked, and what they answer.

use std::sync::{Arc, Mutex};

use http::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::lookup::Lookup;
use super::provider::{self, Provider, Record};
use super::settings::{
    Account, AcmeDns, Endpoint, Host, Route53 as Route53Settings, Secret, Token, Webhook as WebhookSettings, Zone,
};
use crate::tls::sigv4::Credentials;

/// A question as it must come, and its answer.
struct Exchange {
    /// `GET /zones?name=example.com`.
    target: &'static str,
    /// Without white space between elements, where it is JSON.
    body: String,
    status: u16,
    answer: String,
    /// Fields of the answer.
    fields: &'static str,
}

#[expect(clippy::needless_pass_by_value, reason = "texts and JSON are written where they are asked for")]
fn on(target: &'static str, body: impl ToString, status: u16, answer: impl ToString) -> Exchange {
    Exchange { target, body: body.to_string(), status, answer: answer.to_string(), fields: "" }
}

/// Somebody who hosts zones, and knows in advance what he will be asked.
struct Script {
    url: String,
    /// What was asked otherwise, and how many questions have not been asked.
    wrong: Arc<Mutex<(Vec<String>, usize)>>,
}

impl Script {
    /// Every question must bear this line.
    async fn new(field: &'static str, exchanges: Vec<Exchange>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api", listener.local_addr().unwrap());
        let wrong = Arc::new(Mutex::new((Vec::new(), exchanges.len())));
        let shared = Arc::clone(&wrong);
        tokio::spawn(async move {
            for exchange in exchanges {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (target, head, body) = read(&mut stream).await;
                judge(&mut shared.lock().unwrap(), &exchange, field, (&target, &head, &body));
                let Exchange { status, answer, fields, .. } = exchange;
                let status = StatusCode::from_u16(status).unwrap();
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{fields}\r\n{answer}", answer.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { url, wrong }
    }

    fn at(&self) -> Endpoint {
        Endpoint { url: self.url.as_str().into(), root: None }
    }

    #[track_caller]
    fn done(self) {
        let state = self.wrong.lock().unwrap();
        assert!(state.0.is_empty(), "{}", state.0.join("\n\n"));
        assert_eq!(state.1, 0, "questions that were not asked");
    }
}

fn judge(state: &mut (Vec<String>, usize), exchange: &Exchange, field: &str, got: (&str, &str, &str)) {
    let (target, head, body) = got;
    state.1 -= 1;
    let expected = exchange.target.replacen(" /", " /api/", 1).trim_end_matches('/').to_owned();
    if target.trim_end_matches('/') != expected || body != exchange.body || !head.contains(field) {
        state.0.push(format!("wanted {expected}\n{field}\n{}\ngot {target}\n{head}\n{body}", exchange.body));
    }
}

async fn read(stream: &mut TcpStream) -> (String, String, String) {
    let mut bytes = Vec::new();
    let end = loop {
        stream.read_buf(&mut bytes).await.unwrap();
        if let Some(at) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
            break at + 4;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let length = head.to_ascii_lowercase();
    let length =
        length.split_once("content-length: ").map_or(0, |(_, rest)| rest.lines().next().unwrap().parse().unwrap());
    while bytes.len() < end + length {
        stream.read_buf(&mut bytes).await.unwrap();
    }
    let target = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    (target, head, String::from_utf8(bytes[end..].to_vec()).unwrap())
}

fn record() -> Record {
    Record { name: "_acme-challenge.www.example.com".to_owned(), value: "the-text".to_owned() }
}

fn by_token(script: &Script, host: Host) -> Box<dyn Provider> {
    let token = Secret("the-token".into());
    let zone = Zone::Token(Token { host, at: script.at(), token, zone: Some("example.com".into()) });
    provider::of(&zone, &Lookup::new(&[]))
}

/// The same without a zone by name.
fn searching(script: &Script, host: Host) -> Box<dyn Provider> {
    let token = Secret("the-token".into());
    provider::of(&Zone::Token(Token { host, at: script.at(), token, zone: None }), &Lookup::new(&[]))
}

const BEARER: &str = "\r\nauthorization: Bearer the-token\r\n";

async fn there_and_back(script: Script, provider: Box<dyn Provider>) {
    provider.present(&record()).await.unwrap();
    provider.remove(&record()).await.unwrap();
    script.done();
}

async fn refused(script: Script, provider: Box<dyn Provider>, reason: &str) {
    assert_eq!(provider.present(&record()).await.unwrap_err().reason, reason);
    script.done();
}

const CLOUDFLARE_ZONE: &str = r#"{"success":true,"errors":[],"messages":[],"result":[{"id":"023e105f4ecef8ad9ca31a8372d0c353","name":"example.com"}]}"#;

#[tokio::test]
async fn cloudflare() {
    let none = r#"{"success":true,"errors":[],"messages":[],"result":[]}"#;
    let made =
        r#"{"success":true,"errors":[],"messages":[],"result":{"id":"372e67954025e0ba6aaa6d586b9e0b59","type":"TXT"}}"#;
    let listed = json!({ "success": true, "result": [
        { "id": "aaa", "type": "TXT", "content": "\"of somebody else\"" },
        { "id": "372e67954025e0ba6aaa6d586b9e0b59", "type": "TXT", "content": "\"the-text\"" },
        { "id": "bbb", "type": "TXT", "content": "the-text-and-more" },
    ] });
    let body = json!({
        "type": "TXT", "name": "_acme-challenge.www.example.com", "content": "\"the-text\"", "ttl": 60,
    });
    let script = Script::new(
        BEARER,
        vec![
            on("GET /zones?name=_acme-challenge.www.example.com", "", 200, none),
            on("GET /zones?name=www.example.com", "", 200, none),
            on("GET /zones?name=example.com", "", 200, CLOUDFLARE_ZONE),
            on("POST /zones/023e105f4ecef8ad9ca31a8372d0c353/dns_records", body, 200, made),
            on("GET /zones?name=_acme-challenge.www.example.com", "", 200, none),
            on("GET /zones?name=www.example.com", "", 200, none),
            on("GET /zones?name=example.com", "", 200, CLOUDFLARE_ZONE),
            on(
                "GET /zones/023e105f4ecef8ad9ca31a8372d0c353/dns_records?type=TXT&name=_acme-challenge.www.example.com",
                "",
                200,
                listed,
            ),
            on(
                "DELETE /zones/023e105f4ecef8ad9ca31a8372d0c353/dns_records/372e67954025e0ba6aaa6d586b9e0b59",
                "",
                200,
                r#"{"success":true,"result":{"id":"372e67954025e0ba6aaa6d586b9e0b59"}}"#,
            ),
        ],
    )
    .await;
    let provider = searching(&script, Host::Cloudflare);
    there_and_back(script, provider).await;
}

#[tokio::test]
async fn cloudflare_refuses() {
    let invalid =
        r#"{"success":false,"errors":[{"code":9109,"message":"Invalid access token"}],"messages":[],"result":null}"#;
    let script = Script::new(BEARER, vec![on("GET /zones?name=example.com", "", 403, invalid)]).await;
    let provider = by_token(&script, Host::Cloudflare);
    refused(script, provider, "Cloudflare refuses (403 Forbidden): Invalid access token").await;
    let none = r#"{"success":true,"result":[]}"#;
    let script = Script::new(BEARER, vec![on("GET /zones?name=example.com", "", 200, none)]).await;
    let provider = by_token(&script, Host::Cloudflare);
    let reason = "Cloudflare has no zone here that `_acme-challenge.www.example.com` is in";
    refused(script, provider, reason).await;
    // What is there already need not be put there.
    let twice = r#"{"success":false,"errors":[{"code":81058,"message":"An identical record already exists."}]}"#;
    let body = json!({
        "type": "TXT", "name": "_acme-challenge.www.example.com", "content": "\"the-text\"", "ttl": 60,
    });
    let script = Script::new(
        BEARER,
        vec![
            on("GET /zones?name=example.com", "", 200, CLOUDFLARE_ZONE),
            on("POST /zones/023e105f4ecef8ad9ca31a8372d0c353/dns_records", body, 400, twice),
        ],
    )
    .await;
    by_token(&script, Host::Cloudflare).present(&record()).await.unwrap();
    script.done();
}

#[tokio::test]
async fn digitalocean() {
    let missing = r#"{"id":"not_found","message":"The resource you requested could not be found."}"#;
    let domain = r#"{"domain":{"name":"example.com","ttl":1800,"zone_file":"…"}}"#;
    let body = json!({ "type": "TXT", "name": "_acme-challenge.www", "data": "the-text", "ttl": 30 });
    let listed = json!({ "domain_records": [
        { "id": 1, "type": "TXT", "name": "_acme-challenge.www", "data": "of somebody else" },
        { "id": 28_448_433, "type": "TXT", "name": "_acme-challenge.www", "data": "the-text" },
    ], "links": {}, "meta": { "total": 2 } });
    let find = || {
        [
            on("GET /domains/_acme-challenge.www.example.com", "", 404, missing),
            on("GET /domains/www.example.com", "", 404, missing),
            on("GET /domains/example.com", "", 200, domain),
        ]
    };
    let mut exchanges: Vec<Exchange> = find().into();
    exchanges.push(on("POST /domains/example.com/records", body, 201, r#"{"domain_record":{"id":28448433}}"#));
    exchanges.extend(find());
    exchanges.push(on(
        "GET /domains/example.com/records?type=TXT&name=_acme-challenge.www.example.com&per_page=200",
        "",
        200,
        listed,
    ));
    exchanges.push(on("DELETE /domains/example.com/records/28448433", "", 204, ""));
    let script = Script::new(BEARER, exchanges).await;
    let provider = searching(&script, Host::DigitalOcean);
    there_and_back(script, provider).await;
    let unauthorized = r#"{"id":"Unauthorized","message":"Unable to authenticate you"}"#;
    let script = Script::new(BEARER, vec![on("GET /domains/example.com", "", 401, unauthorized)]).await;
    let provider = by_token(&script, Host::DigitalOcean);
    refused(script, provider, "DigitalOcean refuses (401 Unauthorized): Unable to authenticate you").await;
}

#[tokio::test]
async fn hetzner() {
    let missing = r#"{"error":{"code":"not_found","message":"zone not found","details":null}}"#;
    let zone = r#"{"zone":{"id":42,"name":"example.com","mode":"primary","status":"ok"}}"#;
    let action = r#"{"action":{"id":1,"command":"add_rrset_records","status":"running","progress":50,"error":null}}"#;
    let add = json!({ "ttl": 60, "records": [{ "value": "\"the-text\"" }] });
    let take = json!({ "records": [{ "value": "\"the-text\"" }] });
    let script = Script::new(
        BEARER,
        vec![
            on("GET /zones/_acme-challenge.www.example.com", "", 404, missing),
            on("GET /zones/www.example.com", "", 404, missing),
            on("GET /zones/example.com", "", 200, zone),
            on("POST /zones/example.com/rrsets/_acme-challenge.www/TXT/actions/add_records", add, 201, action),
            on("GET /zones/_acme-challenge.www.example.com", "", 404, missing),
            on("GET /zones/www.example.com", "", 404, missing),
            on("GET /zones/example.com", "", 200, zone),
            on("POST /zones/example.com/rrsets/_acme-challenge.www/TXT/actions/remove_records", take, 201, action),
        ],
    )
    .await;
    let provider = searching(&script, Host::Hetzner);
    there_and_back(script, provider).await;
    let unauthorized = r#"{"error":{"code":"unauthorized","message":"unable to authenticate","details":null}}"#;
    let script = Script::new(BEARER, vec![on("GET /zones/example.com", "", 401, unauthorized)]).await;
    let provider = by_token(&script, Host::Hetzner);
    refused(script, provider, "Hetzner refuses (401 Unauthorized): unable to authenticate").await;
}

const TOKEN: &str = "\r\nauthorization: Token the-token\r\n";

#[tokio::test]
async fn desec_keeps_the_texts_of_others() {
    let zone = r#"[{"created":"2020-09-18T16:36:16Z","name":"example.com","minimum_ttl":3600,"touched":"2020-09-18T16:36:16Z"}]"#;
    let set =
        |records: Value| json!([{ "subname": "_acme-challenge.www", "type": "TXT", "ttl": 3600, "records": records }]);
    let known = json!({ "domain": "example.com", "subname": "_acme-challenge.www", "type": "TXT", "ttl": 3600,
        "records": ["\"of somebody else\""] });
    let both = json!({ "ttl": 3600, "records": ["\"of somebody else\"", "\"the-text\""] });
    let script = Script::new(
        TOKEN,
        vec![
            on("GET /domains/?owns_qname=_acme-challenge.www.example.com", "", 200, zone),
            on("GET /domains/example.com/rrsets/_acme-challenge.www/TXT/", "", 200, known),
            on("PUT /domains/example.com/rrsets/", set(json!(["\"of somebody else\"", "\"the-text\""])), 200, "[]"),
            on("GET /domains/?owns_qname=_acme-challenge.www.example.com", "", 200, zone),
            on("GET /domains/example.com/rrsets/_acme-challenge.www/TXT/", "", 200, both),
            on("PUT /domains/example.com/rrsets/", set(json!(["\"of somebody else\""])), 200, "[]"),
        ],
    )
    .await;
    let provider = searching(&script, Host::Desec);
    there_and_back(script, provider).await;
}

#[tokio::test]
async fn desec_is_asked_again_when_it_says_so() {
    let zone = r#"[{"name":"example.com","minimum_ttl":3600}]"#;
    let throttled = r#"{"detail":"Request was throttled. Expected available in 1 second."}"#;
    let slowly =
        Exchange { fields: "retry-after: 1\r\n", ..on("GET /domains/?owns_qname=example.com", "", 429, throttled) };
    let set = json!([{ "subname": "_acme-challenge.www", "type": "TXT", "ttl": 3600, "records": ["\"the-text\""] }]);
    let invalid = r#"[{"ttl":["Ensure this value is greater than or equal to 3600."]}]"#;
    let script = Script::new(
        TOKEN,
        vec![
            slowly,
            on("GET /domains/?owns_qname=example.com", "", 200, zone),
            on("GET /domains/example.com/rrsets/_acme-challenge.www/TXT/", "", 404, r#"{"detail":"Not found."}"#),
            on("PUT /domains/example.com/rrsets/", set, 400, invalid),
        ],
    )
    .await;
    let provider = by_token(&script, Host::Desec);
    refused(script, provider, &format!("deSEC refuses (400 Bad Request): {invalid}")).await;
    let script =
        Script::new(TOKEN, vec![on("GET /domains/?owns_qname=example.com", "", 401, r#"{"detail":"Invalid token."}"#)])
            .await;
    let provider = by_token(&script, Host::Desec);
    refused(script, provider, "deSEC refuses (401 Unauthorized): Invalid token.").await;
}

fn route53(script: &Script) -> Box<dyn Provider> {
    let credentials =
        Credentials { access_key: "AKIDEXAMPLE".into(), secret_key: "secret".into(), session_token: None };
    let zone = Zone::Route53(Route53Settings { at: script.at(), credentials, zone: Some("example.com".into()) });
    provider::of(&zone, &Lookup::new(&[]))
}

const SIGNED: &str = "/us-east-1/route53/aws4_request, SignedHeaders=";
const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

fn hosted_zones() -> String {
    let zone = |id: &str, name: &str, private: bool| {
        format!(
            "<HostedZone><Id>/hostedzone/{id}</Id><Name>{name}</Name><CallerReference>x</CallerReference><Config>\
             <PrivateZone>{private}</PrivateZone></Config><ResourceRecordSetCount>2</ResourceRecordSetCount></HostedZone>"
        )
    };
    format!(
        "{XML}<ListHostedZonesByNameResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><HostedZones>{}{}{}\
         </HostedZones><DNSName>example.com</DNSName><IsTruncated>false</IsTruncated></ListHostedZonesByNameResponse>",
        zone("Z0PRIVATE", "example.com.", true),
        zone("Z1PUBLIC", "example.com.", false),
        zone("Z2OTHER", "example.net.", false),
    )
}

fn record_sets(name: &str, values: &[&str]) -> String {
    let values: String =
        values.iter().map(|value| format!("<ResourceRecord><Value>{value}</Value></ResourceRecord>")).collect();
    format!(
        "{XML}<ListResourceRecordSetsResponse><ResourceRecordSets><ResourceRecordSet><Name>{name}</Name><Type>TXT</Type>\
         <TTL>300</TTL><ResourceRecords>{values}</ResourceRecords></ResourceRecordSet></ResourceRecordSets>\
         <IsTruncated>false</IsTruncated><MaxItems>1</MaxItems></ListResourceRecordSetsResponse>"
    )
}

fn change(action: &str, ttl: u32, values: &[&str]) -> String {
    let values: String =
        values.iter().map(|value| format!("<ResourceRecord><Value>{value}</Value></ResourceRecord>")).collect();
    format!(
        "<Change><Action>{action}</Action><ResourceRecordSet><Name>_acme-challenge.www.example.com.</Name><Type>TXT</Type>\
         <TTL>{ttl}</TTL><ResourceRecords>{values}</ResourceRecords></ResourceRecordSet></Change>"
    )
}

fn batch(changes: &[String]) -> String {
    format!(
        "{XML}<ChangeResourceRecordSetsRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><ChangeBatch><Changes>\
         {}</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>",
        changes.concat()
    )
}

const ZONES: &str = "GET /2013-04-01/hostedzonesbyname?dnsname=example.com&maxitems=10";
const SET: &str = "GET /2013-04-01/hostedzone/Z1PUBLIC/rrset?name=_acme-challenge.www.example.com&type=TXT&maxitems=1";
const CHANGE: &str = "POST /2013-04-01/hostedzone/Z1PUBLIC/rrset/";
const PENDING: &str = "<ChangeResourceRecordSetsResponse><ChangeInfo><Status>PENDING</Status></ChangeInfo></ChangeResourceRecordSetsResponse>";

#[tokio::test]
async fn route53_replaces_the_set_in_one_step() {
    let name = "_acme-challenge.www.example.com.";
    let faster = "<InvalidChangeBatch><Messages><Message>Tried to delete resource record set but the values provided do not match the current values</Message></Messages></InvalidChangeBatch>";
    let (other, third, own) = ("\"a&amp;b\"", "\"c\"", "\"the-text\"");
    let script = Script::new(
        SIGNED,
        vec![
            on(ZONES, "", 200, hosted_zones()),
            // Nothing is there: the answer is what comes behind it.
            on(SET, "", 200, record_sets("www.example.com.", &["\"unrelated\""])),
            on(CHANGE, batch(&[change("CREATE", 60, &[own])]), 400, faster),
            on(SET, "", 200, record_sets(name, &[other])),
            on(CHANGE, batch(&[change("DELETE", 300, &[other]), change("CREATE", 300, &[other, own])]), 200, PENDING),
            on(ZONES, "", 200, hosted_zones()),
            on(SET, "", 200, record_sets(name, &[other, "&quot;the-text&quot;", third])),
            on(
                CHANGE,
                batch(&[
                    change("DELETE", 300, &[other, "&quot;the-text&quot;", third]),
                    change("CREATE", 300, &[other, third]),
                ]),
                200,
                PENDING,
            ),
        ],
    )
    .await;
    let provider = route53(&script);
    there_and_back(script, provider).await;
}

#[tokio::test]
async fn route53_refuses() {
    let denied = "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidClientTokenId</Code><Message>The security token included in the request is invalid.</Message></Error><RequestId>x</RequestId></ErrorResponse>";
    let script = Script::new(SIGNED, vec![on(ZONES, "", 403, denied)]).await;
    let provider = route53(&script);
    let reason = "Route 53 refuses (403 Forbidden): The security token included in the request is invalid.";
    refused(script, provider, reason).await;
}

fn acme_dns(script: &Script) -> Box<dyn Provider> {
    let account = Account {
        subdomain: "d420c923-bbd7-4056-ab64-c3ca54c9b3cf".into(),
        user: "the-user".into(),
        password: Secret("the-password".into()),
    };
    provider::of(&Zone::AcmeDns(AcmeDns { at: script.at(), accounts: vec![account] }), &Lookup::new(&[]))
}

#[tokio::test]
async fn acme_dns_has_an_account_for_each_alias() {
    let record = |value: &str| Record {
        name: "d420c923-bbd7-4056-ab64-c3ca54c9b3cf.auth.example.org".to_owned(),
        value: value.to_owned(),
    };
    let ask = |value: &str, status, answer: Value| {
        let body = json!({ "subdomain": "d420c923-bbd7-4056-ab64-c3ca54c9b3cf", "txt": value });
        on("POST /update", body, status, answer)
    };
    let script = Script::new(
        "\r\nx-api-user: the-user\r\nx-api-key: the-password\r\n",
        vec![
            ask("one", 200, json!({ "txt": "one" })),
            ask("two", 200, json!({ "txt": "two" })),
            ask("three", 200, json!({ "txt": "three" })),
            ask("four", 401, json!({ "error": "forbidden" })),
        ],
    )
    .await;
    let provider = acme_dns(&script);
    let [one, two, three, four] = ["one", "two", "three", "four"].map(record);
    provider.present(&one).await.unwrap();
    provider.present(&two).await.unwrap();
    // It shows two texts: the third would take the place of the first, which is still needed.
    let mut third = Box::pin(provider.present(&three));
    assert!(futures_util::poll!(&mut third).is_pending());
    provider.remove(&one).await.unwrap();
    third.await.unwrap();
    provider.remove(&two).await.unwrap();
    let reason = provider.present(&four).await.unwrap_err().reason;
    assert_eq!(reason, "acme-dns refuses (401 Unauthorized): forbidden");
    script.done();
    let script = Script::new("", Vec::new()).await;
    let reason = "acme-dns has no account here for `_acme-challenge.www.example.com`: make it an alias (CNAME) of the `fulldomain` of an account";
    assert_eq!(acme_dns(&script).present(&self::record()).await.unwrap_err().reason, reason);
}

#[tokio::test]
async fn a_webhook_is_told_what_to_do() {
    let body =
        |action: &str| json!({ "action": action, "name": "_acme-challenge.www.example.com", "value": "the-text" });
    let script = Script::new(
        BEARER,
        vec![
            on("POST /", body("present"), 204, ""),
            on("POST /", body("remove"), 200, "done"),
            on("POST /", body("present"), 500, "no\n\u{1b}[31mzone"),
        ],
    )
    .await;
    let token = Some(Secret("the-token".into()));
    let settings = WebhookSettings { at: script.at(), token };
    let provider = provider::of(&Zone::Webhook(settings), &Lookup::new(&[]));
    provider.present(&record()).await.unwrap();
    provider.remove(&record()).await.unwrap();
    let reason = provider.present(&record()).await.unwrap_err().reason;
    assert_eq!(reason, "the webhook refuses (500 Internal Server Error): no [31mzone");
    script.done();
}

#[tokio::test]
async fn xz07_an_answer_without_end_is_not_read() {
    let endless = "x".repeat(2 * 1024 * 1024);
    let script = Script::new(BEARER, vec![on("GET /zones?name=example.com", "", 200, endless)]).await;
    let reason = by_token(&script, Host::Cloudflare).present(&record()).await.unwrap_err().reason;
    assert!(reason.starts_with("Cloudflare cannot be asked at"), "{reason}");
}
