//! Which server is asked.

use proxyfile::http::fault::Cause;
use proxyfile::upstream::{Policy, Upstream};

use crate::origin::{Origin, Request, answering, get, run, settings, upstream};

async fn three() -> [Origin; 3] {
    let a = answering("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na").await;
    let b = answering("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nb").await;
    let c = answering("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nc").await;
    [a, b, c]
}

fn counts(origins: &[Origin]) -> Vec<usize> {
    origins.iter().map(|origin| origin.log.count()).collect()
}

/// An address at which nobody listens.
fn gone() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn turns_follow_the_weights() {
    run(async {
        let origins = three().await;
        let addresses: Vec<String> = origins.iter().map(|origin| origin.address.to_string()).collect();
        let mut settings = settings(&addresses.iter().map(String::as_str).collect::<Vec<_>>());
        for (server, weight) in settings.servers.iter_mut().zip([3, 2, 1]) {
            server.weight = weight;
        }
        let upstream = Upstream::new(settings);
        for _ in 0..6000 {
            get(&upstream).await;
        }
        assert_eq!(counts(&origins), [3000, 2000, 1000]);
        assert!(origins.iter().all(|origin| origin.log.connections.get() == 1));
    });
}

#[test]
fn backups_are_asked_when_all_others_are_down() {
    run(async {
        let origins = three().await;
        let addresses: Vec<String> = origins.iter().map(|origin| origin.address.to_string()).collect();
        let mut settings = settings(&addresses.iter().map(String::as_str).collect::<Vec<_>>());
        settings.servers[2].backup = true;
        let upstream = Upstream::new(settings);
        for _ in 0..10 {
            get(&upstream).await;
        }
        assert_eq!(counts(&origins), [5, 5, 0]);
        upstream.servers()[0].slot.health.set_down(true);
        assert_eq!(get(&upstream).await.1, "b");
        upstream.servers()[1].slot.health.set_down(true);
        assert_eq!(get(&upstream).await.1, "c");
        upstream.servers()[2].slot.health.set_down(true);
        let (cause, trace) = Request::get().cause(&upstream).await;
        assert_eq!((cause, trace.attempts), (Cause::NoHealthyUpstream, 0));
        upstream.servers()[0].slot.health.set_down(false);
        assert_eq!(get(&upstream).await.1, "a");
    });
}

#[test]
fn the_least_loaded_is_asked() {
    run(async {
        let slow = crate::origin::origin(|_, mut client| async move {
            while client.head().await.is_some() {
                client.say("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\na").await;
            }
        })
        .await;
        let [_, quick, _] = three().await;
        let mut settings = settings(&[&slow.address.to_string(), &quick.address.to_string()]);
        settings.balance = Policy::LeastConn;
        let upstream = Upstream::new(settings);
        let mut held = Request::get().response(&upstream).await.into_body();
        assert!(matches!(crate::origin::next(&mut held).await, Some(Ok(_))));
        for _ in 0..10 {
            assert_eq!(get(&upstream).await.1, "b");
        }
        assert_eq!(upstream.servers()[0].slot.in_flight(), 1);
        drop(held);
        assert_eq!(upstream.servers()[0].slot.in_flight(), 0);
    });
}

#[test]
fn a_server_that_is_gone_costs_no_request_and_is_put_out() {
    run(async {
        let [origin, ..] = three().await;
        let upstream = Upstream::new(settings(&[&gone(), &origin.address.to_string()]));
        let mut attempts = vec![];
        for _ in 0..10 {
            let (result, trace) = Request::get().send(&upstream).await;
            assert!(result.is_ok());
            attempts.push(trace.attempts);
        }
        // A retry takes the next turn, so each request meets it until it is out.
        assert_eq!(attempts, [2, 2, 2, 1, 1, 1, 1, 1, 1, 1], "out after the third failure");
        assert!(upstream.servers()[0].slot.health.is_ejected());
        // What a reload names again keeps its health.
        let reloaded = Upstream::new(settings(&[&upstream.servers()[0].address_text, &origin.address.to_string()]));
        assert!(!reloaded.servers()[0].is_fit());
    });
}

#[test]
fn half_of_the_servers_stay_whatever_happens() {
    run(async {
        let addresses = [gone(), gone(), gone()];
        let upstream = Upstream::new(settings(&addresses.each_ref().map(String::as_str)));
        for _ in 0..20 {
            let (cause, trace) = Request::get().cause(&upstream).await;
            assert_eq!((cause, trace.attempts), (Cause::ConnectionRefused, 2));
        }
        let out = upstream.servers().iter().filter(|server| server.slot.health.is_ejected()).count();
        assert_eq!(out, 1);
        let alone = Upstream::new(settings(&[&gone()]));
        for _ in 0..5 {
            assert_eq!(Request::get().cause(&alone).await.0, Cause::ConnectionRefused);
        }
        assert!(!alone.servers()[0].slot.health.is_ejected());
    });
}

#[test]
fn a_silent_neighbour_answers_for_one_that_hangs_up() {
    run(async {
        let rude = crate::origin::origin(|_, mut client| async move {
            client.head().await;
        })
        .await;
        let [polite, ..] = three().await;
        let upstream = upstream(&[&rude, &polite]);
        for _ in 0..4 {
            assert_eq!(get(&upstream).await.1, "a");
        }
        assert!(rude.log.count() > 0);
        let (cause, _) = loop {
            // Whichever one gets it: only a request without an effect goes on to the other.
            let request = Request::new(http::Method::POST);
            if let (Err(fault), trace) = request.send(&upstream).await {
                break (fault.cause, trace);
            }
        };
        assert_eq!(cause, Cause::ClosedEarly);
    });
}
