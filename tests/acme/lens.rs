//! An authority seen through a lens: each question passes a script, which may answer in its place or change what it says.

use std::net::SocketAddr;
use std::sync::Arc;

use proxyfile::tls::acme::Binding;
use serde_json::Value;

use crate::authority::{Pebble, directory_at};
use crate::harness::{Authority, Client, Folder, Message, Origin};

pub struct Lens {
    origin: Origin,
    folder: Folder,
}

/// What is said in place of the authority.
pub struct Said {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Said {
    /// An error as ACME has it (RFC 8555, section 6.7).
    pub fn problem(status: u16, kind: &str) -> Self {
        let body = format!(r#"{{"type":"urn:ietf:params:acme:error:{kind}","detail":"so says the test"}}"#);
        Self { status, fields: vec![("content-type".into(), "application/problem+json".into())], body: body.into() }
    }

    pub fn json(body: &Value) -> Self {
        Self {
            status: 200,
            fields: vec![("content-type".into(), "application/json".into())],
            body: body.to_string().into(),
        }
    }

    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Changes what is in a body of JSON.
    pub fn change(mut self, change: impl FnOnce(&mut Value)) -> Self {
        let mut body: Value = serde_json::from_slice(&self.body).unwrap();
        change(&mut body);
        self.body = body.to_string().into();
        self
    }
}

/// A question, and the way to who would answer it.
pub struct Question<'a> {
    pub message: &'a Message,
    behind: SocketAddr,
    visitor: Arc<rustls::ClientConfig>,
}

impl Question<'_> {
    /// Asks the authority.
    pub fn pass(&self) -> Said {
        let mut client = Client::tls(self.behind, "localhost", self.visitor.clone()).unwrap();
        let mut text = format!("{}\r\n", self.message.start);
        for (name, value) in &self.message.fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        let answer = client.send(format!("{text}\r\n")).send(&self.message.body).response_to(self.message.method());
        let fields = answer
            .fields
            .iter()
            .filter(|(name, _)| !["content-length", "transfer-encoding"].contains(&&*name.to_lowercase()));
        Said { status: answer.status(), fields: fields.cloned().collect(), body: answer.body.clone() }
    }

    pub fn is_for(&self, path: &str) -> bool {
        self.message.target().starts_with(path)
    }

    /// What is signed.
    pub fn payload(&self) -> Value {
        payload(self.message)
    }
}

fn payload(message: &Message) -> Value {
    let signed: Value = serde_json::from_slice(&message.body).unwrap_or_default();
    let bytes = signed["payload"].as_str().and_then(|text| Binding::read("", text)).map(|read| read.key);
    bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

impl Lens {
    pub fn before(pebble: &Pebble, script: impl Fn(&Question<'_>) -> Said + Send + Sync + 'static) -> Self {
        let (folder, root) = (Folder::new(), Authority::new());
        folder.write("root.pem", root.pem());
        let (behind, visitor) = (pebble.address(), pebble.visitor());
        let identity = root.issue(&["localhost"]);
        let origin = Origin::tls(identity.server(&["http/1.1"]), move |message, wire| {
            let said = script(&Question { message, behind, visitor: visitor.clone() });
            let mut text = format!("HTTP/1.1 {} x\r\nContent-Length: {}\r\n", said.status, said.body.len());
            for (name, value) in &said.fields {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
            wire.say(format!("{text}\r\n"));
            if message.method() != "HEAD" {
                wire.say(&said.body);
            }
        });
        Self { origin, folder }
    }

    pub fn directory(&self) -> String {
        directory_at(self.origin.address.port())
    }

    pub fn root_file(&self) -> String {
        self.folder.path().join("root.pem").display().to_string()
    }

    /// How often something was asked.
    pub fn asked(&self, path: &str) -> usize {
        self.origin.requests().iter().filter(|request| request.target().starts_with(path)).count()
    }

    /// What was said when something was asked.
    pub fn payloads(&self, path: &str) -> Vec<Value> {
        let requests = self.origin.requests();
        requests.iter().filter(|request| request.target().starts_with(path)).map(payload).collect()
    }
}
