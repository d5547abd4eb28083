//! Certificate files are read again when they change, and handshakes never meet half of a pair.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::harness::{Authority, Client, Folder, Identity, Proxy, eventually, of};
use crate::running::Running;

const NAME: &str = "site.test";

fn start(files: &Folder) -> Proxy {
    let config = "https://site.test:0 {\n    bind 127.0.0.1\n    tls {$FILES}/site.pem {$FILES}/site.key\n    respond hello\n}\n";
    of(config).with("FILES", files.path().display()).start()
}

/// The certificate that is shown, as DER.
fn shown(proxy: &Proxy, authority: &Authority) -> Vec<u8> {
    let mut config = (*authority.client(&["http/1.1"])).clone();
    config.resumption = rustls::client::Resumption::disabled();
    let name = NAME.try_into().unwrap();
    let mut session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut tcp = std::net::TcpStream::connect(proxy.address()).unwrap();
    while session.is_handshaking() {
        session.complete_io(&mut tcp).unwrap();
    }
    session.peer_certificates().unwrap()[0].to_vec()
}

fn der(identity: &Identity) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject as _;
    rustls::pki_types::CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap().to_vec()
}

#[test]
fn a_new_pair_is_shown_and_half_a_pair_never_is() {
    let authority = Authority::new();
    let files = Folder::new();
    let [first, second, third] = [(); 3].map(|()| authority.issue(&[NAME]));
    first.save(&files, "site");
    let proxy = start(&files);
    assert_eq!(shown(&proxy, &authority), der(&first));
    // An open connection and its sessions live through it.
    let mut open = Client::tls(proxy.address(), NAME, authority.client(&["http/1.1"])).unwrap();
    assert_eq!(open.get(NAME, "/").text(), "hello");
    second.save(&files, "site");
    eventually("the second certificate", || (shown(&proxy, &authority) == der(&second)).then_some(()));
    assert_eq!(open.get(NAME, "/").text(), "hello");
    // The key alone: they do not belong together.
    let refusals = proxy.refusals();
    fs::write(files.path().join("site.key"), &third.key).unwrap();
    proxy.refused(refusals + 1);
    proxy.shows("E0051");
    assert_eq!(shown(&proxy, &authority), der(&second));
    // A refused configuration's files are watched too.
    let before = proxy.reloads();
    fs::write(files.path().join("site.pem"), &third.certificate).unwrap();
    eventually("the third certificate", || (shown(&proxy, &authority) == der(&third)).then_some(()));
    // Clients see it a moment before the log does.
    eventually("the reload's line", || (proxy.reloads() > before).then_some(()));
    // Written again, they say the same.
    let reloads = proxy.reloads();
    third.save(&files, "site");
    std::thread::sleep(std::time::Duration::from_millis(700));
    assert_eq!(proxy.reloads(), reloads);
}

#[test]
fn a_certificate_that_is_missing_is_awaited() {
    let authority = Authority::new();
    let files = Folder::new();
    let identity = authority.issue(&[NAME]);
    identity.save(&files, "site");
    let proxy = start(&files);
    fs::remove_file(files.path().join("site.pem")).unwrap();
    proxy.refused(1);
    assert_eq!(shown(&proxy, &authority), der(&identity));
    let next = authority.issue(&[NAME]);
    next.save(&files, "site");
    eventually("the next certificate", || (shown(&proxy, &authority) == der(&next)).then_some(()));
}

#[test]
fn handshakes_go_on_while_certificates_change() {
    let authority = Arc::new(Authority::new());
    let files = Folder::new();
    let identities = [authority.issue(&[NAME]), authority.issue(&[NAME])];
    identities[0].save(&files, "site");
    let proxy = Arc::new(start(&files));
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let (proxy, authority, stop, done) = (proxy.clone(), authority.clone(), stop.clone(), done.clone());
            let known = identities.each_ref().map(der);
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    assert!(known.contains(&shown(&proxy, &authority)));
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for turn in 1..=5 {
        let before = done.load(Ordering::Relaxed);
        identities[turn % 2].save(&files, "site");
        eventually("the other certificate", || (shown(&proxy, &authority) == der(&identities[turn % 2])).then_some(()));
        assert!(done.load(Ordering::Relaxed) > before);
    }
    stop.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().unwrap());
}
