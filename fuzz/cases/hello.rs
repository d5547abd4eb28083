//! A ClientHello that the TLS library takes is one that we can read, too, and the same one however it is cut: what the log
//! and JA4 tell of a client is what it has said.
//!
//! The input: how many bytes come at a time, then the bytes of a client's first flight.

use proxyfile::tls::accept::accept_by;
use proxyfile::tls::hello::{Carrier, Hello, LARGEST, Sight};
use tokio::io::AsyncWriteExt as _;
use tokio::runtime::LocalRuntime;
use tokio::task::spawn_local;

pub fn run(data: &[u8]) {
    thread_local! {
        static RUNTIME: LocalRuntime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(tokio::runtime::LocalOptions::default())
            .expect("a runtime");
    }
    let [cut, wire @ ..] = data else { return };
    let (whole, pieces) = RUNTIME.with(|runtime| {
        let heard = |cut| runtime.block_on(heard(wire.to_vec(), cut));
        (heard(wire.len().max(1)), heard(usize::from(*cut).max(1)))
    });
    assert_eq!(whole, pieces, "how it is cut makes no difference");
    // What nobody has taken may be anything; reading it ends.
    for read in [Hello::read(wire), Hello::message(wire)] {
        let _ = read.map(|hello| hello.ja4(Carrier::Quic));
    }
    for seen in [Hello::glimpse(wire), Hello::glimpse_message(wire)].into_iter().flatten() {
        let told = [seen.name(), seen.versions(), seen.protocols()].concat();
        assert!(told.chars().all(|sign| !sign.is_control()), "{told:?}");
    }
    let _ = Sight::of(wire);
    if let Some((_, hello)) = whole {
        let ja4 = hello.ja4(Carrier::Tcp);
        let parts: Vec<usize> = ja4.split('_').map(str::len).collect();
        assert!(ja4.is_ascii() && parts == [10, 12, 12], "{ja4}");
        assert!(hello.versions().chars().chain(hello.protocols().chars()).all(|sign| !sign.is_control()));
    }
}

/// Whom connections are passed on for is the one that the library would have shaken hands for, and known as soon.
fn sighted(sight: &Sight, name: Option<&str>) {
    match sight {
        Sight::Cut => panic!("it is whole"),
        Sight::Name(sighted) => assert!(name.is_none_or(|name| name == &**sighted), "{sighted} is {name:?}"),
        Sight::Nobody => {}
    }
}

/// The name that was asked for, and all that was offered, of a client that was understood.
async fn heard(wire: Vec<u8>, cut: usize) -> Option<(Option<String>, Hello)> {
    let (mut ours, theirs) = tokio::io::duplex(4096);
    let writer = spawn_local(async move {
        for piece in wire.chunks(cut) {
            if ours.write_all(piece).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    });
    let mut heard = None;
    let outcome = accept_by(theirs, async |hello, flight| {
        let read = Hello::read(flight).expect("what the library reads, we read");
        if flight.len() <= LARGEST {
            sighted(&Sight::of(flight), hello.server_name());
        }
        heard = Some((hello.server_name().map(str::to_owned), read));
        None
    })
    .await;
    assert!(outcome.is_err(), "nobody is let in");
    writer.await.expect("it writes");
    heard
}
