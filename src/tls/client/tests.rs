//! Both ends over a pipe in memory: what the client takes, and the word for what it refuses.

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::NamedGroup;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::tls::accept::{Failed, TlsFacts, accept};
use crate::tls::certificate::Certificate;
use crate::tls::certificate::tests::{Signed, World};
use crate::tls::name::Name;
use crate::tls::resolver::{Names, Resolver};
use crate::tls::server::{Options, server_config};
use crate::tls::storage::tests::Scratch;

/// A server with one certificate for `names`, a client that believes the test's root.
struct Pipe {
    scratch: Scratch,
    world: World,
    server: Options,
    client: ClientOptions,
}

type Ends = (io::Result<tokio_rustls::server::TlsStream<DuplexStream>>, io::Result<TlsStream<DuplexStream>>);

impl Pipe {
    fn new() -> Self {
        let (scratch, world) = (Scratch::new(), World::new());
        let root = scratch.write("root.pem", world.root.pem());
        let client = ClientOptions { verify: Verify::Authorities(root), ..ClientOptions::default() };
        Self { scratch, world, server: Options::default(), client }
    }

    async fn meet(&self, signed: &Signed, host: &str) -> Ends {
        let certificate = Certificate::from_pem(signed.chain.as_bytes(), signed.key.as_bytes()).unwrap();
        let mut names = Names::new();
        for name in certificate.names() {
            names.add(name, Arc::clone(certificate.key()));
        }
        let config = server_config(Resolver::new(names), &self.server).unwrap();
        let client = Client::build(&self.client, &SystemRoots::default()).unwrap();
        let (near, far) = duplex(64 * 1024);
        let name = client.server_name(host).unwrap();
        tokio::join!(accept(near, &config), client.connect(far, name))
    }

    /// The client's word, `ok` when it took the server.
    async fn word(&self, signed: &Signed, host: &str) -> &'static str {
        self.meet(signed, host).await.1.map_or_else(|error| reason(&error), |_| "ok")
    }
}

#[tokio::test]
async fn a_good_origin_is_taken_with_the_hybrid_group() {
    let pipe = Pipe::new();
    let (server, client) = pipe.meet(&pipe.world.sign(&["a.test"]), "A.test").await;
    let (mut server, mut client) = (server.unwrap(), client.unwrap());
    let facts = TlsFacts::of(server.get_ref().1).unwrap();
    assert_eq!(
        facts,
        TlsFacts {
            version: Version::Tls13,
            suite: "TLS_AES_256_GCM_SHA384",
            group: Some("x25519mlkem768"),
            alpn: Some(Alpn::H2),
            sni: Some("a.test".into()),
            resumed: false,
        }
    );
    let group = client.get_ref().1.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
    client.write_all(b"ping").await.unwrap();
    client.flush().await.unwrap();
    let mut bytes = [0; 4];
    server.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"ping");
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_has_a_word() {
    let pipe = Pipe::new();
    let signed = pipe.world.sign(&["a.test", "b.test"]);
    assert_eq!(pipe.word(&signed, "b.test").await, "ok");
    let late = pipe.world.sign_with(&["a.test"], |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    assert_eq!(pipe.word(&late, "a.test").await, "expired");
    let early = pipe.world.sign_with(&["a.test"], |params| params.not_before = rcgen::date_time_ymd(2090, 1, 1));
    assert_eq!(pipe.word(&early, "a.test").await, "not_yet_valid");
    let purpose = pipe.world.sign_with(&["a.test"], |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    assert_eq!(pipe.word(&purpose, "a.test").await, "wrong_purpose");
    assert_eq!(pipe.word(&World::named("other root").sign(&["a.test"]), "a.test").await, "unknown_issuer");
    assert_eq!(pipe.word(&World::new().sign(&["a.test"]), "a.test").await, "bad_signature");
    let key = KeyPair::generate().unwrap();
    let mut own = CertificateParams::new(["a.test".to_owned()]).unwrap();
    own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = own.self_signed(&key).unwrap().pem();
    let own = Signed { leaf: pem.clone(), chain: pem, key: key.serialize_pem() };
    assert_eq!(pipe.word(&own, "a.test").await, "self_signed");
}

#[tokio::test]
async fn a_name_of_our_choice_is_asked_for_and_verified() {
    let mut pipe = Pipe::new();
    let signed = pipe.world.sign(&["a.test"]);
    pipe.client.name = Some(server_name("a.test").unwrap());
    let (server, client) = pipe.meet(&signed, "10.0.0.1").await;
    client.unwrap();
    assert_eq!(server.unwrap().get_ref().1.server_name(), Some("a.test"));
    pipe.client.name = None;
    pipe.server.alpn.clear();
    assert_eq!(pipe.word(&pipe.world.sign(&["10.0.0.1"]), "10.0.0.1").await, "unrecognized_name");
}

#[tokio::test]
async fn the_right_host_under_the_wrong_certificate_is_refused() {
    let pipe = Pipe::new();
    let signed = pipe.world.sign(&["a.test"]);
    let certificate = Certificate::from_pem(signed.chain.as_bytes(), signed.key.as_bytes()).unwrap();
    let mut names = Names::new();
    names.add(&Name::parse("b.test").unwrap(), Arc::clone(certificate.key()));
    let config = server_config(Resolver::new(names), &pipe.server).unwrap();
    let client = Client::build(&pipe.client, &SystemRoots::default()).unwrap();
    let (near, far) = duplex(64 * 1024);
    let (server, client) = tokio::join!(accept(near, &config), client.connect(far, server_name("b.test").unwrap()));
    assert_eq!(reason(&client.unwrap_err()), "wrong_name");
    assert_eq!(reason(&server.unwrap_err()), "certificate_refused");
}

#[tokio::test]
async fn an_unknown_name_is_said_on_both_sides() {
    let pipe = Pipe::new();
    let (server, client) = pipe.meet(&pipe.world.sign(&["a.test"]), "b.test").await;
    assert_eq!(reason(&client.unwrap_err()), "unrecognized_name");
    let error = server.unwrap_err();
    assert_eq!(reason(&error), "unknown_name");
    assert_eq!(Failed::of(&error).unwrap().hello.as_ref().unwrap().name(), "b.test");
    assert_eq!(error.to_string(), "no certificate for this name");
}

#[tokio::test]
async fn versions_and_protocols_that_do_not_meet_have_words() {
    let mut pipe = Pipe::new();
    let signed = pipe.world.sign(&["a.test"]);
    pipe.client.alpn = vec![Alpn::H2];
    pipe.server.alpn = vec![Alpn::Http11];
    assert_eq!(pipe.word(&signed, "a.test").await, "alpn");
    pipe.server.alpn = vec![Alpn::H2];
    pipe.client.min = Version::Tls13;
    pipe.server.max = Version::Tls12;
    let (server, client) = pipe.meet(&signed, "a.test").await;
    assert_eq!(reason(&client.unwrap_err()), "version");
    assert_eq!(reason(&server.unwrap_err()), "version");
    pipe.client.min = Version::Tls12;
    let (server, _client) = pipe.meet(&signed, "a.test").await;
    let facts = TlsFacts::of(server.unwrap().get_ref().1).unwrap();
    assert_eq!((facts.version.as_str(), facts.suite), ("TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"));
}

#[tokio::test]
async fn clear_text_and_silence_have_words() {
    let pipe = Pipe::new();
    let client = Client::build(&pipe.client, &SystemRoots::default()).unwrap();
    let name = || server_name("a.test").unwrap();
    let (mut near, far) = duplex(64 * 1024);
    near.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    assert_eq!(reason(&client.connect(far, name()).await.unwrap_err()), "not_tls");
    let (mut near, far) = duplex(64 * 1024);
    near.shutdown().await.unwrap();
    assert_eq!(reason(&client.connect(far, name()).await.unwrap_err()), "closed");
}

#[tokio::test]
async fn nothing_is_verified_only_when_asked() {
    let mut pipe = Pipe::new();
    let foreign = World::named("other root").sign(&["a.test"]);
    assert_eq!(pipe.word(&foreign, "a.test").await, "unknown_issuer");
    pipe.client.verify = Verify::System;
    assert_eq!(pipe.word(&foreign, "a.test").await, "unknown_issuer");
    pipe.client.verify = Verify::Off;
    assert_eq!(pipe.word(&foreign, "a.test").await, "ok");
}

#[tokio::test]
async fn a_session_is_resumed_for_the_same_name_alone() {
    let pipe = Pipe::new();
    let signed = pipe.world.sign(&["a.test", "b.test"]);
    let certificate = Certificate::from_pem(signed.chain.as_bytes(), signed.key.as_bytes()).unwrap();
    let mut names = Names::new();
    names.set_default(Arc::clone(certificate.key()));
    let config = server_config(Resolver::new(names), &pipe.server).unwrap();
    let client = Client::build(&pipe.client, &SystemRoots::default()).unwrap();
    let mut resumed = Vec::new();
    for host in ["a.test", "a.test", "b.test", "a.test"] {
        let (near, far) = duplex(64 * 1024);
        let (server, client) = tokio::join!(accept(near, &config), client.connect(far, server_name(host).unwrap()));
        let (mut server, mut client) = (server.unwrap(), client.unwrap());
        resumed.push(TlsFacts::of(server.get_ref().1).unwrap().resumed);
        server.write_all(b"x").await.unwrap();
        server.flush().await.unwrap();
        // The ticket travels before the first byte of data.
        client.read_u8().await.unwrap();
    }
    assert_eq!(resumed, [false, true, false, true]);
}

#[test]
fn a_file_of_authorities_is_read_whole_or_not_at_all() {
    let pipe = Pipe::new();
    let build = |name: &str, bytes: &str| {
        let verify = Verify::Authorities(pipe.scratch.write(name, bytes));
        let options = ClientOptions { verify, ..ClientOptions::default() };
        Client::build(&options, &SystemRoots::default()).map(|_| ()).map_err(|trouble| trouble.to_string())
    };
    assert_eq!(build("good", &(pipe.world.root.pem() + &pipe.world.issuer.pem())), Ok(()));
    assert!(build("empty", "").unwrap_err().contains("is empty"));
    assert!(build("text", "no certificates").unwrap_err().contains("holds no certificate"));
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(build("half", &(pipe.world.root.pem() + junk)).unwrap_err().starts_with("certificate 2 in"));
    let verify = Verify::Authorities(pipe.scratch.path("gone"));
    let options = ClientOptions { verify, ..ClientOptions::default() };
    assert!(matches!(Client::build(&options, &SystemRoots::default()), Err(Trouble::Unreadable { .. })));
}

#[test]
fn hosts_that_tls_cannot_name_are_refused() {
    for good in ["a.test", "10.0.0.1", "::1", "[::1]", "localhost"] {
        assert!(server_name(good).is_ok(), "{good}");
    }
    let trouble = server_name("a b").unwrap_err().to_string();
    assert_eq!(trouble, "`a b` is no host that TLS can ask for: write a host name or an address");
}
