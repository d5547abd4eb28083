//! What a balancer announces of a client (PROXY protocol) is read from its connection whole or not at all, and not a byte of
//! what stands behind it; written again, it says the same.
//!
//! The input: how many bytes come at a time, then the bytes.

use proxyfile::http::proxy_protocol::{FIXED, Said, Version, binary, line, write};
use proxyfile::server::alone::Alone;
use tokio::net::UnixStream;
use tokio::runtime::LocalRuntime;
use tokio::task::spawn_local;

pub fn run(data: &[u8]) {
    thread_local! {
        static RUNTIME: LocalRuntime = super::runtime();
    }
    let [cut, wire @ ..] = data else { return };
    let (whole, pieces) = RUNTIME.with(|runtime| {
        let hear = |cut| runtime.block_on(hear(wire.to_vec(), cut));
        (hear(wire.len().max(1)), hear(usize::from(*cut).max(1)))
    });
    assert_eq!(whole, pieces, "how it is cut makes no difference");
    if let Some((said, left)) = whole {
        let header = wire.strip_suffix(left.as_slice()).expect("what is left is the end");
        assert_eq!(read(header), Ok(said), "all of it, and no more");
        for version in [Version::V1, Version::V2] {
            let again = read(&write(version, said));
            assert!(again == Ok(said) || is_mixed(said), "{said:?} is written as {again:?}");
        }
    }
}

/// What was said, and what is left of the bytes.
async fn hear(wire: Vec<u8>, cut: usize) -> Option<(Said, Vec<u8>)> {
    let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
    let writer = spawn_local(async move {
        use tokio::io::AsyncWriteExt as _;
        let mut ours = ours;
        for piece in wire.chunks(cut) {
            if ours.write_all(piece).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    });
    let said = Alone::hear(&mut theirs).await;
    let mut left = Vec::new();
    if said.is_some() {
        use tokio::io::AsyncReadExt as _;
        theirs.read_to_end(&mut left).await.expect("the rest");
    }
    drop(theirs);
    writer.await.expect("it writes");
    said.map(|said| (said, left))
}

fn read(header: &[u8]) -> Result<Said, &'static str> {
    match Version::of(header).ok_or("neither version")? {
        Version::V1 => line(header),
        Version::V2 => {
            let (fixed, rest) = header.split_first_chunk::<FIXED>().ok_or("too short")?;
            binary(fixed, rest)
        }
    }
}

/// Addresses of both families cannot be written as they are.
fn is_mixed(said: Said) -> bool {
    matches!(said, Said::Client { from, to } if from.is_ipv4() != to.is_ipv4())
}
