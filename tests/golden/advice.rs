//! What people are told who come from another server: each statement that they can paste is one that `rp` takes.

use std::path::Path;

use proxyfile::check::habit::{self, Place};
use proxyfile::http::placeholder;
use proxyfile::model;

use crate::Bare;

/// What stands for the capitals of an advice.
const FILLED: &[(&str, &str)] = &[
    ("ADDRESS", "10.0.0.1:3000"),
    ("UPSTREAM", "10.0.0.1:3000"),
    ("CERTIFICATE", "/etc/a.pem"),
    ("KEY", "/etc/a.key"),
    ("FOLDER", "/var/www"),
    ("FILE", "/var/log/a"),
    ("PATH", "*.none"),
    ("NETWORK", "10.0.0.0/8"),
    ("DURATION", "10s"),
    ("SIZE", "10MiB"),
    ("COUNT", "3"),
    ("STATUS", "404"),
    ("MATCHER", "/path/*"),
    ("MAIL", "admin@example.com"),
    ("DIRECTORY", "https://ca.example.com/directory"),
    ("PATTERN", "`a|b`"),
    ("ANYCASE", "`a|b`"),
    ("TARGET", "/new"),
    ("HOST", "example.org"),
    ("METHOD", "GET"),
    ("ORIGIN", "https://example.org"),
    ("REALM", "staff"),
    ("HASH", "$2y$04$yE7U3IHiNGJ2OZbQbFLfaOFxyvkY2b73YpkiAuVDO/flMPE/rVgYS"),
    ("NAME", "X-Name"),
    ("FIELD", "X-Name"),
    ("SNIPPET", "secure"),
    ("VALUE", "value"),
    ("TEXT", "text"),
];

fn fill(advice: &str) -> String {
    let word = |word: &str| {
        let bare = word.trim_matches(|sign: char| !sign.is_ascii_uppercase());
        let known = FILLED.iter().find(|(name, _)| *name == bare).map(|(_, value)| word.replacen(bare, value, 1));
        known.unwrap_or_else(|| word.to_owned())
    };
    advice.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// A whole file with this statement in its place.
fn place(there: Place, advice: &str) -> String {
    let filled = fill(advice);
    let served = "http://a.example {\n    route /other { respond 204 }\n    reverse_proxy 10.0.0.9:80\n}\n";
    match there {
        Place::Top if filled.starts_with("upstream") => {
            let filled = filled.replace('…', "server 10.0.0.1:80");
            format!("{filled}\nhttp://a.example {{ reverse_proxy X-Name }}\n")
        }
        Place::Top if filled.starts_with("example.com") => filled.replace('…', "tls internal; respond 204"),
        Place::Top => format!("{}\n{served}", filled.replace('…', "workers 2")),
        Place::Site if filled.starts_with('@') => {
            format!("http://a.example {{\n    {filled}\n    route @X-Name {{ respond 204 }}\n    respond 404\n}}\n")
        }
        Place::Site => {
            let filled = match filled.starts_with("reverse_proxy") {
                true => filled.replace('…', "timeout connect 5s"),
                false if filled.starts_with("file_server") => filled.replace('…', "browse on"),
                false => filled.replace('…', "respond 204"),
            };
            let uses = filled.starts_with("use ");
            let snippet = if uses { "snippet secure { header set X-A b }\n" } else { "" };
            format!("{snippet}http://a.example {{\n    route /b {{\n        {filled}\n    }}\n    respond 404\n}}\n")
        }
        Place::Matcher => format!("http://a.example {{\n    route {filled} {{ respond 204 }}\n    respond 404\n}}\n"),
        Place::In("global") => format!("global {{ {filled} }}\n{served}"),
        Place::In("upstream") => {
            format!("upstream a {{ server 10.0.0.7:80; {filled} }}\nhttp://a.example {{ reverse_proxy a }}\n")
        }
        Place::In("reverse_proxy") => {
            format!("http://a.example {{ reverse_proxy https://10.0.0.1 {{ {filled} }} }}\n")
        }
        Place::In("log") => {
            format!("http://a.example {{\n    log json file /var/log/a {{ {filled} }}\n    respond 204\n}}\n")
        }
        Place::In("file_server") => format!("http://a.example {{ file_server /var/www {{ {filled} }} }}\n"),
        Place::In("cors") => {
            let origins = if filled.starts_with("origins") { "" } else { "origins https://a.example; " };
            format!("http://a.example {{\n    cors {{ {origins}{filled} }}\n    respond 204\n}}\n")
        }
        Place::In("client_auth") => {
            let ca = if filled.starts_with("ca ") { "" } else { "ca /etc/ca.pem; " };
            format!(
                "https://a.example {{\n    tls internal {{ client_auth {{ {ca}{filled} }} }}\n    respond 204\n}}\n"
            )
        }
        Place::In("tls") => format!("https://a.example {{\n    tls internal {{ {filled} }}\n    respond 204\n}}\n"),
        Place::In(encode) => {
            format!("http://a.example {{\n    {encode} gzip {{ {filled} }}\n    file_server /var/www\n}}\n")
        }
    }
}

/// What is wrong with a file. That something is shadowed, or that its effect is small, is not: the rest of it is made up.
fn errors(text: &str) -> Vec<String> {
    let checked = model::load_text(Path::new("Proxyfile"), text.to_owned(), &Bare, &Bare);
    let errors = checked.findings.iter().filter(|mistake| mistake.code.as_str().starts_with('E'));
    errors.map(|mistake| format!("{text}{} {}", mistake.code, mistake.text)).collect()
}

#[test]
fn what_habits_are_told_to_write_is_valid() {
    let mut wrong = Vec::new();
    for (_, habit) in habit::all() {
        let pattern = habit.pattern();
        if !pattern.is_empty() {
            wrong.extend(errors(&place(habit.there, &pattern)));
        }
        // Where the sentence ends with a statement, that one, too.
        if let Some((_, statement)) = habit.say.rsplit_once(": ")
            && let Some(name) = statement.split(' ').next()
        {
            match name {
                "global" => wrong.extend(errors(&place(Place::Top, statement))),
                "host" | "types" => {}
                _ if proxyfile::directive::find(name).is_some() => {
                    wrong.extend(errors(&place(Place::Site, statement)));
                }
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{} advices are wrong\n\n{}", wrong.len(), wrong.join("\n\n"));
}

/// A habit is of a name that nothing here has, or else nobody is ever told of it.
#[test]
fn habits_have_names_that_are_free() {
    let taken = |place: Place, name: &str| match place {
        Place::Site => proxyfile::directive::find(name).is_some(),
        Place::In(owner) => {
            let sites = proxyfile::directive::ROOMS.iter().map(|room| (room.name, room.options));
            let rooms = sites.chain(model::top::ROOMS.iter().map(|room| (room.name, room.options)));
            rooms.filter(|(name, _)| *name == owner).flat_map(|(_, options)| options).any(|option| option.name == name)
        }
        Place::Top | Place::Matcher => false,
    };
    let names = habit::all().flat_map(|(place, habit)| habit.names.iter().map(move |name| (place, *name)));
    let taken: Vec<_> = names.filter(|(place, name)| taken(*place, name)).collect();
    assert!(taken.is_empty(), "{taken:?}");
}

#[test]
fn placeholders_of_other_servers_become_ones_that_are_there() {
    for name in habit::offered() {
        assert!(placeholder::find(&name).is_some(), "{{{name}}}");
    }
}
