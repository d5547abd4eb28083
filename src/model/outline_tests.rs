//! Pairs of configurations, and what changes from one to the other.

use std::io;
use std::path::{Path, PathBuf};

use super::*;
use crate::check::expand::Surroundings;
use crate::model::load_text;
use crate::syntax::include::Files;

struct Nothing;

impl Files for Nothing {
    fn read(&self, _: &Path) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn glob(&self, _: &Path, _: &str) -> Vec<PathBuf> {
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

fn outline(text: &str) -> Outline {
    let checked = load_text(Path::new("Proxyfile"), text.to_owned(), &Nothing, &Nothing);
    let model = checked.model.unwrap_or_else(|| panic!("{:?}", checked.findings));
    Outline::of(&model, &checked.sources)
}

fn check(old: &str, new: &str, expected: &str) {
    let changes = outline(old).changes(&outline(new));
    let line = |change: &Change| format!("{}{} {}\n", "  ".repeat(change.depth), change.kind.sign(), change.text);
    assert_eq!(changes.iter().map(line).collect::<String>(), expected);
}

#[test]
fn what_means_the_same_is_no_change() {
    check(":80 { respond ok }", "# a comment\n:80 {\n\n    respond \"ok\"\n}\n", "");
    check(
        "upstream a { server 10.0.0.1:80; timeout read 60s }\n:80 { reverse_proxy a }",
        ":80 { reverse_proxy a }\nupstream a { timeout read 1m; server 10.0.0.1:80 }",
        "",
    );
    check(
        "snippet s(a) { header set X {arg.a} }\n:80 { use s b; respond ok }",
        ":80 { header set X b; respond ok }",
        "",
    );
    check("@a path /x\n:80 { route @a { respond ok } }", ":80 { @a path /x; route @a { respond ok } }", "");
}

#[test]
fn sites_and_upstreams_go_by_name() {
    check(
        "upstream a { server 10.0.0.1:80 }\n:80 { reverse_proxy a }\n:81 { respond ok }",
        ":82 { respond ok }\nupstream a { server 10.0.0.1:80; server 10.0.0.2:80 }\n:80 { reverse_proxy a }",
        "~ upstream a\n  + server 10.0.0.2:80\n+ site :82\n  + respond ok\n- site :81\n",
    );
    check(
        ":80 { respond ok }",
        "global { http_port 80; grace 5s }\n:80 { respond ok }",
        "+ global\n  + http_port 80\n  + grace 5s\n",
    );
}

#[test]
fn statements_go_by_what_they_say() {
    check(
        ":80 { rate_limit 100/m; route /a { respond a }; respond ok }",
        ":80 { rate_limit 50/m; route /a { respond b }; respond ok }",
        "~ site :80\n  + rate_limit 50/m\n  ~ route /a\n    + respond b\n    - respond a\n  - rate_limit 100/m\n",
    );
    check(
        ":80 { reverse_proxy 10.0.0.1:80 { timeout read 5s; timeout send 5s } }",
        ":80 { reverse_proxy 10.0.0.1:80 { timeout read 5s; timeout send 6s } }",
        "~ site :80\n  ~ reverse_proxy 10.0.0.1:80\n    + timeout send 6s\n    - timeout send 5s\n",
    );
    check(
        ":80 { when scheme http { respond a } else { respond b } }",
        ":80 { when scheme http { respond a } else { respond c } }",
        "~ site :80\n  ~ else\n    + respond c\n    - respond b\n",
    );
}

#[test]
fn a_matcher_by_name_is_what_it_stands_for() {
    check(
        "@a path /a\n:80 { route @a { respond ok } }",
        "@a path /b\n:80 { route @a { respond ok } }",
        "~ site :80\n  ~ route @a\n",
    );
}

#[test]
fn the_order_of_statements_is_part_of_their_meaning() {
    check(
        ":80 { route /a { respond a }; route /b { respond b } }",
        ":80 { route /b { respond b }; route /a { respond a } }",
        "~ site :80\n  + route /b\n    + respond b\n  - route /b\n",
    );
}
