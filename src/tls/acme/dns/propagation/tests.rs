//! Name servers that say one thing after another.

use hickory_proto::op::ResponseCode;

use super::super::lookup::testing::{Fake, name, refusal, text};
use super::super::settings::{Rfc2136, Zone};
use super::*;

fn settings(servers: &[&Fake], wait: u64) -> Settings {
    let zone = Zone::Rfc2136(Rfc2136 { server: "127.0.0.1:9".into(), zone: None, key: None });
    let servers = servers.iter().map(|fake| fake.address).collect();
    Settings { servers, wait: Duration::from_millis(wait), ..Settings::new(zone) }
}

async fn outcome(settings: &Settings) -> Result<(), String> {
    let lookup = Lookup::new(&[]);
    wait(settings, &lookup, &name("_acme-challenge.a.test."), "text").await.map_err(|failure| failure.reason)
}

#[tokio::test]
async fn all_servers_must_have_the_text() {
    let early = Fake::new(|question| text(question, &["other", "text"])).await;
    let late = Fake::scripted([None, Some("other"), Some("text")]).await;
    assert_eq!(outcome(&settings(&[&early, &late], 60_000)).await, Ok(()));
    assert!(late.asked() >= 3 && early.asked() >= 3);
}

#[tokio::test]
async fn a_text_that_never_comes_is_told_with_the_server() {
    let has = Fake::new(|question| text(question, &["text"])).await;
    let lacks = Fake::new(|question| text(question, &["texts"])).await;
    let reason = outcome(&settings(&[&has, &lacks], 600)).await.unwrap_err();
    assert_eq!(reason, format!("the text is not seen after 0 s ({} has it not)", lacks.address));
}

#[tokio::test]
async fn who_says_nothing_is_waited_for_half_of_the_time() {
    let has = Fake::new(|question| text(question, &["text"])).await;
    let refuses = Fake::new(|question| refusal(question, ResponseCode::ServFail)).await;
    let began = Instant::now();
    assert_eq!(outcome(&settings(&[&has, &refuses], 1000)).await, Ok(()));
    assert!(began.elapsed() >= Duration::from_millis(500));
    let reason = outcome(&settings(&[&refuses], 300)).await.unwrap_err();
    assert!(reason.contains("refuses (Server Failure)"), "{reason}");
}
