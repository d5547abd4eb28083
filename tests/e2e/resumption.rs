//! Sessions that begin at one instance and go on at another, by way of the storage that they share.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::{Authority, Folder, Proxy, eventually, of};

const SITES: &str = "global {
    storage file {$STORAGE}{$MORE}
}
https://open.test:0 {
    bind 127.0.0.1
    tls {$CERT} {$KEY}
    respond open
}
https://closed.test:0 {
    bind 127.0.0.1
    tls {$CERT} {$KEY} { client_auth { ca {$CA} } }
    respond closed
}
";

struct Fleet {
    folder: Folder,
    certificate: String,
    key: String,
    /// What a client shows.
    shown: [String; 4],
}

impl Fleet {
    fn new() -> Self {
        let (authority, folder) = (Authority::new(), Folder::new());
        let path = |path: &Path| path.display().to_string();
        let (certificate, key) = authority.issue(&["open.test", "closed.test"]).save(&folder, "site");
        let (alice, alice_key) = authority.client_identity("alice", 1).save(&folder, "alice");
        folder.write("ca.pem", authority.pem());
        let shown = ["-cert".to_owned(), path(&alice), "-key".to_owned(), path(&alice_key)];
        Self { certificate: path(&certificate), key: path(&key), shown, folder }
    }

    fn instance(&self, storage: &Path, more: &str) -> Proxy {
        let setup = of(&SITES.replace("{$MORE}", more)).with("STORAGE", storage.display());
        let setup = setup.with("CERT", &self.certificate).with("KEY", &self.key);
        setup.with("CA", self.folder.path().join("ca.pem").display()).arguments(&["--no-watch"]).start()
    }

    fn shared(&self) -> Proxy {
        let proxy = self.instance(&self.folder.path().join("storage"), "");
        proxy.said("session tickets are shared");
        proxy
    }

    fn session(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

/// What `openssl s_client` is answered.
fn s_client(proxy: &Proxy, name: &str, arguments: &[&str]) -> String {
    let mut child = Command::new("openssl")
        .args(["s_client", "-ign_eof", "-connect", &proxy.address().to_string(), "-servername", name])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is here");
    let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
    // Where the handshake fails, nobody reads it.
    let _ = child.stdin.take().unwrap().write_all(request.as_bytes());
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn xt01_a_session_goes_on_at_another_instance_and_opens_nothing_else_there() {
    let fleet = Fleet::new();
    let [one, two] = [fleet.shared(), fleet.shared()];
    let shown: Vec<&str> = fleet.shown.iter().map(String::as_str).collect();
    for version in ["-tls1_2", "-tls1_3"] {
        let [open, closed] = [fleet.session("open"), fleet.session("closed")];
        let begun = s_client(&one, "open.test", &[version, "-sess_out", &open]);
        assert!(begun.contains("New, TLSv1") && begun.contains("200 OK"), "{begun}");
        let begun = s_client(&one, "closed.test", &[&[version, "-sess_out", &closed], &shown[..]].concat());
        assert!(begun.contains("200 OK"), "{begun}");
        for (name, session) in [("open.test", &open), ("closed.test", &closed)] {
            let said = s_client(&two, name, &[version, "-sess_in", session]);
            assert!(said.contains("Reused, TLSv1") && said.contains("200 OK"), "{version} {name}: {said}");
        }
        let said = s_client(&two, "closed.test", &[version, "-sess_in", &open]);
        assert!(!said.contains("200 OK") && !said.contains("Reused, TLSv1"), "{version}: {said}");
    }
    let keys: Vec<_> = std::fs::read_dir(fleet.folder.path().join("storage/tickets")).unwrap().collect();
    for key in &keys {
        let mode = key.as_ref().unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert!(!keys.is_empty());
}

#[test]
fn a_session_goes_on_after_a_restart() {
    let fleet = Fleet::new();
    let session = fleet.session("open");
    let before = fleet.shared();
    assert!(s_client(&before, "open.test", &["-sess_out", &session]).contains("200 OK"));
    drop(before);
    let said = s_client(&fleet.shared(), "open.test", &["-sess_in", &session]);
    assert!(said.contains("Reused, TLSv1.3"), "{said}");
}

#[test]
fn where_nothing_is_shared_each_instance_has_its_own() {
    let fleet = Fleet::new();
    let (storage, session) = (fleet.folder.path().join("storage"), fleet.session("open"));
    let alone = fleet.instance(&storage, " { tickets off }");
    assert!(s_client(&alone, "open.test", &["-sess_out", &session]).contains("200 OK"));
    assert!(s_client(&alone, "open.test", &["-sess_in", &session]).contains("Reused, TLSv1.3"));
    let other = fleet.shared();
    assert!(s_client(&other, "open.test", &["-sess_in", &session]).contains("New, TLSv1.3"));
    // Where storage is none, it is told once, and sessions go on at the instance where they began.
    let nowhere = fleet.folder.write("a-file", "").join("below");
    let cut_off = fleet.instance(&nowhere, "");
    cut_off.said("session tickets are not shared");
    assert!(s_client(&cut_off, "open.test", &["-sess_out", &session]).contains("200 OK"));
    let said = eventually("resumed", || {
        Some(s_client(&cut_off, "open.test", &["-sess_in", &session])).filter(|said| said.contains("200 OK"))
    });
    assert!(said.contains("Reused, TLSv1.3"), "{said}");
}
