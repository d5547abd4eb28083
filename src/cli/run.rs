//! `rp run`: serves what a Proxyfile says.

use std::path::PathBuf;

use clap::Args;

use super::{Format, Outcome, complain, default_file, findings};
use crate::server::{Plane, Refused, Source, raise_descriptor_limit, signals};
use crate::telemetry::runtime::{self, LevelFilter};

#[derive(Debug, Args)]
pub struct Run {
    /// The configuration [default: Proxyfile]
    file: Option<PathBuf>,
    /// More of the runtime log: -v for debug, -vv for trace
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

impl Run {
    pub fn execute(self) -> Outcome {
        let path = self.file.clone().unwrap_or_else(default_file);
        if self.file.is_none() && !path.exists() {
            return complain(NO_FILE);
        }
        serve(Source::File(path), self.verbose)
    }
}

const NO_FILE: &str = "there is no Proxyfile here. To begin, write one:\n\n    echo 'localhost { respond \"hello\" }' > Proxyfile\n    rp run\n\nor serve without one: `rp serve .` for a folder, `rp proxy --from :8080 --to 127.0.0.1:3000` for a server.";

/// Serves until a signal ends it.
pub fn serve(source: Source, verbose: u8) -> Outcome {
    let level = match verbose {
        0 => LevelFilter::INFO,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    if let Err(error) = runtime::start(runtime::Format::detect(), level) {
        return complain(error);
    }
    raise_descriptor_limit();
    let plane = match Plane::start(source) {
        Ok((plane, warnings, sources)) => {
            findings::print(&warnings, &sources, Format::Text);
            plane
        }
        Err(Refused { findings, sources }) => {
            findings::print(&findings, &sources, Format::Text);
            return Outcome::Mistakes;
        }
    };
    let control = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(error),
    };
    match control.block_on(signals(plane, reload)) {
        Ok(()) => Outcome::Clean,
        Err(error) => complain(error),
    }
}

fn reload(plane: &mut Plane) {
    match plane.reload() {
        Ok(_) => tracing::info!("configuration reloaded"),
        Err(Refused { findings, sources }) => {
            tracing::error!(findings = findings.len(), "the new configuration is refused; the old one goes on");
            findings::print(&findings, &sources, Format::Text);
        }
    }
}
