//! Which name is asked for when, and what becomes of it.

use super::*;
use crate::tls::certificate::tests::World;
use crate::tls::storage::tests::Scratch;
use crate::tls::storage::wait;

pub fn wishes(scratch: &Scratch, names: &[&str]) -> Wishes {
    Wishes {
        issuers: vec![Issuer::at("https://ca.test/dir")],
        storage: scratch.storage(),
        names: names.iter().map(|name| (*name).into()).collect(),
        kinds: vec![Kind::Http01, Kind::TlsAlpn01],
        dns: None,
        key: KeyType::default(),
        demand: Vec::new(),
        together: Vec::new(),
    }
}

fn store(scratch: &Scratch) -> Store {
    Store::of(&scratch.storage(), "https://ca.test/dir")
}

pub fn stores(scratch: &Scratch) -> Stores {
    [store(scratch)].into()
}

pub fn certificate(world: &World, name: &str) -> Arc<Certificate> {
    let signed = world.sign(&[name]);
    Arc::new(Certificate::from_pem(signed.chain.as_bytes(), signed.key.as_bytes()).unwrap())
}

#[test]
fn what_was_kept_is_shown_and_not_asked_for() {
    let (scratch, world) = (Scratch::new(), World::new());
    let signed = world.sign(&["a.test"]);
    wait(store(&scratch).save(None, "a.test", &signed.key, &signed.chain)).unwrap();
    let vault = Vault::default();
    for name in ["a.test", "b.test"] {
        vault.slot(&stores(&scratch), name).unwrap();
    }
    vault.want(&wishes(&scratch, &["a.test", "b.test"]));
    let now = OffsetDateTime::now_utc();
    let job = vault.next(now).unwrap();
    assert_eq!((job.name(), job.task), ("b.test", Task::Order));
    let job = vault.next(now).unwrap();
    assert_eq!((job.name(), job.task), ("a.test", Task::Look));
    assert!(vault.next(now).is_none());
    let report = vault.report();
    assert!(report[0].certificate.is_some() && !report[0].under_way);
    assert!(report[1].certificate.is_none() && report[1].under_way);
}

#[test]
fn a_failure_is_waited_out_and_told() {
    let (scratch, world) = (Scratch::new(), World::new());
    let vault = Vault::default();
    vault.slot(&stores(&scratch), "a.test").unwrap();
    vault.want(&wishes(&scratch, &["a.test"]));
    let now = OffsetDateTime::now_utc();
    let job = vault.next(now).unwrap();
    let pause = vault.finish(&job, &[], Err(Failure::other("no")));
    assert!((50..70).contains(&pause.as_secs()), "{pause:?}");
    assert!(vault.next(now).is_none());
    assert_eq!(vault.report()[0].error.as_deref(), Some("no"));
    let job = vault.next(now + Duration::from_secs(70)).unwrap();
    let kept = certificate(&world, "a.test");
    vault.finish(&job, &[], Ok((kept.clone(), Some(Kind::TlsAlpn01))));
    let status = &vault.report()[0];
    assert_eq!((status.error.as_deref(), status.due >= kept.renewal()), (None, true));
    let job = vault.next(status.due).unwrap();
    assert_eq!(job.kinds, [Kind::TlsAlpn01, Kind::Http01], "what worked comes first");
}

#[test]
fn of_many_names_one_finds_out_whether_there_is_a_way_to_the_authority() {
    let (scratch, world) = (Scratch::new(), World::new());
    let names = ["a.test", "b.test", "c.test"];
    let vault = Vault::default();
    let fallback = Issuer::at("https://fallback.test/dir");
    let issuers = vec![Issuer::at("https://ca.test/dir"), fallback];
    let wishes = Wishes { issuers, ..wishes(&scratch, &names) };
    for name in names {
        vault.slot(&wishes.stores(), name).unwrap();
    }
    vault.want(&wishes);
    let away = || Err(Failure { reason: "no connection".to_owned(), kind: FailureKind::Unreached });
    let now = OffsetDateTime::now_utc();
    for at in [0, 1] {
        let job = vault.next(now).unwrap();
        assert_eq!(job.at, at, "who is away for one is away for all");
        vault.finish(&job, &[], away());
    }
    assert!(vault.next(now).is_none());
    for status in vault.report() {
        assert_eq!(status.error.as_deref(), Some("ca.test: no connection; fallback.test: no connection"));
    }
    let now = now + Duration::from_secs(3);
    let job = vault.next(now).unwrap();
    vault.finish(&job, &[], Ok((certificate(&world, job.name()), Some(Kind::Http01))));
    let others = [vault.next(now).unwrap(), vault.next(now).unwrap()];
    assert!(others.iter().all(|job| job.at == 0 && job.task == Task::Order), "once there is a way it is for all");
}

#[test]
fn a_name_that_goes_is_left_alone_and_one_that_stays_keeps_its_slot() {
    let scratch = Scratch::new();
    let vault = Vault::default();
    let [a, b] = ["a.test", "b.test"].map(|name| vault.slot(&stores(&scratch), name).unwrap());
    vault.want(&wishes(&scratch, &["a.test", "b.test"]));
    vault.want(&wishes(&scratch, &["b.test"]));
    let now = OffsetDateTime::now_utc();
    assert_eq!(vault.next(now).unwrap().name(), "b.test");
    assert!(vault.next(now).is_none());
    assert!(Arc::ptr_eq(&vault.slot(&stores(&scratch), "b.test").unwrap(), &b));
    assert!(!Arc::ptr_eq(&vault.slot(&stores(&scratch), "a.test").unwrap(), &a));
}
