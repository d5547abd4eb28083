//! An authority that is not there yet: a machine that starts before its network does.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::authority::{Pebble, secure};
use crate::harness::{self, Authority, Folder, Proxy};
use crate::issuers::with;
use crate::lens::Lens;
use crate::{SITE, asking, challenge, served, together, told};

/// What a site shows to a client that takes anything.
pub struct Shown {
    /// Its certificate, PEM.
    pub certificate: String,
    /// What openssl has to say of it.
    pub judgement: String,
}

impl Shown {
    pub fn at(pebble: &Pebble, name: &str) -> Self {
        let mut client = Command::new("openssl");
        client.args(["s_client", "-connect", &format!("127.0.0.1:{}", pebble.https), "-servername", name]);
        let output = client.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let end = "-----END CERTIFICATE-----";
        let certificate = said.split_once("-----BEGIN").and_then(|(_, rest)| rest.split_once(end));
        let certificate = certificate.unwrap_or_else(|| panic!("no certificate of {name}: {said}")).0;
        let judgement = said.lines().find(|line| line.trim_start().starts_with("Verify return code")).unwrap().trim();
        Self { certificate: format!("-----BEGIN{certificate}{end}\n"), judgement: judgement.to_owned() }
    }

    pub fn is_temporary(&self) -> bool {
        self.judgement == "Verify return code: 18 (self-signed certificate)"
    }
}

/// All text that is kept below a folder.
pub fn kept(folder: &Path) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all += &kept(&path);
        } else if path.is_file() {
            all += &String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default());
        }
    }
    all
}

/// Whatever its certificate.
fn asked_of(pebble: &Pebble, name: &str) -> String {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--insecure", "--max-time", "10", "--resolve", &format!("{name}:{}:127.0.0.1", pebble.https)]);
    let output = curl.arg(format!("https://{name}:{}/", pebble.https)).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The first failure, which must be that nobody was there, and that it is tried again within seconds.
fn nobody_there(proxy: &Proxy) -> String {
    let failed = proxy.said("certificate not obtained");
    let reason = failed["reason"].as_str().unwrap();
    assert!(reason.starts_with("no connection to `localhost:"), "{reason}");
    assert!(failed["retry"].as_u64().unwrap() <= 2, "{failed}");
    reason.to_owned()
}

#[test]
fn a_site_that_starts_before_its_network_turns_good_by_itself() {
    let (mut pebble, storage, files) = (Pebble::absent(), Folder::new(), Folder::new());
    let own = Authority::new();
    let (certificate, key) = own.issue(&["own.example.com"]).save(&files, "own");
    let tls = format!("tls {} {}", certificate.display(), key.display());
    let sites = format!("{SITE}own.example.com {{\n bind 127.0.0.1\n {tls}\n respond own\n}}\n");
    let setup = asking(&pebble, &pebble.directory(), storage.path(), &sites).doors(2);
    // Files that are a moment old are read twice, and that would be a reload.
    let proxy = setup.arguments(&["--no-watch"]).start();
    // Both ports answer, with a certificate that is its own issuer and lies nowhere.
    let reason = nobody_there(&proxy);
    assert_eq!(harness::get(([127, 0, 0, 1], pebble.http).into(), "example.com", "/").status(), 308);
    assert_eq!(asked_of(&pebble, "example.com"), "secure");
    let temporary = Shown::at(&pebble, "example.com");
    assert!(temporary.is_temporary(), "{}", temporary.judgement);
    let text = kept(storage.path());
    assert!(!text.contains("CERTIFICATE") && !text.contains("PRIVATE KEY"), "{text}");
    let waiting = told(&proxy, &storage, "example.com");
    assert_eq!((waiting["issuer"].is_null(), &waiting["error"]), (true, &reason.into()));
    // Who brings its certificate along has nothing to do with that.
    let mut open = secure(&pebble, &own.client(&["http/1.1"]), "own.example.com").unwrap();
    assert_eq!(open.get("own.example.com", "/").text(), "own");
    pebble.begin();
    assert_eq!(served(&pebble, "example.com"), "secure");
    assert_eq!(challenge(&proxy), "http-01");
    assert_eq!(told(&proxy, &storage, "example.com")["error"], serde_json::Value::Null);
    assert_ne!(Shown::at(&pebble, "example.com").certificate, temporary.certificate);
    let text = kept(storage.path());
    assert!(text.contains("CERTIFICATE") && !text.contains(&temporary.certificate));
    assert_eq!(open.get("own.example.com", "/").text(), "own");
    assert_eq!(pebble.orders(), 1, "what never came to the authority is no order");
    assert!(!proxy.log_text().contains("configuration reloaded"));
}

#[test]
fn names_that_waited_for_the_network_still_go_together() {
    let (mut pebble, storage) = (Pebble::absent(), Folder::new());
    let proxy = together::start(&pebble, &storage);
    nobody_there(&proxy);
    pebble.begin();
    for name in together::NAMES {
        assert_eq!(served(&pebble, name), "together");
    }
    assert_eq!(served(&pebble, "other.example.com"), "other");
    assert_eq!(pebble.orders(), 2, "one for each site");
}

#[test]
fn what_breaks_within_an_order_has_been_counted() {
    let (pebble, storage) = (Pebble::exact(), Folder::new());
    let nobody = format!("https://localhost:{}/authz", harness::free_port());
    let leading_away = Lens::before(&pebble, move |question| {
        let said = question.pass();
        let is_order = question.is_for("/order-plz") && said.status == 201;
        if is_order { said.change(|order| order["authorizations"] = serde_json::json!([nobody])) } else { said }
    });
    let acme = format!("ca {} {{ root {} }}", leading_away.directory(), leading_away.root_file());
    let proxy = with(&pebble, &storage, &acme, SITE).start();
    let failed = proxy.said("certificate not obtained");
    assert!(failed["reason"].as_str().unwrap().starts_with("no connection to `localhost:"), "{failed}");
    assert!((50..70).contains(&failed["retry"].as_u64().unwrap()), "{failed}");
    assert_eq!(pebble.orders(), 1);
}
