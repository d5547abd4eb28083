//! What is offered, and what it does to the text.

use lsp_types::{CompletionItem, CompletionTextEdit};

use crate::lsp::cursor::Cursor;
use crate::lsp::testing::{Scene, at_cursor};

fn items(text: &str, sign: Option<&str>) -> Vec<CompletionItem> {
    let Scene { configuration, file, offset, .. } = at_cursor(text);
    super::complete(&configuration, &Cursor::new(&configuration, file, offset), sign)
}

/// What is offered at `|` begins with these, or is nothing.
fn check(text: &str, expected: &str) {
    let items = items(text, None);
    let labels: Vec<&str> = items.iter().map(|item| item.label.as_str()).collect();
    let found = labels.join(" ");
    assert!(if expected.is_empty() { found.is_empty() } else { found.starts_with(expected) }, "{text}\n{found}");
}

/// The text when the offer of this name is taken.
fn check_taken(text: &str, label: &str, expected: &str) {
    let items = items(text, None);
    let item = items.iter().find(|item| item.label == label).expect(text);
    let Some(CompletionTextEdit::Edit(edit)) = &item.text_edit else { panic!("{text}") };
    let scene = at_cursor(text);
    let at = |place| scene.configuration.offset(scene.file, place) as usize;
    let mut after = scene.configuration.source(scene.file).text.clone();
    after.replace_range(at(edit.range.start)..at(edit.range.end), &edit.new_text);
    assert_eq!(after, expected);
}

#[test]
fn statements_are_those_of_the_place() {
    check("|", "upstream global snippet use import");
    check("a.com {\n    |\n}\n", "route when else handle_errors reverse_proxy");
    check("a.com {\n    res|\n}\n", "route when");
    check("a.com {\n    route /x {\n        |", "route when");
    check("a.com { reverse_proxy a:1 { | } }", "timeout keepalive");
    check(
        "upstream a {\n    server a:1\n    balance least_conn\n    |\n}\n",
        "server timeout keepalive host proxy_protocol tls use import",
    );
    check("upstream a { tls {\n|\n} }\n", "ca name certificate versions http2 verify");
    check("snippet s {\n    |\n}\nupstream a { use s }\n", "server timeout");
    check("import a\n== a\n|", "upstream global");
    check("a.com { import a }\n== a\n|", "route when");
    check("# |\na.com { respond }", "");
    check("a.com {\n    respond # x|\n}\n", "");
}

#[test]
fn names_are_offered_where_they_are_used() {
    let rest = "\nupstream api { server a:1 }\nupstream web { server a:2 }\nsnippet s { respond }\n";
    check(&format!("a.com {{ reverse_proxy | }}{rest}"), "api web");
    check(&format!("a.com {{\n    reverse_proxy |\n}}{rest}"), "api web");
    check(&format!("a.com {{ reverse_proxy a| }}{rest}"), "api web");
    check(&format!("a.com {{ use | }}{rest}"), "s");
    check(&format!("a.com {{ respond | }}{rest}"), "");
    check_taken(
        "upstream api { server a:1 }\n:80 { reverse_proxy a|p }",
        "api",
        "upstream api { server a:1 }\n:80 { reverse_proxy apip }",
    );
}

#[test]
fn matchers_are_offered_in_their_scope() {
    let text =
        "@top path /t\na.com {\n    @own path /a\n    route @| { respond }\n}\nb.com { @other path /b; respond }\n";
    check(text, "@own @top");
    assert_eq!(items(text, None).len(), 2);
    check(&text.replace("@|", "not |"), "@own @top path host method");
    check("a.com { route me| { respond } }\n", "path host method");
    check("a.com { route {| { respond } }\n", "client_ip");
}

#[test]
fn words_of_a_closed_set_are_offered() {
    check("upstream a { balance | }\n", "round_robin least_conn");
    check("upstream a { timeout f| }\n", "connect first_byte");
    check("a.com { log | }\n", "off json text stdout");
    check("global { https_redirect | }\n", "on off");
}

#[test]
fn placeholders_are_offered_behind_a_brace() {
    check("a.com { respond \"x {|\" }\n", "client_ip peer_ip");
    check("a.com { respond \"x {cl|}\" }\n", "client_ip");
    check("a.com { respond x{| }\n", "client_ip");
    check("a.com {\n    respond {|\n}\n", "client_ip");
    check_taken("a.com { respond \"{cl|\" }\n", "client_ip", "a.com { respond \"{client_ip}\" }\n");
    check_taken("a.com { respond \"{cl|}\" }\n", "client_ip", "a.com { respond \"{client_ip}\" }\n");
    check_taken("a.com { respond \"{he|\" }\n", "header.", "a.com { respond \"{header.\" }\n");
    let route = "a.com {\n    route /x {|\n}\n";
    assert!(items(route, Some("{")).iter().all(|item| item.label != "client_ip"), "{route}");
}

#[test]
fn an_editor_that_asks_by_itself_is_not_told_of_statements() {
    assert!(items("a.com {\n |\n}\n", Some(" ")).is_empty());
    assert!(!items("upstream a { balance | }\n", Some(" ")).is_empty());
}

#[test]
fn paths_are_those_of_the_disk() {
    let root = env!("CARGO_MANIFEST_DIR");
    check(&format!("import {root}/examples/|\n"), "api-gateway/ ");
    check_taken(
        &format!("a.com {{ file_server {root}/exam| }}"),
        "examples/",
        &format!("a.com {{ file_server {root}/examples/ }}"),
    );
    check_taken(
        &format!("a.com {{ tls \"{root}/Car|\" }}"),
        "Cargo.toml",
        &format!("a.com {{ tls \"{root}/Cargo.toml\" }}"),
    );
}
