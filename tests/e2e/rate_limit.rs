//! Requirements S01 to S04, threats XA13 and XL10: limits between real peers.

use crate::harness::{Ask, Protocol, Proxy, Setup, each, eventually};

/// The statuses of so many requests on one connection.
fn statuses(proxy: &Proxy, count: usize, fields: &str) -> Vec<u16> {
    let mut speaker = proxy.speaker();
    (0..count).map(|_| speaker.ask(Ask::get("/").fields(fields)).status()).collect()
}

fn passed(statuses: &[u16]) -> usize {
    assert!(statuses.iter().all(|status| matches!(status, 200 | 429)), "{statuses:?}");
    statuses.iter().filter(|status| **status == 200).count()
}

fn site(over: Protocol, statements: &str) -> Setup {
    over.of(&format!(":0 {{\n bind 127.0.0.1\n {statements}\n respond \"ok\"\n}}"))
}

#[test]
fn s01_a_flood_passes_by_its_burst_only() {
    each(|over| {
        // At this rate, nothing comes due while the test runs.
        let proxy = site(over, "rate_limit 10/h burst 20").start();
        assert_eq!(passed(&statuses(&proxy, 100, "")), 21);
    });
}

#[test]
fn s01_all_workers_count_together() {
    each(|over| {
        let proxy = over.of("global { workers 2 }\n:0 {\n bind 127.0.0.1\n rate_limit 60/h\n respond ok\n}").start();
        let passed: usize = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..8).map(|_| scope.spawn(|| passed(&statuses(&proxy, 20, "")))).collect();
            clients.into_iter().map(|client| client.join().unwrap()).sum()
        });
        assert_eq!(passed, 60);
    });
}

#[test]
fn s02_who_is_refused_is_told_when_to_come_back() {
    each(|over| {
        let proxy = site(over, "rate_limit 1/h burst 3").start();
        let mut speaker = proxy.speaker();
        for left in (0..4).rev() {
            let response = speaker.get("/");
            assert_eq!((response.status(), response.field("retry-after")), (200, None));
            assert_eq!(response.field("ratelimit-policy"), Some("\"1/h\";q=4;w=14400"));
            let state = response.field("ratelimit").unwrap().to_owned();
            assert!(state.starts_with(&format!("\"1/h\";r={left};t=")), "{state}");
        }
        let response = speaker.get("/");
        assert_eq!(response.status(), 429);
        let wait: u32 = response.field("retry-after").unwrap().parse().unwrap();
        assert!((3500..=3600).contains(&wait), "{wait}");
        let line = proxy.logged_for(&response);
        assert_eq!((&line["status"], &line["error"]), (&429.into(), &"rate_limited".into()));
    });
}

#[test]
fn s03_each_key_has_its_own_and_the_101st_is_refused() {
    each(|over| {
        let proxy = site(over, "rate_limit 100/h by header X-Api-Key").start();
        for key in ["X-Api-Key: one\r\n", "X-Api-Key: two\r\n", ""] {
            let statuses = statuses(&proxy, 101, key);
            assert_eq!((passed(&statuses), statuses[100]), (100, 429), "{key}");
        }
    });
}

#[test]
fn s03_a_page_of_ones_own_says_so_and_keeps_the_fields() {
    each(|over| {
        let proxy = site(over, "handle_errors 429 { respond \"slow down\" }\n rate_limit 1/h { headers off }").start();
        let mut speaker = proxy.speaker();
        speaker.get("/");
        // `handle_errors` stands above the limit here, so it does not cover it; below, it does.
        let bare = speaker.get("/");
        assert_eq!(bare.status(), 429);
        let proxy = site(over, "rate_limit 1/h { headers off }\n handle_errors 429 { respond \"slow down\" }").start();
        let mut speaker = proxy.speaker();
        speaker.get("/");
        let response = speaker.get("/");
        assert_eq!((response.status(), response.text()), (429, "slow down"));
        assert!(response.field("retry-after").is_some());
        assert_eq!(response.field("ratelimit"), None);
    });
}

#[test]
fn s02_a_limit_belongs_to_its_route() {
    each(|over| {
        let proxy = site(over, "route /login { rate_limit 1/h; respond ok }\n rate_limit 3/h").start();
        let mut speaker = proxy.speaker();
        let mut get = |target: &str| speaker.get(target).status();
        assert_eq!([get("/login"), get("/login")], [200, 429]);
        assert_eq!([get("/"), get("/"), get("/"), get("/")], [200, 200, 200, 429]);
    });
}

#[test]
fn xa13_a_client_does_not_make_itself_another() {
    each(|over| {
        let proxy = site(over, "rate_limit 2/h").start();
        let mut speaker = proxy.speaker();
        let statuses: Vec<u16> = (0..4)
            .map(|n| speaker.ask(Ask::get("/").field("X-Forwarded-For", &format!("198.51.100.{n}"))).status())
            .collect();
        assert_eq!(statuses, [200, 200, 429, 429]);
    });
}

#[test]
fn a_reload_forgets_nothing_that_it_leaves_as_it_is() {
    each(|over| {
        let config = "global { admin off }\n:0 {\n bind 127.0.0.1\n route /which { respond old }\n rate_limit 3/h\n respond ok\n}\n";
        let proxy = over.of(config).start();
        assert_eq!(passed(&statuses(&proxy, 2, "")), 2);
        std::fs::write(&proxy.config, over.secured(&config.replace("respond old", "respond new"))).unwrap();
        proxy.signal(rustix::process::Signal::HUP);
        eventually("the new configuration", || (proxy.get("/which").text() == "new").then_some(()));
        assert_eq!(passed(&statuses(&proxy, 5, "")), 1);
    });
}
