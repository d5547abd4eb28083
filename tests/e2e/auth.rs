//! Requirement A05, threats XA07 and XA08: names and passwords between real peers.

use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::harness::{Ask, Folder, Message, Origin, Protocol, Setup, Speaker, command, each, eventually};

/// Of `open sesame`, at a cost that takes a quarter of a second and more.
const SLOW: &str = "$2y$13$zxFd1bHgOTBXPvzRAjy7duf6vobBVngXMwdLDT/1484LHXvehymz.";
/// The same, at the lowest cost.
const FAST: &str = "$2y$04$yE7U3IHiNGJ2OZbQbFLfaOFxyvkY2b73YpkiAuVDO/flMPE/rVgYS";
/// `aladdin:open sesame` and `aladdin:close sesame`.
const RIGHT: &str = "Basic YWxhZGRpbjpvcGVuIHNlc2FtZQ==";
const WRONG: &str = "Basic YWxhZGRpbjpjbG9zZSBzZXNhbWU=";

fn ask(speaker: &mut Speaker, target: &str, fields: &str) -> Message {
    speaker.ask(Ask::get(target).fields(fields))
}

fn login(speaker: &mut Speaker, authorization: &str) -> Message {
    ask(speaker, "/", &format!("Authorization: {authorization}\r\n"))
}

fn site(over: Protocol, statements: &str) -> Setup {
    over.of(&format!(":0 {{\n bind 127.0.0.1\n {statements}\n}}"))
}

/// What `rp hash` makes of `input`.
fn hashed(input: &str) -> (bool, String) {
    let folder = Folder::new();
    let mut rp = command(&folder);
    let rp = rp.arg("hash").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut rp = rp.spawn().expect("rp can be run");
    rp.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = rp.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap().trim_end().to_owned())
}

#[test]
fn a05_what_rp_hash_prints_lets_its_user_in_and_nobody_else() {
    each(|over| {
        let (made, hash) = hashed("open sesame\n");
        assert!(made && hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let origin = Origin::saying("treasure");
        let config = format!("basic_auth \"The cave\" {{ user aladdin {hash} }}\n reverse_proxy {{$ORIGIN}}");
        let proxy = site(over, &config).with("ORIGIN", origin.address).start();
        let mut speaker = proxy.speaker();
        let refused = ask(&mut speaker, "/", "");
        assert_eq!(refused.status(), 401);
        assert_eq!(refused.all("www-authenticate"), ["Basic realm=\"The cave\", charset=\"UTF-8\""]);
        assert_eq!(proxy.logged_for(&refused)["error"], "unauthorized");
        assert_eq!(login(&mut speaker, WRONG).status(), 401);
        assert_eq!(origin.requests().len(), 0, "nobody came through");
        let admitted = login(&mut speaker, RIGHT);
        assert_eq!((admitted.status(), admitted.text()), (200, "treasure"));
        let line = proxy.logged_for(&admitted);
        assert_eq!((&line["user"], &line["error"]), (&"aladdin".into(), &serde_json::Value::Null));
        assert_eq!(origin.request().field("authorization"), Some(RIGHT));
        let twice = ask(&mut speaker, "/", &format!("Authorization: {WRONG}\r\nAuthorization: {RIGHT}\r\n"));
        assert_eq!(twice.status(), 400);
    });
}

#[test]
fn rp_hash_refuses_what_no_login_could_send() {
    assert_eq!(hashed("\n"), (false, "rp: the password is empty".to_owned()));
    assert!(!hashed("one\ntwo\n").0);
}

#[test]
fn the_name_goes_on_and_the_password_stays_where_told() {
    each(|over| {
        let origin = Origin::saying("ok");
        let config = format!(
            "header request remove X-User\n route /in/* {{\n basic_auth {{ user aladdin {FAST}; forward off }}\n header request set X-User {{auth.user}}\n reverse_proxy {{$ORIGIN}}\n }}\n reverse_proxy {{$ORIGIN}}"
        );
        let proxy = site(over, &config).with("ORIGIN", origin.address).start();
        let mut speaker = proxy.speaker();
        assert_eq!(ask(&mut speaker, "/out", "X-User: root\r\n").status(), 200);
        // By whatever spelling the path comes.
        for target in ["/in/", "/in", "//in/x", "/%69n/x", "/out/../in/x"] {
            assert_eq!(ask(&mut speaker, target, "X-User: root\r\n").status(), 401, "{target}");
        }
        let fields = format!("X-User: root\r\nAuthorization: {RIGHT}\r\n");
        assert_eq!(ask(&mut speaker, "/in/x", &fields).status(), 200);
        let seen = origin.requests();
        assert_eq!((seen.len(), seen[0].field("x-user")), (2, None));
        assert_eq!((seen[1].all("x-user"), seen[1].field("authorization")), (vec!["aladdin"], None));
    });
}

#[test]
fn a_file_of_users_is_read_again_when_it_changes() {
    each(|over| {
        let folder = Folder::new();
        let users = folder.write("users", format!("aladdin:{FAST}\n"));
        let proxy = site(over, "basic_auth { file {$USERS} }\n respond ok").with("USERS", users.display()).start();
        let mut speaker = proxy.speaker();
        assert_eq!(login(&mut speaker, RIGHT).status(), 200);
        // What has been proved is no longer worth anything once the user is gone.
        folder.write("users", format!("jafar:{FAST}\n"));
        eventually("aladdin is put out", || (login(&mut proxy.speaker(), RIGHT).status() == 401).then_some(()));
    });
}

#[test]
fn xa08_a_flood_of_logins_holds_up_nothing_else() {
    each(|over| {
        let config = format!(
            "route /free {{ respond free }}\n basic_auth {{ user aladdin {SLOW}; user jasmine {FAST} }}\n respond in"
        );
        let proxy = over.of(&format!("global {{ workers 1 }}\n:0 {{\n bind 127.0.0.1\n {config}\n}}")).start();
        let mut flood: Vec<Speaker> = Vec::new();
        // Of so many, some find the queue full, however many of them are checked meanwhile.
        let turned_away = eventually("a login is turned away", || {
            let mut speaker = proxy.speaker();
            speaker.ask_and_go_on(Ask::get("/").field("Authorization", WRONG));
            flood.push(speaker);
            let free = Instant::now();
            assert_eq!(proxy.get("/free").status(), 200);
            assert!(free.elapsed() < Duration::from_secs(2), "{:?}", free.elapsed());
            proxy.access_lines().into_iter().find(|line| line["status"] == 503)
        });
        assert_eq!(turned_away["error"], "overloaded");
        assert!(flood.len() > 64, "{}", flood.len());
        // They leave, and nobody works for them any more: else this would take a minute.
        flood.into_iter().for_each(Speaker::leave);
        eventually("the queue is worked off", || (login(&mut proxy.speaker(), RIGHT).status() == 200).then_some(()));
        let remembered = Instant::now();
        assert_eq!(login(&mut proxy.speaker(), RIGHT).status(), 200);
        assert!(remembered.elapsed() < Duration::from_secs(1), "a proof is remembered");
    });
}
