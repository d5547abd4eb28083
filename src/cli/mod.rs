//! The command line: one file for each subcommand.

mod adapt;
mod certs;
mod diff;
mod explain;
mod findings;
mod fmt;
mod hash;
mod help;
mod lsp;
pub mod manual;
mod reload;
mod run;
mod serve;
mod storage;
mod test;
mod trust;
mod validate;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};

/// A reverse proxy in one binary, configured by a Proxyfile.
#[derive(Debug, Parser)]
#[command(name = "rp", version, disable_help_subcommand = true, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve what a Proxyfile says
    Run(run::Run),
    /// Check a Proxyfile: exit code 0 if it is clean, 1 if it has errors
    Validate(validate::Validate),
    /// Print a configuration as JSON, with its defaults and with the place of each value
    Adapt(adapt::Adapt),
    /// Show what changes in meaning from one configuration to another: exit code 0 if nothing does, 1 if something does
    Diff(diff::Diff),
    /// Show what a configuration does with a request, without sending anything
    Explain(explain::Explain),
    /// Try out what a configuration must do, without a network
    Test(test::Test),
    /// Put Proxyfiles into their one canonical form
    Fmt(fmt::Fmt),
    /// Hash a password, for `basic_auth`: asks for it, or reads it from standard input
    Hash(hash::Hash),
    /// Tell the running process to put its Proxyfile in force: exit code 0 if it is, 1 if it was refused
    Reload(reload::Reload),
    /// Show what the running process does
    Status(reload::Status),
    /// Show the certificates of the running process, or those in storage where none runs
    Certs(certs::Certs),
    /// Move what is kept to another storage, or lay it aside
    Storage(storage::Storage),
    /// Serve a folder without a Proxyfile
    Serve(serve::Serve),
    /// Proxy to a server without a Proxyfile
    Proxy(serve::Proxy),
    /// Make this machine trust the certificates that rp makes for `localhost` and private names
    Trust(trust::Trust),
    /// Take that trust back
    Untrust(trust::Untrust),
    /// Serve an editor: findings as you type, completion, explanations, names that can be followed
    Lsp(lsp::Lsp),
    /// Explain a command, a directive, a matcher or a finding
    Help(help::Help),
}

/// How findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// For code scanning: SARIF 2.1.0
    Sarif,
    /// For GitHub Actions: annotations
    Github,
}

/// How anything else is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// For programs
    Json,
}

/// What a command came to.
enum Outcome {
    Clean,
    /// The file has errors.
    Mistakes,
    /// The command could not do its work.
    Failed,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        ExitCode::from(match outcome {
            Outcome::Clean => 0,
            Outcome::Mistakes => 1,
            Outcome::Failed => 2,
        })
    }
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    crate::tls::install_provider();
    let outcome = match Cli::parse().command {
        Command::Run(run) => run.execute(),
        Command::Validate(validate) => validate.execute(),
        Command::Adapt(adapt) => adapt.execute(),
        Command::Diff(diff) => diff.execute(),
        Command::Explain(explain) => explain.execute(),
        Command::Test(test) => test.execute(),
        Command::Fmt(fmt) => fmt.execute(),
        Command::Hash(hash) => hash.execute(),
        Command::Reload(reload) => reload.execute(),
        Command::Status(status) => status.execute(),
        Command::Certs(certs) => certs.execute(),
        Command::Storage(storage) => storage.execute(),
        Command::Serve(serve) => serve.execute(),
        Command::Proxy(proxy) => proxy.execute(),
        Command::Trust(trust) => trust.execute(),
        Command::Untrust(untrust) => untrust.execute(),
        Command::Lsp(_) => lsp::execute(),
        Command::Help(help) => help.execute(),
    };
    outcome.into()
}

/// The command line as completions and manual pages are made from it.
#[must_use]
pub fn command() -> clap::Command {
    // `rp help` takes any word, and says what is near one that it does not know. A shell is told all that it does know.
    let topics = PossibleValuesParser::new(help::topics());
    Cli::command().mut_subcommand("help", |help| {
        help.mut_arg("topic", |topic| topic.value_parser(topics).hide_possible_values(true))
    })
}

/// The file that is meant where none is named.
fn default_file() -> PathBuf {
    PathBuf::from("Proxyfile")
}

/// Says on standard error why a command could not do its work.
fn complain(what: impl std::fmt::Display) -> Outcome {
    eprintln!("rp: {what}");
    Outcome::Failed
}
