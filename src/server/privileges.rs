//! Giving up root: after the configuration was read, which says for whom, and before anything is made, opened or started.

use std::fs;
use std::path::PathBuf;

use super::admin;
use super::build::{Reading, Refused, Source};
use crate::diagnostic::{Code, Mistake, plain};
use crate::model::Global;
use crate::telemetry::identity::{self, Identity};
use crate::tls::default_storage;
use crate::tls::storage::Place;

/// Becomes the user that `global` names, if it names one.
pub(super) fn give_up(reading: &Reading, source: &Source) -> Result<(), Refused> {
    identity::settle();
    let Some(global) = reading.checked.model.as_ref().map(|model| &model.global) else { return Ok(()) };
    let Some(user) = &global.user else { return Ok(()) };
    let refused = |why: String| {
        let mistake = Mistake::new(Code::E0055, user.at, format!("cannot become `{}`: {why}", user.name));
        let help = "start rp as root or as this user, or remove the statement";
        Refused::one(mistake.help(help), reading.checked.sources.clone())
    };
    let identity: Identity = user.find().map_err(&refused)?;
    identity.become_it(&folders(global)).map_err(&refused)?;
    // What root alone may read can be served once, and never reloaded.
    let Source::File(file) = source else { return Ok(()) };
    for file in reading.checked.files.iter().chain([file]) {
        if let Err(error) =
            fs::metadata(file).and_then(|meta| if meta.is_dir() { Ok(()) } else { fs::File::open(file).map(drop) })
        {
            let text =
                format!("`{}` may not read `{}`, so no reload could: {}", user.name, file.display(), plain(&error));
            let help = format!("let it: chgrp {} {}; chmod g+r {}", user.name, file.display(), file.display());
            return Err(Refused::one(
                Mistake::new(Code::E0055, user.at, text).help(help),
                reading.checked.sources.clone(),
            ));
        }
    }
    tracing::info!(user = user.name, "root is given up");
    Ok(())
}

/// What the process keeps things in, by what is configured.
fn folders(global: &Global) -> Vec<PathBuf> {
    let storage = match &global.storage {
        None => Some(default_storage()),
        Some(Place::Folder(folder)) => Some(folder.clone()),
        Some(_) => None,
    };
    let admin = admin::socket(&global.admin).and_then(|socket| Some(socket.parent()?.to_owned()));
    storage.into_iter().chain(admin).collect()
}
