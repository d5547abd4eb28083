//! `rp run`: serves what a Proxyfile says.

use std::path::PathBuf;

use clap::Args;

use super::{Format, Outcome, complain, default_file, findings};
use crate::diagnostic::{Mistake, Sources};
use crate::server::{self, Loaded, Plane, Refused, Settings, Source, Watching, raise_descriptor_limit};
use crate::telemetry::runtime::{self, LevelFilter};

#[derive(Debug, Args)]
pub struct Run {
    /// The configuration [default: Proxyfile]
    file: Option<PathBuf>,
    /// Put a changed file in force only when told to, by `rp reload` or SIGHUP
    #[arg(long)]
    no_watch: bool,
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
        serve(Source::File(path), if self.no_watch { Watching::Off } else { Watching::On }, self.verbose)
    }
}

const NO_FILE: &str = "there is no Proxyfile here. To begin, write one:\n\n    echo 'localhost { respond \"hello\" }' > Proxyfile\n    rp run\n\nor serve without one: `rp serve .` for a folder, `rp proxy --from :8080 --to 127.0.0.1:3000` for a server.";

/// Serves until a signal ends it.
pub fn serve(source: Source, watching: Watching, verbose: u8) -> Outcome {
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
        Ok((plane, Loaded { warnings, sources, .. })) => {
            show(&warnings, &sources);
            plane
        }
        Err(Refused { findings, sources }) => {
            show(&findings, &sources);
            return Outcome::Mistakes;
        }
    };
    let control = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(error),
    };
    match control.block_on(server::run(plane, Settings { watching, show })) {
        Ok(()) => Outcome::Clean,
        Err(error) => complain(error),
    }
}

fn show(findings: &[Mistake], sources: &Sources) {
    findings::print(findings, sources, Format::Text);
}
