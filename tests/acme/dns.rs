//! The challenge by DNS, and what comes by it: wildcards. Real name servers are changed, and the authority asks them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;
use serde_json::Value;

use crate::authority::{Pebble, secure};
use crate::harness::{Folder, Proxy, Setup, eventually, of};
use crate::names::{Names, SECRET};
use crate::{challenge, served, told};

const GLOBAL: &str = "global {
    storage file {$STORAGE}
    admin unix/{$STORAGE}/admin.sock
    http_port {$HTTP}
    https_port {$HTTPS}
    acme {
        ca {$DIRECTORY}
        root {$ROOT}
        dns PROVIDER {
            OPTIONS
            resolvers 127.0.0.1:{$NAMES}
            servers SERVERS
            wait 20s
        }
        CHALLENGES
    }
}
";

const UPDATES: &str = "rfc2136 127.0.0.1:{$NAMES}";
const SIGNED: &str = "key acme-key\n secret {$SECRET}";
const HERE: &str = "127.0.0.1:{$NAMES}";

struct Case<'a> {
    provider: &'a str,
    options: &'a str,
    servers: &'a str,
    challenges: &'a str,
    sites: &'a [&'a str],
}

const CASE: Case<'static> =
    Case { provider: UPDATES, options: SIGNED, servers: HERE, challenges: "", sites: &["*.example.com"] };

fn setup(case: &Case<'_>, pebble: &Pebble, names: &Names, storage: &Folder) -> Setup {
    let sites = case.sites.iter().map(|site| format!("{site} {{\n bind 127.0.0.1\n respond \"{{host}}\"\n}}\n"));
    let global = GLOBAL
        .replace("PROVIDER", case.provider)
        .replace("OPTIONS", case.options)
        .replace("SERVERS", case.servers)
        .replace("CHALLENGES", case.challenges);
    of(&format!("{global}{}", sites.collect::<String>()))
        .with("STORAGE", storage.path().display())
        .with("HTTP", pebble.http)
        .with("HTTPS", pebble.https)
        .with("DIRECTORY", pebble.directory())
        .with("ROOT", pebble.root_file())
        .with("NAMES", names.port)
        .with("SECRET", SECRET)
        .doors(2)
}

fn start(case: &Case<'_>, pebble: &Pebble, names: &Names, storage: &Folder) -> Proxy {
    setup(case, pebble, names, storage).start()
}

/// Nothing is left in the zone.
fn cleaned(names: &Names, name: &str) {
    eventually("the removal of the text", || names.texts(name).is_empty().then_some(()));
}

#[test]
fn a_wildcard_gets_its_certificate_by_dns() {
    let (names, storage) = (Names::start(), Folder::new());
    let pebble = Pebble::resolving(names.port);
    let proxy = start(&CASE, &pebble, &names, &storage);
    assert_eq!(served(&pebble, "any.example.com"), "any.example.com");
    assert_eq!(challenge(&proxy), "dns-01");
    cleaned(&names, "_acme-challenge.example.com");
    let told = told(&proxy, &storage, "*.example.com");
    assert!(told["issuer"].as_str().is_some_and(|issuer| issuer.starts_with("Pebble")), "{told}");
    assert_eq!((&told["source"], &told["error"]), (&"acme".into(), &Value::Null));
    let believer = pebble.believer();
    assert!(secure(&pebble, &believer, "other.example.com").is_ok());
    assert!(secure(&pebble, &believer, "two.labels.example.com").is_err(), "it is for one label");
    // What is kept is found again, under a name without a star.
    let kept = find(storage.path(), "wildcard_.example.com").expect("a folder for the wildcard");
    assert!(kept.join("certificate.pem").is_file());
    let orders = pebble.orders();
    drop(proxy);
    let _proxy = start(&CASE, &pebble, &names, &storage);
    assert!(secure(&pebble, &believer, "any.example.com").is_ok(), "the kept certificate is shown at once");
    assert_eq!(pebble.orders(), orders);
}

fn find(folder: &std::path::Path, name: &str) -> Option<std::path::PathBuf> {
    let entries: Vec<_> = fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|entry| entry.path()).collect();
    let here = entries.iter().find(|path| path.file_name().is_some_and(|own| own == name)).cloned();
    here.or_else(|| entries.iter().filter(|path| path.is_dir()).find_map(|path| find(path, name)))
}

#[test]
fn a_wildcard_and_the_name_itself_leave_each_others_texts() {
    let (names, storage) = (Names::start(), Folder::new());
    let pebble = Pebble::resolving(names.port);
    let sites = ["*.example.com", "example.com", "*.www.example.com", "www.example.com"];
    let case = Case { challenges: "challenges dns-01", sites: &sites, ..CASE };
    let proxy = start(&case, &pebble, &names, &storage);
    for name in ["any.example.com", "example.com", "any.www.example.com", "www.example.com"] {
        assert_eq!(served(&pebble, name), name);
    }
    assert!(!proxy.log_text().contains("not obtained"), "{}", proxy.log_text());
    cleaned(&names, "_acme-challenge.example.com");
    cleaned(&names, "_acme-challenge.www.example.com");
}

#[test]
fn an_alias_leads_to_the_name_that_may_be_changed() {
    let (names, storage) = (Names::start(), Folder::new());
    let pebble = Pebble::resolving(names.port);
    let proxy = start(&Case { sites: &["*.alias.example.com"], ..CASE }, &pebble, &names, &storage);
    assert_eq!(served(&pebble, "any.alias.example.com"), "any.alias.example.com");
    assert_eq!(challenge(&proxy), "dns-01");
    // The text itself is gone by now, or soon.
    let said = names.said();
    assert!(said.contains("adding an RR at 'of-alias.example.com' TXT"), "{said}");
    cleaned(&names, "of-alias.example.com");
}

#[test]
fn the_authority_is_told_when_every_server_has_the_text() {
    let (first, second) = Names::pair();
    let storage = Folder::new();
    // It asks the one that gets the text last.
    let pebble = Pebble::resolving(second.port);
    let servers = format!("{HERE} 127.0.0.1:{}", second.port);
    let proxy = start(&Case { servers: &servers, ..CASE }, &pebble, &first, &storage);
    assert_eq!(served(&pebble, "any.example.com"), "any.example.com");
    assert!(!proxy.log_text().contains("not obtained"), "{}", proxy.log_text());
}

#[test]
fn what_goes_wrong_is_told_and_tried_again_when_it_is_mended() {
    let (names, storage) = (Names::start(), Folder::new());
    let pebble = Pebble::resolving(names.port);
    let sites = ["*.example.com", "*.round.example.com"];
    let wrong = Case { options: "key acme-key\n secret {$WRONG}", sites: &sites[..1], ..CASE };
    let proxy = setup(&wrong, &pebble, &names, &storage).with("WRONG", "d3JvbmcgYnkgYWxsIG1lYW5z").start();
    let failed = proxy.said("certificate not obtained");
    let reason =
        format!("dns-01: the name server `127.0.0.1:{}` has another secret for the key `acme-key`", names.port);
    assert_eq!((&failed["name"], &failed["reason"]), (&"*.example.com".into(), &Value::from(reason.as_str())));
    assert!((50..70).contains(&failed["retry"].as_u64().unwrap()), "{failed}");
    assert_eq!(told(&proxy, &storage, "*.example.com")["error"], reason);
    let log = proxy.log_text();
    assert!(!log.contains("d3JvbmcgYnkgYWxsIG1lYW5z") && log.matches("not obtained").count() == 1, "{log}");
    // Other settings are tried at once.
    let file = proxy.folder.path().join("Proxyfile");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("{$WRONG}", "{$SECRET}")).unwrap();
    proxy.signal(Signal::HUP);
    assert_eq!(served(&pebble, "any.example.com"), "any.example.com");
    drop(proxy);
    // An alias of itself, and a key that nobody knows.
    let storage = Folder::new();
    let unknown = Case { options: "key other-key\n secret {$SECRET}", sites: &sites, ..CASE };
    let proxy = start(&unknown, &pebble, &names, &storage);
    let error = |name: &str| eventually(name, || told(&proxy, &storage, name)["error"].as_str().map(str::to_owned));
    assert!(error("*.example.com").ends_with("does not know the key `other-key`"));
    assert_eq!(
        error("*.round.example.com"),
        "dns-01: the aliases (CNAME) of `_acme-challenge.round.example.com` lead nowhere"
    );
}

#[test]
fn a_command_changes_the_zone() {
    let (names, storage, files) = (Names::start(), Folder::new(), Folder::new());
    let pebble = Pebble::resolving(names.port);
    let hook = files.write(
        "hook",
        format!(
            "#!/bin/sh\ncase $2 in present) verb=add;; remove) verb=delete;; esac\n\
             printf 'server 127.0.0.1 %s\\nupdate %s %s 60 TXT \"%s\"\\nsend\\n' \"$1\" \"$verb\" \"$3\" \"$4\" | \
             nsupdate -y hmac-sha256:acme-key:{SECRET}\n"
        ),
    );
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let provider = format!("exec {} {{$NAMES}}", hook.display());
    let case = Case { provider: &provider, options: "timeout 20s", ..CASE };
    let proxy = start(&case, &pebble, &names, &storage);
    assert_eq!(served(&pebble, "any.example.com"), "any.example.com");
    assert_eq!(challenge(&proxy), "dns-01");
    cleaned(&names, "_acme-challenge.example.com");
}
