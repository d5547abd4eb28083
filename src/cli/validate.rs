//! `rp validate`: everything that can be known of a configuration before it runs.

use std::path::PathBuf;

use clap::Args;

use super::{Format, Outcome, default_file, findings};
use crate::diagnostic::Severity;
use crate::server::Source;

#[derive(Debug, Args)]
pub struct Validate {
    /// The configuration [default: Proxyfile]
    file: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// `--deny warnings` makes every warning an error
    #[arg(long, value_name = "warnings", value_parser = ["warnings"])]
    deny: Option<String>,
}

impl Validate {
    pub fn execute(self) -> Outcome {
        let path = self.file.unwrap_or_else(default_file);
        let checked = Source::File(path.clone()).load();
        findings::print(&checked.findings, &checked.sources, self.format);
        let errors = checked.findings.iter().any(|mistake| mistake.severity() == Severity::Error);
        if errors || (self.deny.is_some() && !checked.findings.is_empty()) {
            return Outcome::Mistakes;
        }
        if self.format == Format::Text && checked.findings.is_empty() {
            eprintln!("{} is valid", path.display());
        }
        Outcome::Clean
    }
}
