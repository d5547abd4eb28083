//! What a reload does not touch lives on: connections to servers, tunnels, limits.

use crate::harness::{Frame, Opcode, Origin, WebSocket, eventually};
use crate::running::{Running, placed};

const CONFIG: &str = "global { admin unix/{$PLACE}/admin.sock }\n:0 {\n    bind 127.0.0.1\n    header { set X-Turn \"0\" }\n    reverse_proxy {$ORIGIN}\n}\n";

fn turn(count: usize) -> String {
    CONFIG.replace("\"0\"", &format!("\"{count}\""))
}

#[test]
fn connections_to_servers_are_used_again() {
    let origin = Origin::saying("hello");
    let mut placed = placed(CONFIG);
    placed.setup = placed.setup.with("ORIGIN", &origin);
    let proxy = placed.start_in_place();
    // One connection of a client stays with one worker, and so does what that has open to the server.
    let mut client = proxy.client();
    assert_eq!(client.get("a", "/").text(), "hello");
    for count in 1..=3 {
        proxy.rewrite(&turn(count));
        proxy.reloaded(count);
        let answer = client.get("a", "/");
        assert_eq!(answer.field("x-turn"), Some(count.to_string().as_str()));
    }
    assert_eq!(origin.connections(), 1);
}

/// Requirement P03.
#[test]
fn tunnels_live_through_a_reload_and_end_with_the_process() {
    let origin = Origin::raw(|wire| {
        wire.until(b"\r\n\r\n");
        wire.say(WebSocket::accepted(""));
        while let Some(frame) = Frame::read(&mut wire.pipe) {
            wire.say(Frame::new(Opcode::Text, frame.payload).encode());
        }
    });
    let mut placed = placed(&CONFIG.replace("global {", "global { grace 500ms;"));
    placed.setup = placed.setup.with("ORIGIN", &origin);
    let mut proxy = placed.start_in_place();
    let mut client = proxy.client();
    client.send(WebSocket::request("a", "/ws", ""));
    assert_eq!(client.response().status(), 101);
    for count in 1..=3 {
        proxy.rewrite(&turn(count).replace("global {", "global { grace 500ms;"));
        proxy.reloaded(count);
        client.send(Frame::new(Opcode::Text, "still there").masked().encode());
        assert_eq!(Frame::read(&mut client.pipe).unwrap().payload, b"still there");
    }
    proxy.signal(rustix::process::Signal::TERM);
    assert_eq!(proxy.wait().code(), Some(0));
    eventually("the end of the tunnel", || (origin.open() == 0).then_some(()));
}

#[test]
fn limits_go_on_counting() {
    let config = ":0 {\n    bind 127.0.0.1\n    rate_limit 2/h\n    respond \"0\"\n}\n";
    let proxy = crate::running::start(config);
    assert_eq!(proxy.get("/").status(), 200);
    assert_eq!(proxy.get("/").status(), 200);
    assert_eq!(proxy.get("/").status(), 429);
    proxy.rewrite(&config.replace("\"0\"", "\"1\""));
    proxy.reloaded(1);
    assert_eq!(proxy.get("/").status(), 429);
}
