//! What a responder says of a certificate, shown beside it: `openssl ocsp` answers, `openssl s_client -status` looks.

use rustix::process::Signal;

use crate::harness::{Authority, Client, Folder, Proxy, Responder, eventually, free_port, of, responder_at, status};

const SITE: &str = "global {
    storage file {$STORAGE}{$MORE}
}
https://a.test:0 {
    bind 127.0.0.1
    tls {$CERT} {$KEY}
    respond secure
}
";
/// In hexadecimal.
const SERIAL: &str = "5A";

/// An authority with a responder, and a site with a certificate of it.
struct Place {
    folder: Folder,
    authority: Authority,
    port: u16,
    responder: Option<Responder>,
}

impl Place {
    fn new() -> Self {
        let (folder, authority, port) = (Folder::new(), Authority::new(), free_port());
        let mut identity = authority.issue_with(&["a.test"], |params| {
            params.serial_number = Some(vec![0x5a].into());
            params.custom_extensions.push(responder_at(port));
        });
        identity.certificate += &authority.pem();
        identity.save(&folder, "site");
        folder.write("ca.pem", authority.pem());
        folder.write("ca.key", authority.key_pem());
        Self { folder, authority, port, responder: None }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn respond(&mut self, state: &str, signer: &str) {
        self.responder = Some(Responder::start(&self.folder, self.port, &[(SERIAL, state)], signer));
    }

    fn silence(&mut self) {
        self.responder = None;
    }

    fn site(&self, more: &str) -> Proxy {
        let setup = of(&SITE.replace("{$MORE}", more)).with("STORAGE", self.path("storage"));
        let setup = setup.with("CERT", self.path("site.pem")).with("KEY", self.path("site.key"));
        // Files that are a moment old are read twice, and that would be a reload.
        setup.arguments(&["--no-watch"]).start()
    }

    /// What a client sees that wants to know.
    fn status(&self, proxy: &Proxy) -> String {
        status(proxy.address(), "a.test", &self.folder.path().join("ca.pem"))
    }

    fn secure(&self, proxy: &Proxy) -> String {
        let mut client = Client::tls(proxy.address(), "a.test", self.authority.client(&["http/1.1"])).unwrap();
        client.get("a.test", "/").text().to_owned()
    }
}

const GOOD: &str = "Cert Status: good";
const NOTHING: &str = "OCSP response: no response sent";

#[test]
fn what_the_responder_says_is_shown_and_kept() {
    let mut place = Place::new();
    place.respond("V", "ca");
    let proxy = place.site("");
    assert_eq!(proxy.said("what the responder says is shown")["name"], "a.test");
    let status = eventually("the staple", || Some(place.status(&proxy)).filter(|said| said.contains(GOOD)));
    assert!(status.contains("OCSP Response Status: successful"), "{status}");
    // A reload keeps it, though nobody answers any more, and so does storage for the next process.
    place.silence();
    proxy.signal(Signal::HUP);
    proxy.said("configuration reloaded");
    assert!(place.status(&proxy).contains(GOOD));
    drop(proxy);
    let proxy = place.site("");
    eventually("the kept staple", || place.status(&proxy).contains(GOOD).then_some(()));
    assert_eq!(place.secure(&proxy), "secure");
    drop(proxy);
    let proxy = place.site("\n ocsp off");
    assert!(place.status(&proxy).contains(NOTHING), "{}", place.status(&proxy));
}

#[test]
fn a_responder_that_the_authority_has_made_one_is_believed_and_no_other() {
    use rcgen::ExtendedKeyUsagePurpose::{OcspSigning, ServerAuth};
    let mut place = Place::new();
    for (name, usage) in [("delegate", OcspSigning), ("other", ServerAuth)] {
        let delegate = place.authority.issue_with(&[], |params| params.extended_key_usages = vec![usage]);
        delegate.save(&place.folder, name);
    }
    place.respond("V", "other");
    let proxy = place.site("");
    let said = proxy.said("nothing is shown of what the responder says");
    assert_eq!(said["reason"], "the answer is not signed by whoever signed the certificate");
    assert!(place.status(&proxy).contains(NOTHING));
    drop(proxy);
    place.silence();
    place.respond("V", "delegate");
    let proxy = place.site("");
    eventually("the staple", || place.status(&proxy).contains(GOOD).then_some(()));
}

#[test]
fn no_responder_and_a_revoked_certificate_are_told_and_keep_no_site_down() {
    let mut place = Place::new();
    let proxy = place.site("");
    assert_eq!(place.secure(&proxy), "secure");
    let reason = proxy.said("nothing is shown of what the responder says")["reason"].to_string();
    assert!(reason.contains("no connection"), "{reason}");
    drop(proxy);
    place.respond("R", "ca");
    let proxy = place.site("");
    proxy.said("the authority has revoked the certificate");
    assert!(place.status(&proxy).contains(NOTHING));
    assert_eq!(place.secure(&proxy), "secure");
}
