//! A process whose configuration changes while it runs.

use std::process::Output;

use serde_json::Value;

use crate::harness::{Folder, Proxy, Setup, command, eventually, of};

/// A site for any host that says this, reached by an admin socket in `{$PLACE}`.
pub fn saying(text: &str) -> String {
    format!("global {{ admin unix/{{$PLACE}}/admin.sock }}\n:0 {{\n    bind 127.0.0.1\n    respond \"{text}\"\n}}\n")
}

pub trait Running {
    /// Writes the Proxyfile in place.
    fn rewrite(&self, config: &str);
    /// How often a new configuration was put in force, and how often one was refused.
    fn reloads(&self) -> usize;
    fn refusals(&self) -> usize;
    /// Waits until this many were put in force.
    fn reloaded(&self, count: usize);
    fn refused(&self, count: usize);
    /// Waits until standard error holds this: findings are printed behind the line that counts them.
    fn shows(&self, text: &str);
    /// What the site says to a new client.
    fn says(&self) -> String;
    /// Runs `rp` with these arguments and the process's own socket.
    fn ask(&self, arguments: &[&str]) -> Output;
    fn status(&self) -> Value;
}

/// Starts a configuration that has `{$PLACE}` in it.
pub fn start(config: &str) -> Proxy {
    placed(config).start_in_place()
}

/// The same, with more to be said before it starts.
pub fn placed(config: &str) -> Placed {
    let place = Folder::new();
    let is_administered = config.contains("admin.sock");
    Placed { setup: of(config).with("PLACE", place.path().display()), place, is_administered }
}

pub struct Placed {
    pub setup: Setup,
    place: Folder,
    is_administered: bool,
}

impl Placed {
    pub fn start_in_place(self) -> Proxy {
        let mut proxy = self.setup.start();
        if self.is_administered {
            // It listens there a little after it listens to clients.
            let socket = self.place.path().join("admin.sock");
            eventually("the socket", || socket.exists().then_some(()));
        }
        proxy.kept.push(self.place);
        proxy
    }
}

impl Running for Proxy {
    fn rewrite(&self, config: &str) {
        std::fs::write(&self.config, config).unwrap();
    }

    fn reloads(&self) -> usize {
        said(self, "configuration reloaded")
    }

    fn refusals(&self) -> usize {
        said(self, "the new configuration is refused")
    }

    fn reloaded(&self, count: usize) {
        eventually(&format!("reload {count}"), || (self.reloads() >= count).then_some(()));
    }

    fn refused(&self, count: usize) {
        eventually(&format!("refusal {count}"), || (self.refusals() >= count).then_some(()));
    }

    fn shows(&self, text: &str) {
        eventually(text, || self.log_text().contains(text).then_some(()));
    }

    fn says(&self) -> String {
        self.get("/").text().to_owned()
    }

    fn ask(&self, arguments: &[&str]) -> Output {
        let socket = self.kept[0].path().join("admin.sock");
        command(&self.folder).args(arguments).arg("--socket").arg(socket).output().unwrap()
    }

    fn status(&self) -> Value {
        let output = self.ask(&["status", "--format", "json"]);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn said(proxy: &Proxy, start: &str) -> usize {
    proxy.log_lines().iter().filter(|line| line["message"].as_str().is_some_and(|said| said.starts_with(start))).count()
}
