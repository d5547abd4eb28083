//! From a name to where it is defined, to where it is used, and to another name.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use lsp_types::{Location, PrepareRenameResponse, TextEdit, Uri, WorkspaceEdit};

use super::configuration::Configuration;
use super::names::Kind;
use super::workspace::Workspace;
use crate::diagnostic::{FileId, Span};

/// Where the name under the cursor is defined; of an import, the files that it brings in.
pub(super) fn definitions(configuration: &Configuration, file: FileId, offset: u32) -> Vec<Span> {
    let names = configuration.names();
    let found: Vec<Span> = names.definitions(file, offset).into_iter().map(|one| one.at).collect();
    if !found.is_empty() {
        return found;
    }
    let cursor = super::cursor::Cursor::new(configuration, file, offset);
    match (cursor.node, cursor.word()) {
        (Some(node), Some((1, word))) if node.name() == "import" => {
            configuration.imported(word.span).map(|file| Span::new(file, 0, 0)).collect()
        }
        _ => Vec::new(),
    }
}

pub(super) fn references(configuration: &Configuration, file: FileId, offset: u32, with_definition: bool) -> Vec<Span> {
    let together = configuration.names().together(file, offset);
    together.into_iter().filter(|(_, defines)| with_definition || !defines).map(|(at, _)| at).collect()
}

pub(super) fn locations(places: &[Span], configuration: &Configuration, workspace: &Workspace) -> Vec<Location> {
    let locate = |at: &Span| {
        let uri = workspace.uri(&configuration.source(at.file).path)?;
        Some(Location { uri, range: configuration.range(*at) })
    };
    places.iter().filter_map(locate).collect()
}

pub(super) fn prepare(configuration: &Configuration, file: FileId, offset: u32) -> Option<PrepareRenameResponse> {
    let names = configuration.names();
    // What nothing defines can't be found wherever it is used.
    names.definitions(file, offset).first()?;
    let one = names.named(file, offset)?;
    Some(PrepareRenameResponse::RangeWithPlaceholder {
        range: configuration.range(one.at),
        placeholder: one.name.clone(),
    })
}

/// Everything that a new name changes, or why it can't be had.
pub(super) fn rename(
    workspace: &Workspace,
    configuration: &Configuration,
    file: FileId,
    offset: u32,
    wanted: &str,
) -> Result<WorkspaceEdit, String> {
    let names = configuration.names();
    let one = names.named(file, offset).ok_or("this is no name of an upstream, a snippet or a matcher")?;
    let name = admitted(one.kind, wanted)?;
    let places = references(configuration, file, offset, true);
    if places.is_empty() {
        return Err(format!("nothing defines `{}`", one.name));
    }
    let changed = texts(configuration, &places, &name);
    let after = workspace.imagine(&configuration.root, &changed);
    if after.errors() > configuration.errors() || after.names().structure() != names.structure() {
        return Err(format!("`{name}` would mean something else in this configuration: choose another name"));
    }
    Ok(edit(workspace, configuration, &places, &name))
}

/// The name as it will be written.
fn admitted(kind: Kind, wanted: &str) -> Result<String, String> {
    let bare = wanted.strip_prefix('@').filter(|_| kind == Kind::Matcher).unwrap_or(wanted);
    let plain = !bare.is_empty() && bare.bytes().all(|sign| sign.is_ascii_alphanumeric() || b"_-".contains(&sign));
    if !plain || bare.bytes().all(|sign| sign.is_ascii_digit()) {
        return Err(format!("`{wanted}` is no name: write letters, digits, `_` and `-`"));
    }
    Ok(if kind == Kind::Matcher { format!("@{bare}") } else { bare.to_owned() })
}

/// The files as they would be.
fn texts(configuration: &Configuration, places: &[Span], name: &str) -> HashMap<PathBuf, String> {
    let mut texts: BTreeMap<FileId, String> = BTreeMap::new();
    // From the end, so that what stands before keeps its place.
    for at in places.iter().rev() {
        let text = texts.entry(at.file).or_insert_with(|| configuration.source(at.file).text.clone());
        text.replace_range(at.start as usize..at.end as usize, name);
    }
    texts.into_iter().map(|(file, text)| (configuration.source(file).path.clone(), text)).collect()
}

// Addresses are compared by their text, which never changes.
#[allow(clippy::mutable_key_type)]
fn edit(workspace: &Workspace, configuration: &Configuration, places: &[Span], name: &str) -> WorkspaceEdit {
    let mut changes: HashMap<Uri, Vec<TextEdit>> = HashMap::new();
    for location in locations(places, configuration, workspace) {
        changes.entry(location.uri).or_default().push(TextEdit { range: location.range, new_text: name.to_owned() });
    }
    WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lsp::testing::{Scene, at_cursor};

    fn show(configuration: &Configuration, places: &[Span]) -> String {
        let show = |at: &Span| {
            let place = configuration.checked.sources.place(*at);
            format!("{} {}", place.trim_start_matches("/w/"), configuration.text(*at))
        };
        places.iter().map(show).collect::<Vec<_>>().join(", ")
    }

    /// Where the name at `|` is defined, and behind a colon where it is used.
    fn check(text: &str, expected: &str) {
        let Scene { configuration, file, offset, .. } = at_cursor(text);
        let defined = definitions(&configuration, file, offset);
        let used = references(&configuration, file, offset, false);
        let said = format!("{}: {}", show(&configuration, &defined), show(&configuration, &used));
        assert_eq!(said, expected, "{text}");
    }

    /// All files as a new name leaves them, or why it does not.
    fn check_rename(text: &str, name: &str, expected: &str) {
        let Scene { configuration, file, offset, workspace, .. } = at_cursor(text);
        let said = match rename(&workspace, &configuration, file, offset, name) {
            Err(why) => why,
            Ok(_) => {
                let places = references(&configuration, file, offset, true);
                let after = workspace.imagine(&configuration.root, &texts(&configuration, &places, name));
                after.files().map(|(_, source)| source.text.clone()).collect()
            }
        };
        assert_eq!(said, expected, "{text}");
    }

    const ABROAD: &str = "import up\na.com { reverse_proxy a|pi }\n:81 { reverse_proxy api api:1 }\n== up\nupstream \"api\" { server 10.0.0.1:1 }\n";

    #[test]
    fn upstreams_are_found_across_imports() {
        check(ABROAD, "up:1:11 api: Proxyfile:2:23 api");
        check(
            "upstream ap|i { server a:1 }\na.com { route /x { reverse_proxy api } }\n",
            "Proxyfile:1:10 api: Proxyfile:2:34 api",
        );
        check("a.com { reverse_proxy n|o }\n", ": ");
        check("a.com { respond a|pi }\nupstream api { server a:1 }\n", ": ");
        check("import u|p\n== up\na.com { respond }\n", "up:1:1 : ");
    }

    #[test]
    fn matchers_belong_to_their_block() {
        let two = "@x path /t\na.com {\n    @x path /a\n    route @|x { respond }\n}\nb.com { route not @x or host b { respond } }\n";
        check(two, "Proxyfile:3:5 @x: Proxyfile:4:11 @x");
        check(
            &two.replace("@|x", "@x").replacen("@x path /t", "@|x path /t", 1),
            "Proxyfile:1:1 @x: Proxyfile:6:19 @x",
        );
        check("a.com { route /b { @y method GET; when @|y { respond } } }\n", "Proxyfile:1:20 @y: Proxyfile:1:40 @y");
    }

    #[test]
    fn snippets_pass_names_on() {
        check("snippet s { respond }\na.com { use |s }\n", "Proxyfile:1:9 s: Proxyfile:2:13 s");
        let argument = "snippet s(to, m=@x) { route {arg.m} { reverse_proxy {arg.to} } }\nupstream api { server a:1 }\n@x path /x\na.com { use s a|pi }\nb.com { use s to=api }\n";
        check(argument, "Proxyfile:2:10 api: Proxyfile:4:15 api, Proxyfile:5:18 api");
        check(&argument.replace("a|pi", "api").replace("m=@x", "m=@|x"), "Proxyfile:3:1 @x: Proxyfile:1:17 @x");
        let shared = "snippet s { route @m| { respond } }\na.com { @m path /a; use s }\nb.com { @m path /b; use s }\n";
        check(shared, "Proxyfile:2:9 @m, Proxyfile:3:9 @m: Proxyfile:1:19 @m");
    }

    #[test]
    fn names_change_everywhere_or_not_at_all() {
        check_rename(
            ABROAD,
            "pool",
            "import up\na.com { reverse_proxy pool }\n:81 { reverse_proxy api api:1 }\nupstream \"pool\" { server 10.0.0.1:1 }\n",
        );
        let shared = "snippet s { route @m| { respond } }\na.com { @m path /a; use s }\nb.com { @m path /b; use s }\n";
        check_rename(shared, "@n", &shared.replace("@m|", "@n").replace("@m", "@n"));
        let taken = "@x path /t\na.com { @y path /a; route @x| or @y { respond } }\n";
        let why = "would mean something else in this configuration: choose another name";
        check_rename(taken, "y", &format!("`@y` {why}"));
        let two = "upstream a { server x:1 }\nupstream b { server x:2 }\na.com { reverse_proxy a| }\nb.com { reverse_proxy b }\n";
        check_rename(two, "b", &format!("`b` {why}"));
        check_rename(two, "x y", "`x y` is no name: write letters, digits, `_` and `-`");
        check_rename("a.com { respond o|k }\n", "x", "this is no name of an upstream, a snippet or a matcher");
        check_rename("a.com { reverse_proxy no|ne }\n", "x", "nothing defines `none`");
        // An argument that is only a part of the name can't be changed.
        let part = "snippet s(x) { reverse_proxy {arg.x}-pool }\nupstream a-po|ol { server x:1 }\na.com { use s a }\n";
        check_rename(part, "b-pool", &format!("`b-pool` {why}"));
    }
}
