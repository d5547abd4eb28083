//! What puts a finding right by itself, where that is sure: the word that the help says to write, or one that is too many.

use std::collections::HashMap;

use lsp_types::{CodeAction, CodeActionKind, CodeActionOrCommand, Range, TextEdit, Uri, WorkspaceEdit};

use super::configuration::Configuration;
use super::diagnose::diagnostic;
use super::workspace::Workspace;
use crate::diagnostic::{FileId, Fix, Mistake, Span};

pub(super) fn actions(
    configuration: &Configuration,
    file: FileId,
    range: Range,
    workspace: &Workspace,
) -> Vec<CodeActionOrCommand> {
    let (start, end) = (configuration.offset(file, range.start), configuration.offset(file, range.end));
    let touched = |mistake: &&Mistake| mistake.at.file == file && mistake.at.start <= end && start <= mistake.at.end;
    let found = configuration.checked.findings.iter().filter(touched);
    found.filter_map(|mistake| action(configuration, mistake, workspace)).map(Into::into).collect()
}

// Addresses are compared by their text, which never changes.
#[allow(clippy::mutable_key_type)]
fn action(configuration: &Configuration, mistake: &Mistake, workspace: &Workspace) -> Option<CodeAction> {
    let Fix { at, was, with } = mistake.fix.as_deref()?;
    // Through a snippet, the word came from somewhere else.
    if configuration.text(*at) != was {
        return None;
    }
    let uri = workspace.uri(&configuration.source(at.file).path)?;
    let at = if with.is_empty() { with_space_before(configuration, *at) } else { *at };
    let title = if with.is_empty() { format!("Remove `{was}`") } else { format!("Write `{with}`") };
    let edit = TextEdit { range: configuration.range(at), new_text: with.clone() };
    let changes: HashMap<Uri, Vec<TextEdit>> = HashMap::from([(uri, vec![edit])]);
    Some(CodeAction {
        title,
        kind: Some(CodeActionKind::QUICKFIX),
        diagnostics: Some(vec![diagnostic(mistake, configuration, workspace)]),
        edit: Some(WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() }),
        is_preferred: Some(true),
        ..CodeAction::default()
    })
}

/// Where a word goes, the space before it goes, too.
fn with_space_before(configuration: &Configuration, at: Span) -> Span {
    let before = configuration.text(Span { start: 0, end: at.start, ..at });
    let space = before.len() - before.trim_end_matches([' ', '\t']).len();
    Span { start: Span::new(0, 0, before.len() - space).end, ..at }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lsp::testing::at_cursor;

    fn check(text: &str, expected: &[&str]) {
        let scene = at_cursor(text);
        let at = scene.configuration.range(crate::diagnostic::Span {
            file: scene.file,
            start: scene.offset,
            end: scene.offset,
        });
        let found = actions(&scene.configuration, scene.file, at, &scene.workspace);
        let show = |action: CodeActionOrCommand| match action {
            CodeActionOrCommand::CodeAction(action) => {
                let edits = action.edit.unwrap().changes.unwrap().into_values().next().unwrap();
                format!("{}-{} {}", edits[0].range.start.character, edits[0].range.end.character, edits[0].new_text)
            }
            CodeActionOrCommand::Command(_) => String::new(),
        };
        assert_eq!(found.into_iter().map(show).collect::<Vec<_>>(), expected, "{text}");
    }

    #[test]
    fn names_that_are_near_are_put_right() {
        check(":80 { resp|nd ok }\n", &["6-12 respond"]);
        check("globl| { workers 1 }\n:80 { respond }\n", &["0-5 global"]);
        check("global { wrkers| 1 }\n:80 { respond }\n", &["9-15 workers"]);
        check(":80 { respond {clent_ip|} }\n", &["14-24 {client_ip}"]);
        check(":80 { respond {hedaer.X|} }\n", &["14-24 {header.X}"]);
        check(":80 { route clientip| 10.0.0.0/8 { respond } }\n", &["12-20 client_ip"]);
        check("@admin path /a\n:80 { route @amdin| { respond } }\n", &["12-18 @admin"]);
        check("upstream api { server a:1 }\n:80 { reverse_proxy ap| }\n", &["20-22 api"]);
        check("snippet secure { respond }\n:80 { use secur| }\n", &["10-15 secure"]);
        check("upstream a { server a:1; balance least_con| }\n:80 { reverse_proxy a }\n", &["33-42 least_conn"]);
        check(":80 { log jsn| }\n", &["10-13 json"]);
        check(":80 { header { sett| X y }; respond }\n", &["15-19 set"]);
    }

    #[test]
    fn what_the_help_says_to_write_is_written() {
        check("|8080 { respond ok }\n", &["0-4 :8080"]);
        check(":80 { encode brotli|; respond ok }\n", &["13-19 br"]);
        check(":80 { strip_prefix api|; respond ok }\n", &["19-22 /api"]);
        check(":80 { route /a &&| method GET { respond } }\n", &["15-17 and"]);
        check("@a path /a\n:80 { route !@a| { respond } }\n", &["12-15 not @a"]);
        check(":80 { respond {http.request.host|} }\n", &["14-33 {host}"]);
        check(":80 { respond {CLIENT_IP|} }\n", &["14-25 {client_ip}"]);
        check("a.test { tls { versions tls1.2| }; respond }\n", &["24-30 1.2"]);
    }

    #[test]
    fn what_is_too_many_is_removed_with_its_space() {
        check(":80 { route method GET POST GET| { respond } }\n", &["27-31 "]);
        check(":80 { route host a.test *.test a.test| { respond } }\n", &["30-37 "]);
        check(":80 { route /a )| { respond } }\n", &["14-16 "]);
        check(":80 {\n    respond ok;|\n}\n", &["14-15 "]);
        check(":80 { encode gzip gzip|; respond ok }\n", &["17-22 "]);
        check(":80 { respond o\u{200b}|k }\n", &["15-16 "]);
    }

    #[test]
    fn what_is_not_sure_is_left() {
        check(":80 { proxy_pa|ss x }\n", &[]);
        check(":80 { respnd ok; |respond ok }\n", &[]);
        check(":80 { \"resp|nd\" ok }\n", &[]);
        check("snippet s(x) { reverse_proxy {arg.x|} }\nupstream api { server a:1 }\n:80 { use s ap }\n", &[]);
    }
}
