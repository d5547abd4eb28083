//! The defaults that options are said to have are those that they have: written out, they change nothing.

use std::path::Path;

use crate::check::Opt;
use crate::check::expand::Surroundings;
use crate::diagnostic::placeless;
use crate::model::{self, Model};
use crate::syntax::include::Files;

struct Nothing;

impl Files for Nothing {
    fn read(&self, _: &Path) -> std::io::Result<String> {
        Err(std::io::ErrorKind::NotFound.into())
    }

    fn glob(&self, _: &Path, _: &str) -> Vec<std::path::PathBuf> {
        Vec::new()
    }
}

impl Surroundings for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn secret(&self, _: &str) -> Result<String, String> {
        Err("there is none".to_owned())
    }
}

/// `%` stands for a block of options in a configuration.
fn meaning(text: &str, options: &str) -> String {
    let text = text.replace('%', options);
    let checked = model::load_text(Path::new("Proxyfile"), text.clone(), &Nothing, &Nothing);
    let Model { global, upstreams, sites, .. } =
        checked.model.unwrap_or_else(|| panic!("{text}: {:?}", checked.findings));
    // Without the places, and without what was written.
    let (mut upstreams, mut sites) = (upstreams, sites);
    upstreams.iter_mut().for_each(|pool| pool.lines = Box::default());
    let statements = sites.iter_mut().flat_map(|site| &mut site.body.statements);
    statements.for_each(|statement| (statement.text, statement.options) = ("".into(), Box::default()));
    placeless(|| format!("{global:?}{upstreams:?}{sites:?}"))
}

fn check(text: &str, options: &[Opt]) {
    let without = meaning(text, "");
    let mut count = 0;
    for option in options {
        for default in option.defaults {
            assert_eq!(meaning(text, &format!("{} {default}", option.name)), without, "{} {default}", option.name);
            count += 1;
        }
        let inner = match option.defaults {
            [default] => format!("{} {default} {{ % }}", option.name),
            _ => format!("{} {{ % }}", option.name),
        };
        let text = text.replace('%', &inner);
        for option in option.options {
            for default in option.defaults {
                let with = meaning(&text, &format!("{} {default}", option.name));
                assert_eq!(with, meaning(&text, ""), "{} {default}", option.name);
                count += 1;
            }
        }
    }
    assert!(count > 0, "no default in {text}");
}

#[test]
fn defaults_are_what_they_are_said_to_be() {
    check("global { % }\n:80 { respond ok }", model::global::OPTIONS);
    check("upstream a { server https://10.0.0.1:443; % }\n:80 { reverse_proxy a }", super::upstream::OPTIONS);
    let user = "user a $2y$04$yE7U3IHiNGJ2OZbQbFLfaOFxyvkY2b73YpkiAuVDO/flMPE/rVgYS";
    check(&format!(":80 {{ basic_auth {{ {user}; % }}; respond ok }}"), super::find("basic_auth").unwrap().options);
    check(":80 { cors { origins https://a.example; % }; respond ok }", super::find("cors").unwrap().options);
    check("a.test { passthrough 10.0.0.1:443 { % } }", super::find("passthrough").unwrap().options);
    for statement in [
        "reverse_proxy https://10.0.0.1",
        "file_server /srv",
        "rate_limit 1/s",
        "encode",
        "security_headers",
        "log file /x",
        "tls internal",
    ] {
        let name = statement.split(' ').next().unwrap_or_default();
        let room = super::find(name).unwrap();
        check(&format!(":80 {{ {statement} {{ % }}; respond ok }}"), room.options);
    }
}

#[test]
fn no_room_with_defaults_is_forgotten() {
    let with_defaults = |options: &[Opt]| options.iter().any(|option| !option.defaults.is_empty());
    let rooms = super::ROOMS.iter().filter(|room| with_defaults(room.options)).map(|room| room.name);
    let mut rooms: Vec<&str> = rooms.collect();
    rooms.sort_unstable();
    assert_eq!(
        rooms,
        [
            "basic_auth",
            "cors",
            "encode",
            "file_server",
            "log",
            "passthrough",
            "rate_limit",
            "reverse_proxy",
            "security_headers",
            "tls"
        ]
    );
}
