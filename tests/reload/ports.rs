//! Listening addresses come and go with the configuration; those that stay are not touched.

use std::net::TcpStream;

use crate::harness::{Client, eventually, free_port, get};
use crate::running::{Running, placed, saying, start};

#[test]
fn a_port_that_the_system_chose_is_kept() {
    let proxy = start(&saying("one"));
    let mut open = proxy.client();
    assert_eq!(open.get("a", "/").text(), "one");
    for (count, text) in [(1, "two"), (2, "three"), (3, "four")] {
        proxy.rewrite(&saying(text));
        proxy.reloaded(count);
        assert_eq!(proxy.says(), text);
        // A connection from before the reload meets the new configuration.
        assert_eq!(open.get("a", "/").text(), text);
    }
    assert_eq!(proxy.log_lines().iter().filter(|line| line["message"] == "listening").count(), 1);
}

#[test]
fn ports_open_and_close() {
    let config = saying("one");
    let proxy = start(&config);
    let port = free_port();
    let more = format!("{config}\n:{port} {{\n    bind 127.0.0.1\n    respond two\n}}\n");
    proxy.rewrite(&more);
    proxy.reloaded(1);
    let address = ([127, 0, 0, 1], port).into();
    assert_eq!(get(address, "a", "/").text(), "two");
    let mut idle = Client::connect(address);
    assert_eq!(idle.get("a", "/").text(), "two");
    proxy.rewrite(&config);
    proxy.reloaded(2);
    eventually("the end of the port", || TcpStream::connect(address).is_err().then_some(()));
    // Who was connected is let go in good order.
    idle.assert_closed();
    assert_eq!(proxy.says(), "one");
}

#[test]
fn a_request_under_way_outlives_its_port() {
    let origin = crate::harness::Origin::new(|_, wire| {
        wire.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        wire.until(b"never said");
    });
    let port = free_port();
    let config = saying("one");
    let more = format!("{config}\n:{port} {{\n    bind 127.0.0.1\n    reverse_proxy {{$ORIGIN}}\n}}\n");
    let mut placed = placed(&more);
    placed.setup = placed.setup.with("ORIGIN", &origin).doors(2);
    let proxy = placed.start_in_place();
    let mut client = Client::connect(([127, 0, 0, 1], port).into());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.pipe.until(b"hello").unwrap();
    proxy.rewrite(&config);
    proxy.reloaded(1);
    eventually("the end of the port", || TcpStream::connect(("127.0.0.1", port)).is_err().then_some(()));
    client.assert_silent(std::time::Duration::from_millis(200));
    assert_eq!(origin.open(), 1);
}

#[test]
fn a_port_that_is_taken_refuses_the_whole_configuration() {
    let config = saying("one");
    let proxy = start(&config);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let more = format!("{}\n:{port} {{\n    bind 127.0.0.1\n    respond two\n}}\n", saying("changed"));
    proxy.rewrite(&more);
    proxy.refused(1);
    proxy.shows("E0052");
    assert_eq!(proxy.says(), "one");
    // It is free now: told to, the same files are tried again.
    drop(taken);
    let output = proxy.ask(&["reload"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(proxy.says(), "changed");
}

#[test]
fn the_file_of_a_unix_socket_comes_and_goes() {
    let config = saying("one");
    let proxy = start(&config);
    let socket = proxy.folder.path().join("site.sock");
    proxy.rewrite(&format!("{config}\nunix/{} {{ respond two }}\n", socket.display()));
    proxy.reloaded(1);
    assert!(std::os::unix::net::UnixStream::connect(&socket).is_ok());
    proxy.rewrite(&config);
    proxy.reloaded(2);
    assert!(!socket.exists());
}
