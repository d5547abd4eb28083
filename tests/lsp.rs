//! The language server's whole life, over standard input and output of the real binary.

use std::fmt::Write as _;
use std::io::{BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long anything may take here.
const PATIENCE: Duration = Duration::from_secs(30);

/// A folder that is gone when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("rp lsp {}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = Self(std::env::temp_dir().join(name));
        for (name, text) in files {
            let path = folder.0.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    /// As editors write it: the name of the folder has spaces.
    fn uri(&self, name: &str) -> String {
        format!("file://{}", self.0.join(name).to_str().unwrap().replace(' ', "%20"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An editor that has started `rp lsp`.
struct Editor {
    child: Child,
    input: Option<ChildStdin>,
    said: Receiver<Value>,
    /// Notifications that came while an answer was waited for.
    news: Vec<Value>,
    asked: i64,
}

impl Editor {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rp"))
            .args(["lsp", "--stdio"])
            .env_remove("NOT_SET")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("rp can be run");
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (sender, said) = mpsc::channel();
        std::thread::spawn(move || {
            while let Some(message) = read(&mut output) {
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let input = child.stdin.take();
        let mut editor = Self { child, input, said, news: Vec::new(), asked: 0 };
        let answer = editor.ask("initialize", &json!({ "processId": null, "rootUri": null, "capabilities": {} }));
        assert_eq!(answer["capabilities"]["textDocumentSync"], 1, "{answer}");
        assert_eq!(answer["serverInfo"]["name"], "rp");
        editor.tell("initialized", &json!({}));
        editor
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        let input = self.input.as_mut().unwrap();
        write!(input, "Content-Length: {}\r\n\r\n{text}", text.len()).unwrap();
        input.flush().unwrap();
    }

    fn tell(&mut self, method: &str, params: &Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// The answer, result or error.
    fn answer(&mut self, method: &str, params: &Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        loop {
            let message = self.said.recv_timeout(PATIENCE).expect(method);
            if message["id"] == id {
                return message;
            }
            self.news.push(message);
        }
    }

    fn ask(&mut self, method: &str, params: &Value) -> Value {
        let mut answer = self.answer(method, params);
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].take()
    }

    fn ask_at(&mut self, method: &str, uri: &str, line: u32, character: u32) -> Value {
        self.ask(method, &at(uri, line, character))
    }

    fn open(&mut self, uri: &str, text: &str) {
        let document = json!({ "uri": uri, "languageId": "proxyfile", "version": 1, "text": text });
        self.tell("textDocument/didOpen", &json!({ "textDocument": document }));
    }

    fn change(&mut self, uri: &str, version: i32, text: &str) {
        let document = json!({ "uri": uri, "version": version });
        self.tell("textDocument/didChange", &json!({ "textDocument": document, "contentChanges": [{ "text": text }] }));
    }

    /// The next findings of a file, at this version of it; without one, of a file that is not open.
    fn findings(&mut self, uri: &str, version: Option<i32>) -> Vec<Value> {
        let fits = |message: &Value| {
            let params = &message["params"];
            message["method"] == "textDocument/publishDiagnostics"
                && params["uri"] == uri
                && params["version"] == json!(version)
        };
        loop {
            if let Some(index) = self.news.iter().position(fits) {
                let found = self.news.remove(index);
                return found["params"]["diagnostics"].as_array().unwrap().clone();
            }
            self.news.push(self.said.recv_timeout(PATIENCE).expect("findings"));
        }
    }

    /// Ends in good order: the exit code.
    fn end(mut self) -> i32 {
        assert_eq!(self.ask("shutdown", &Value::Null), Value::Null);
        self.tell("exit", &Value::Null);
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(output: &mut impl std::io::BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        if let Some(number) = line.strip_prefix("Content-Length: ") {
            length = number.trim().parse().ok()?;
        }
    }
    let mut text = vec![0; length];
    output.read_exact(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

fn at(uri: &str, line: u32, character: u32) -> Value {
    json!({ "textDocument": { "uri": uri }, "position": { "line": line, "character": character } })
}

/// `1:4-1:9`, from 0.
fn range(value: &Value) -> String {
    let place = |end: &str| format!("{}:{}", value[end]["line"], value[end]["character"]);
    format!("{}-{}", place("start"), place("end"))
}

fn codes(findings: &[Value]) -> Vec<String> {
    findings.iter().map(|one| format!("{} {}", one["code"].as_str().unwrap(), range(&one["range"]))).collect()
}

const ROOT: &str = "import sites/*.conf\nupstream api { server 10.0.0.1:1 }\n";
const SITE: &str = "# ä😀\nhttp://a.example { reverse_proxy api }\n";

#[test]
fn findings_follow_what_is_typed() {
    let folder = Folder::new(&[("Proxyfile", ROOT), ("sites/a.conf", SITE)]);
    let (root, site) = (folder.uri("Proxyfile"), folder.uri("sites/a.conf"));
    let mut editor = Editor::start();
    // Only the imported file is open: the Proxyfile that imports it is on the disk, and says what `api` is.
    editor.open(&site, SITE);
    assert_eq!(codes(&editor.findings(&site, Some(1))), Vec::<String>::new());
    editor.change(&site, 2, "# ä😀\nhttp://a.example { respond \"ä😀{clent_ip}\" }\n");
    let found = editor.findings(&site, Some(2));
    assert_eq!(codes(&found), ["E0012 1:31-1:41"]);
    assert_eq!(found[0]["severity"], 1);
    assert_eq!(found[0]["source"], "rp");
    let message = found[0]["message"].as_str().unwrap();
    assert_eq!(message, "there is no placeholder `{clent_ip}` (did you mean `{client_ip}`?)\nwrite `{client_ip}`");
    // Now nothing uses the upstream, and that is shown in the other file: once all can be read that could use it.
    editor.change(&site, 3, "http://a.example { respond ok }\n");
    let found = editor.findings(&root, None);
    assert_eq!(codes(&found), ["W0005 1:9-1:12"]);
    assert_eq!((&found[0]["severity"], &found[0]["tags"]), (&json!(2), &json!([1])));
    // What was typed there counts before it is saved.
    editor.open(&root, &ROOT.replace("api", "web"));
    assert_eq!(codes(&editor.findings(&root, Some(1))), ["W0005 1:9-1:12"]);
    editor.change(&site, 4, SITE);
    let found = editor.findings(&site, Some(4));
    assert_eq!(codes(&found), ["E0014 1:33-1:36"]);
    editor.change(
        &root,
        2,
        "upstream api { server 10.0.0.1:1 }\nupstream api { server 10.0.0.2:1 }\nimport sites/a.conf\n",
    );
    let found = editor.findings(&root, Some(2));
    assert_eq!(codes(&found), ["E0024 1:9-1:12"]);
    let other = &found[0]["relatedInformation"][0];
    assert_eq!((&other["location"]["uri"], &other["message"]), (&json!(root), &json!("first defined here")));
    assert_eq!(range(&other["location"]["range"]), "0:9-0:12");
    // Closed without being saved, it is again what the disk holds.
    editor.tell("textDocument/didClose", &json!({ "textDocument": { "uri": root } }));
    assert_eq!(codes(&editor.findings(&root, None)), Vec::<String>::new());
    assert_eq!(editor.end(), 0);
}

#[test]
fn files_that_change_on_the_disk_are_read_again() {
    let folder = Folder::new(&[("Proxyfile", ROOT), ("sites/a.conf", SITE)]);
    let root = folder.uri("Proxyfile");
    let mut editor = Editor::start();
    editor.open(&root, ROOT);
    assert_eq!(codes(&editor.findings(&root, Some(1))), Vec::<String>::new());
    std::fs::write(folder.0.join("sites/a.conf"), "http://a.example { respond ok }\n").unwrap();
    let change = json!({ "changes": [{ "uri": folder.uri("sites/a.conf"), "type": 2 }] });
    editor.tell("workspace/didChangeWatchedFiles", &change);
    assert_eq!(codes(&editor.findings(&root, Some(1))), ["W0005 1:9-1:12"]);
    assert_eq!(editor.end(), 0);
}

#[test]
fn names_are_followed_and_changed_across_imports() {
    let folder = Folder::new(&[("Proxyfile", ROOT), ("sites/a.conf", SITE)]);
    let (root, site) = (folder.uri("Proxyfile"), folder.uri("sites/a.conf"));
    let mut editor = Editor::start();
    editor.open(&site, SITE);
    let hover = editor.ask_at("textDocument/hover", &site, 1, 20);
    let said = hover["contents"]["value"].as_str().unwrap();
    assert!(said.starts_with("```proxyfile\nreverse_proxy UPSTREAM"), "{said}");
    assert_eq!(range(&hover["range"]), "1:19-1:32");
    let hover = editor.ask_at("textDocument/hover", &site, 1, 34);
    assert_eq!(hover["contents"]["value"], "```proxyfile\nupstream api { server 10.0.0.1:1 }\n```");
    assert_eq!(editor.ask_at("textDocument/hover", &site, 0, 1), Value::Null);

    let found = editor.ask_at("textDocument/definition", &site, 1, 34);
    assert_eq!((&found[0]["uri"], range(&found[0]["range"])), (&json!(root), "1:9-1:12".to_owned()));
    // The import leads to the file.
    let found = editor.ask_at("textDocument/definition", &root, 0, 10);
    assert_eq!(found[0]["uri"], site);
    let mut asked = at(&root, 1, 10);
    asked["context"] = json!({ "includeDeclaration": true });
    let found = editor.ask("textDocument/references", &asked);
    assert_eq!(found.as_array().unwrap().len(), 2, "{found}");

    assert_eq!(editor.ask_at("textDocument/prepareRename", &site, 1, 34)["placeholder"], "api");
    assert_eq!(editor.ask_at("textDocument/prepareRename", &site, 1, 20), Value::Null);
    let mut asked = at(&site, 1, 34);
    asked["newName"] = json!("pool");
    let edit = editor.ask("textDocument/rename", &asked);
    for (uri, expected) in [(&root, "1:9-1:12"), (&site, "1:33-1:36")] {
        let edits = &edit["changes"][uri];
        assert_eq!((range(&edits[0]["range"]), &edits[0]["newText"]), (expected.to_owned(), &json!("pool")), "{edit}");
    }
    asked["newName"] = json!("not a name");
    assert_eq!(editor.answer("textDocument/rename", &asked)["error"]["code"], -32803);
    assert_eq!(editor.end(), 0);
}

#[test]
fn what_can_be_written_is_offered() {
    let folder = Folder::new(&[("Proxyfile", ROOT), ("sites/a.conf", SITE)]);
    let site = folder.uri("sites/a.conf");
    let mut editor = Editor::start();
    editor.open(&site, "http://a.example {\n    reverse_proxy a\n    \n}\n");
    let labels = |items: Value| -> Vec<String> {
        items.as_array().unwrap().iter().map(|item| item["label"].as_str().unwrap().to_owned()).collect()
    };
    let found = editor.ask_at("textDocument/completion", &site, 1, 19);
    assert_eq!(range(&found[0]["textEdit"]["range"]), "1:18-1:19");
    assert_eq!(labels(found), ["api"]);
    let found = labels(editor.ask_at("textDocument/completion", &site, 2, 4));
    assert!(found.contains(&"file_server".to_owned()) && !found.contains(&"upstream".to_owned()), "{found:?}");
    editor.change(&site, 2, "import \n");
    let found = labels(editor.ask_at("textDocument/completion", &site, 0, 7));
    assert_eq!(found, ["a.conf"]);
    assert_eq!(editor.end(), 0);
}

#[test]
fn files_are_formatted_put_right_outlined_and_coloured() {
    let folder = Folder::new(&[]);
    let uri = folder.uri("Proxyfile");
    let mut editor = Editor::start();
    editor.open(&uri, "http://a.example {\nrespnd   ok\n}\n");
    assert_eq!(codes(&editor.findings(&uri, Some(1))), ["E0010 1:0-1:6"]);
    let place = json!({ "start": { "line": 1, "character": 3 }, "end": { "line": 1, "character": 3 } });
    let asked = json!({ "textDocument": { "uri": uri }, "range": place, "context": { "diagnostics": [] } });
    let action = editor.ask("textDocument/codeAction", &asked)[0].take();
    assert_eq!((&action["title"], &action["kind"]), (&json!("Write `respond`"), &json!("quickfix")));
    assert_eq!(action["diagnostics"][0]["code"], "E0010");
    assert_eq!(action["edit"]["changes"][&uri][0]["newText"], "respond");

    let asked = json!({ "textDocument": { "uri": uri }, "options": { "tabSize": 4, "insertSpaces": true } });
    let edits = editor.ask("textDocument/formatting", &asked);
    assert_eq!(edits[0]["newText"], "http://a.example {\n    respnd ok\n}\n");
    assert_eq!(range(&edits[0]["range"]), "0:0-3:0");
    editor.change(&uri, 2, "http://a.example {\n    respond \"ok\n}\n");
    assert_eq!(editor.ask("textDocument/formatting", &asked), Value::Null, "what does not parse is left");
    editor.change(&uri, 3, "http://a.example {\n    respond ok\n}\n");
    assert_eq!(editor.ask("textDocument/formatting", &asked), json!([]));

    let document = json!({ "textDocument": { "uri": uri } });
    assert_eq!(editor.ask("textDocument/documentSymbol", &document)[0]["name"], "http://a.example");
    let tokens = editor.ask("textDocument/semanticTokens/full", &document);
    assert_eq!(tokens["data"], json!([0, 0, 16, 7, 0, 1, 4, 7, 1, 0]));
    assert_eq!(editor.answer("textDocument/foldingRange", &json!({}))["error"]["code"], -32601);
    assert_eq!(editor.answer("textDocument/hover", &json!({ "no": 1 }))["error"]["code"], -32602);
    assert_eq!(editor.end(), 0);
}

#[test]
fn an_editor_that_dies_takes_the_server_with_it() {
    let mut editor = Editor::start();
    drop(editor.input.take());
    assert!(editor.child.wait().unwrap().success());
}

#[test]
fn ten_thousand_lines_are_checked_while_one_types() {
    // Without optimisation, and beside whatever else the machine does.
    let limit = Duration::from_millis(if cfg!(debug_assertions) { 6000 } else { 200 });
    let mut text = String::from("upstream api { server 10.0.0.1:1 }\n");
    for site in 0..1_250 {
        let _ = write!(
            text,
            "http://site{site}.example {{\n    encode gzip\n    route /api/* {{\n        rate_limit 100/m\n\
             \x20       reverse_proxy api\n    }}\n    respond \"{site}\"\n}}\n"
        );
    }
    assert!(text.lines().count() >= 10_000);
    let folder = Folder::new(&[]);
    let uri = folder.uri("Proxyfile");
    let mut editor = Editor::start();
    editor.open(&uri, &text);
    assert_eq!(codes(&editor.findings(&uri, Some(1))), Vec::<String>::new());
    // Other tests use the processor too: the best of a few is what it takes.
    let mut best = Duration::MAX;
    for version in 2..8 {
        let typed = format!("{text}# {version}\nhttp://last.example {{ respnd }}\n");
        let start = Instant::now();
        editor.change(&uri, version, &typed);
        assert_eq!(editor.findings(&uri, Some(version)).len(), 1);
        best = best.min(start.elapsed());
    }
    println!("findings of {} lines: {best:?}", text.lines().count());
    assert!(best < limit, "{best:?}");
    let start = Instant::now();
    let found = editor.ask_at("textDocument/definition", &uri, 5, 24);
    println!("a definition: {:?}", start.elapsed());
    assert_eq!(range(&found[0]["range"]), "0:9-0:12");
    assert_eq!(editor.end(), 0);
}

#[test]
fn a_pipe_in_place_of_a_file_is_not_waited_for() {
    let folder = Folder::new(&[("x", "")]);
    let pipe: &Path = &folder.0.join("pipe");
    assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
    let uri = folder.uri("Proxyfile");
    let mut editor = Editor::start();
    editor.open(&uri, &format!("import pipe\nhttp://a.example {{ respond \"{{file.{}}}\" }}\n", "/dev/zero"));
    assert_eq!(codes(&editor.findings(&uri, Some(1))), ["E0031 0:7-0:11", "E0053 1:28-1:44"]);
    assert_eq!(editor.end(), 0);
}
