//! `rp certs`: which names have which certificates, until when, and what is in the way of those that are missing; and
//! having one renewed or revoked.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::reload::Door;
use super::{Outcome, Output, complain, trust};
use crate::server::certificates;
use crate::tls::acme::REASONS;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Certs {
    #[command(subcommand)]
    errand: Option<Errand>,
    /// Where none runs: the configuration whose `storage` holds them [default: Proxyfile, if there is one]
    #[arg(conflicts_with = "socket")]
    file: Option<PathBuf>,
    #[command(flatten)]
    door: Door,
    /// The storage folder itself, whatever runs
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["socket", "file"])]
    storage: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "text")]
    format: Output,
}

#[derive(Debug, Subcommand)]
enum Errand {
    /// Have the running process ask for a name's certificate now: exit code 0 if it came, 1 if it did not
    Renew {
        /// Whose certificate
        name: String,
        /// Though the one that is shown is good for longer: authorities give only so many a week
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        door: Door,
    },
    /// Have a name's certificate taken back, and ask for another one: exit code 0 if both are done, 1 if not
    Revoke {
        /// Whose certificate
        name: String,
        /// Why: everybody may read it
        #[arg(long, value_name = "REASON", default_value = "unspecified", value_parser = PossibleValuesParser::new(REASONS.map(|(name, _)| name)))]
        reason: String,
        #[command(flatten)]
        door: Door,
    },
}

impl Errand {
    fn execute(&self) -> Outcome {
        let (door, request) = match self {
            Self::Renew { name, force, door } => (door, json!({ "command": "renew", "name": name, "force": force })),
            Self::Revoke { name, reason, door } => {
                (door, json!({ "command": "revoke", "name": name, "reason": reason }))
            }
        };
        let answer = match door.ask(&request) {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        let message = answer["message"].as_str().unwrap_or("the answer cannot be understood");
        if answer["ok"] != true {
            eprintln!("rp: {message}");
            return Outcome::Mistakes;
        }
        let new = &answer["certificate"];
        println!(
            "{}: {message}, of {}, good until {}",
            word(&new["name"]),
            word(&new["issuer"]),
            minute(&new["not_after"])
        );
        Outcome::Clean
    }
}

impl Certs {
    pub fn execute(&self) -> Outcome {
        if let Some(errand) = &self.errand {
            return errand.execute();
        }
        let answer = match &self.storage {
            Some(_) => Ok(None),
            None => self.door.ask_whoever_is_there(&json!({ "command": "certificates" })),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        let certificates = match answer.map_or_else(|| self.kept(), Ok) {
            Ok(certificates) => certificates,
            Err(outcome) => return outcome,
        };
        match self.format {
            Output::Json => println!("{certificates:#}"),
            Output::Text => print!("{}", describe(&certificates)),
        }
        Outcome::Clean
    }

    fn kept(&self) -> Result<Value, Outcome> {
        let storage = trust::storage(self.file.as_ref(), self.storage.as_ref())?;
        certificates::kept(&storage).map_err(complain)
    }
}

fn describe(answer: &Value) -> String {
    let all = answer["certificates"].as_array().map_or(&[][..], Vec::as_slice);
    if all.is_empty() {
        return "there are no certificates\n".to_owned();
    }
    let mut rows = vec![["NAME", "FROM", "ISSUER", "UNTIL", "NEXT"].map(str::to_owned)];
    rows.extend(all.iter().map(|entry| {
        let issuer = entry["issuer"].as_str().unwrap_or("none yet").to_owned();
        let next = if entry["asking"] == true { "now".to_owned() } else { minute(&entry["renewal"]) };
        [word(&entry["name"]), word(&entry["source"]), issuer, minute(&entry["not_after"]), next]
    }));
    let widths: Vec<usize> =
        (0..4).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()).collect();
    let mut text = String::new();
    for (at, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            text.push_str(&format!("{cell:width$}  "));
        }
        text.push_str(&row[4]);
        text.push('\n');
        if let Some(error) = at.checked_sub(1).and_then(|entry| all[entry]["error"].as_str()) {
            text.push_str(&format!("    {error}\n"));
        }
    }
    text
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

/// `2026-11-21T08:57:05Z` without its seconds.
fn minute(value: &Value) -> String {
    value.as_str().and_then(|at| at.get(..16)).map_or("-".to_owned(), |at| at.replace('T', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_for_people() {
        let answer = json!({ "certificates": [
            { "name": "a.example", "source": "acme", "issuer": "R11", "not_after": "2026-11-21T08:57:05Z", "renewal": "2026-10-20T01:02:03Z", "error": null },
            { "name": "b.example", "source": "acme", "issuer": null, "not_after": null, "renewal": "2026-10-20T01:02:03Z", "error": "no answer", "asking": true },
        ] });
        assert_eq!(
            describe(&answer),
            "\
NAME       FROM  ISSUER    UNTIL             NEXT
a.example  acme  R11       2026-11-21 08:57  2026-10-20 01:02
b.example  acme  none yet  -                 now
    no answer
"
        );
        assert_eq!(describe(&json!({ "certificates": [] })), "there are no certificates\n");
    }
}
