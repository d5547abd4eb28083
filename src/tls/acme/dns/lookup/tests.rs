//! Questions to honest servers, and to those that mean harm.

use hickory_proto::rr::Record;
use hickory_proto::rr::rdata::{A, CNAME, NS, SOA, TXT};

use super::testing::{Fake, name, nothing, records, refusal, text};
use super::*;

fn lookup(fake: &Fake) -> Lookup {
    Lookup::new(&[fake.address])
}

fn alias(question: &Message, target: &str) -> Message {
    records(question, [RData::CNAME(CNAME(name(target)))])
}

fn asked(question: &Message) -> (String, RecordType) {
    (bare(question.queries[0].name()), question.queries[0].query_type())
}

#[tokio::test]
async fn aliases_are_followed_to_their_end() {
    let fake = Fake::new(|question| match asked(question).0.as_str() {
        "_acme-challenge.a.test" => alias(question, "b.test."),
        "b.test" => alias(question, "C.Test."),
        _ => refusal(question, ResponseCode::NXDomain),
    })
    .await;
    let target = lookup(&fake).target(&name("_acme-challenge.a.test.")).await.unwrap();
    assert_eq!(bare(&target).to_ascii_lowercase(), "c.test");
    assert_eq!(bare(&lookup(&fake).target(&name("d.test.")).await.unwrap()), "d.test");
}

#[tokio::test]
async fn xz06_aliases_that_go_round_or_never_end_are_left() {
    let round = Fake::new(|question| match asked(question).0.as_str() {
        "a.test" => alias(question, "B.test."),
        _ => alias(question, "A.test."),
    })
    .await;
    let itself = Fake::new(|question| alias(question, "a.test.")).await;
    let endless = Fake::new(|question| alias(question, &format!("x.{}.", asked(question).0))).await;
    for fake in [&round, &itself, &endless] {
        let failure = lookup(fake).target(&name("a.test.")).await.unwrap_err();
        assert_eq!(failure.reason, "the aliases (CNAME) of `a.test` lead nowhere");
        assert!(fake.asked() <= MOST_ALIASES + 1, "{}", fake.asked());
    }
}

#[tokio::test]
async fn xz06_only_the_answer_to_the_question_is_one() {
    let fake = Fake::raw(|question| {
        let mut guessed = text(question, &["guessed"]);
        guessed.metadata.id = guessed.metadata.id.wrapping_add(1);
        let mut other = text(question, &["of another name"]);
        other.queries[0].set_name(name("b.test."));
        let mut a_question = text(question, &["a question"]);
        a_question.metadata.message_type = MessageType::Query;
        let beside = {
            let mut answer = text(question, &["right"]);
            let foreign = RData::TXT(TXT::new(vec!["of another owner".to_owned()]));
            answer.add_answer(Record::from_rdata(name("b.test."), 60, foreign));
            answer
        };
        [guessed, other, a_question, beside].iter().map(|answer| answer.to_vec().unwrap()).collect()
    })
    .await;
    assert_eq!(texts(fake.address, &name("a.test.")).await, Ok(vec!["right".to_owned()]));
}

/// A pointer to itself, one ahead, and a name that is longer than names may be by going back again and again.
#[tokio::test]
async fn xz06_pointers_that_go_round_are_no_answer() {
    for pointer in [[0xC0, 0x0C], [0xC0, 0xFF], [0xFF, 0xFF]] {
        let fake = Fake::raw(move |question| {
            let mut bytes = question.metadata.id.to_be_bytes().to_vec();
            bytes.extend([0x84, 0, 0, 1, 0, 1, 0, 0, 0, 0]);
            bytes.extend(pointer);
            bytes.extend([0, 16, 0, 1]);
            bytes.extend(pointer);
            bytes.extend([0, 16, 0, 1, 0, 0, 0, 0, 0, 2, 1, b'x']);
            vec![bytes]
        })
        .await;
        let began = Instant::now();
        assert_eq!(texts(fake.address, &name("a.test.")).await, Err(Mute::Senseless));
        assert!(began.elapsed() < PATIENCE * 3);
    }
}

#[tokio::test]
async fn xz06_more_records_than_anybody_needs_are_not_read() {
    let fake = Fake::raw(|question| {
        let mut bytes = text(question, &["x"]).to_vec().unwrap();
        bytes[6..8].copy_from_slice(&u16::MAX.to_be_bytes());
        vec![bytes]
    })
    .await;
    assert_eq!(texts(fake.address, &name("a.test.")).await, Err(Mute::Senseless));
}

#[tokio::test]
async fn what_does_not_fit_is_asked_for_over_tcp() {
    let cut = |question: &Message| {
        let mut answer = nothing(question);
        answer.metadata.truncation = true;
        answer
    };
    let long = "x".repeat(200);
    let whole = move |question: &Message| text(question, &[long.as_str(); 20]);
    let fake = Fake::and_over_tcp(cut, whole).await;
    assert_eq!(texts(fake.address, &name("a.test.")).await.unwrap().len(), 20);
    // Nobody there.
    let alone = Fake::new(cut).await;
    assert_eq!(texts(alone.address, &name("a.test.")).await, Err(Mute::Unreachable));
}

#[tokio::test]
async fn a_zone_and_its_servers_are_found() {
    let fake = Fake::new(|question| match asked(question) {
        (owner, RecordType::SOA) if owner == "_acme-challenge.www.a.test" => {
            let mut answer = refusal(question, ResponseCode::NXDomain);
            let start = SOA::new(name("ns.a.test."), name("admin.a.test."), 1, 60, 60, 60, 60);
            answer.add_authority(Record::from_rdata(name("a.test."), 60, RData::SOA(start)));
            answer
        }
        (_, RecordType::NS) => records(question, ["one.test.", "two.test."].map(|to| RData::NS(NS(name(to))))),
        (owner, RecordType::A) if owner == "one.test" => {
            records(question, [RData::A(A::new(127, 0, 0, 7)), RData::A(A::new(127, 0, 0, 8))])
        }
        _ => nothing(question),
    })
    .await;
    let lookup = lookup(&fake).at_port(5353);
    let zone = lookup.zone(&name("_acme-challenge.www.a.test.")).await.unwrap();
    assert_eq!(bare(&zone), "a.test");
    let servers = lookup.servers(&zone).await.unwrap();
    let [one, two] = servers.as_slice() else { panic!("{servers:?}") };
    assert_eq!((one.name.as_str(), two.name.as_str()), ("one.test", "two.test"));
    let addresses: Vec<String> = one.addresses.iter().map(ToString::to_string).collect();
    assert_eq!((addresses, two.addresses.len()), (vec!["127.0.0.7:5353".to_owned(), "127.0.0.8:5353".to_owned()], 0));
    let failure = lookup.zone(&name("b.test.")).await.unwrap_err();
    assert_eq!(failure.reason, "no zone is known that `b.test` is in");
}

#[tokio::test]
async fn the_next_resolver_is_asked_where_one_refuses() {
    let broken = Fake::new(|question| refusal(question, ResponseCode::ServFail)).await;
    let works = Fake::new(|question| alias(question, "b.test.")).await;
    let works_for_a = Fake::new(|question| match asked(question).0.as_str() {
        "a.test" => alias(question, "b.test."),
        _ => nothing(question),
    })
    .await;
    let both = Lookup::new(&[broken.address, works_for_a.address]);
    assert_eq!(bare(&both.target(&name("a.test.")).await.unwrap()), "b.test");
    assert!(works.asked() == 0 && broken.asked() > 0);
    let failure = Lookup::new(&[broken.address]).target(&name("a.test.")).await.unwrap_err();
    let expected = format!("nobody says what `a.test` has as CNAME ({}: refuses (Server Failure))", broken.address);
    assert_eq!(failure.reason, expected);
}
