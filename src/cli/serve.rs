//! `rp serve` and `rp proxy`: a folder or a server, without a Proxyfile.
//!
//! Both write the Proxyfile that they stand for. What the user typed goes in as quoted data, never as syntax.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;

use super::{Outcome, complain, run};
use crate::check::Value as _;
use crate::check::value::ListenAddress;
use crate::server::{Source, Watching};
use crate::upstream::Target;

#[derive(Debug, Args)]
pub struct Serve {
    /// The folder to serve
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Where to listen; `:8080` lets other machines in
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: String,
    /// List folders that have no index.html
    #[arg(long)]
    browse: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub struct Proxy {
    /// Where to listen: `:8080` lets other machines in, `127.0.0.1:8080` does not
    #[arg(long, value_name = "ADDRESS")]
    from: String,
    /// Where requests go; given several times, they take turns
    #[arg(long, value_name = "SERVER", required = true)]
    to: Vec<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// Write the Proxyfile that this stands for to standard output, and serve nothing
    #[arg(long)]
    print: bool,
    /// More of the runtime log: -v for debug, -vv for trace
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

impl Serve {
    pub fn execute(&self) -> Outcome {
        let folder = match self.folder.canonicalize() {
            Ok(folder) if folder.is_dir() => folder,
            Ok(_) => return complain(format!("`{}` is a file: name the folder that it is in", self.folder.display())),
            Err(error) => return complain(format!("cannot serve `{}`: {error}", self.folder.display())),
        };
        let Some(folder) = folder.to_str() else {
            return complain(format!("the name of `{}` is not UTF-8: give the folder another name", folder.display()));
        };
        let browse = if self.browse { " { browse on }" } else { "" };
        self.common.serve(&self.listen, &format!("file_server {}{browse}", quoted(folder)))
    }
}

impl Proxy {
    pub fn execute(&self) -> Outcome {
        let mut statement = "reverse_proxy".to_owned();
        for server in &self.to {
            if let Err(wrong) = Target::parse(server) {
                let text = wrong.text.unwrap_or_else(|| format!("`{server}` is not {}", Target::KIND));
                return complain(advised(&text, wrong.help.as_deref(), Target::EXAMPLE));
            }
            let _ = write!(statement, " {}", quoted(server));
        }
        self.common.serve(&self.from, &statement)
    }
}

impl Common {
    fn serve(&self, listen: &str, statement: &str) -> Outcome {
        let text = match proxyfile(listen, statement) {
            Ok(text) => text,
            Err(why) => return complain(why),
        };
        if self.print {
            print!("{text}");
            return Outcome::Clean;
        }
        run::serve(Source::Text(text), Watching::On, self.verbose)
    }
}

/// A site for any host. Nothing else is opened: no admin socket, which a process with a Proxyfile may want.
fn proxyfile(listen: &str, statement: &str) -> Result<String, String> {
    let address = ListenAddress::parse(listen).map_err(|wrong| {
        let text = wrong.text.unwrap_or_else(|| format!("`{listen}` is not {}", ListenAddress::KIND));
        advised(&text, wrong.help.as_deref(), ListenAddress::EXAMPLE)
    })?;
    let (site, bind) = match address {
        ListenAddress::Any(port) => (format!(":{port}"), String::new()),
        ListenAddress::Ip(address) => (format!(":{}", address.port()), format!("    bind {}\n", address.ip())),
        ListenAddress::Unix(path) => (quoted(&format!("unix/{}", path.display())), String::new()),
    };
    Ok(format!("global {{ admin off }}\n\n{site} {{\n{bind}    {statement}\n}}\n"))
}

fn advised(text: &str, help: Option<&str>, example: &str) -> String {
    format!("{text}: {}", help.map_or_else(|| format!("write {example}"), str::to_owned))
}

/// A word of the language that means this text, whatever is in it.
fn quoted(text: &str) -> String {
    let mut word = String::with_capacity(text.len() + 2);
    word.push('"');
    for sign in text.chars() {
        match sign {
            '"' | '\\' | '{' | '}' => word.extend(['\\', sign]),
            // Line ends above all, but nobody wants to see the others either.
            sign if sign.is_control() => {
                let _ = write!(word, "\\u{{{:x}}}", u32::from(sign));
            }
            sign => word.push(sign),
        }
    }
    word.push('"');
    word
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{FileId, Mistake};
    use crate::syntax::parse::parse;
    use crate::syntax::tree::Block;

    fn read(text: &str) -> Block {
        let (tree, mistakes): (Block, Vec<Mistake>) = parse(FileId::default(), text);
        assert!(mistakes.is_empty(), "{mistakes:?}");
        tree
    }

    #[test]
    fn whatever_was_typed_is_one_word() {
        for text in ["/srv/a", "/srv/a b", "\"", "\\", "{$HOME}", "a}\n:9 { respond \"x\" }", "# x", "`", "\u{7f}é", ""]
        {
            let tree = read(&format!("file_server {}\n", quoted(text)));
            assert_eq!(tree.nodes.len(), 1);
            assert_eq!(tree.nodes[0].words.len(), 2);
            assert_eq!(tree.nodes[0].words[1].plain(), Some(text));
        }
    }

    #[test]
    fn the_address_becomes_a_site_for_any_host() {
        let check = |listen, expected| assert_eq!(proxyfile(listen, "x").as_deref(), Ok(expected));
        check(":8080", "global { admin off }\n\n:8080 {\n    x\n}\n");
        check("[::1]:8080", "global { admin off }\n\n:8080 {\n    bind ::1\n    x\n}\n");
        check("unix//run/a b", "global { admin off }\n\n\"unix//run/a b\" {\n    x\n}\n");
        assert_eq!(proxyfile("8080", "x").unwrap_err(), "`8080` is not an address to listen on: write `:8080`");
        assert!(proxyfile(":1 {}", "x").is_err());
    }
}
