//! What runs: from a request's path to the file, at once where the kernel has it in memory, else on a thread that waits.

use std::borrow::Cow;
use std::fs::{File, Metadata};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::future::{LocalBoxFuture, ready};
use http::header::{self, HeaderValue};
use http::{Method, StatusCode};
use smallvec::{SmallVec, smallvec};

use super::answer;
use super::asset::{Asset, Dress};
use super::browse::{self, Look};
use super::coding::{self, Coding, Wanted};
use super::folder::{Folder, Pace, Trouble};
use super::name::{Hiding, Name};
use super::shelf::{self, Key};
use crate::http::exchange::Exchange;
use crate::http::fault::{Cause, Fault};
use crate::http::step::{Answer, Answers};
use crate::http::template::Template;
use crate::http::{page, path};

/// A folder, and how it is shown.
#[derive(Debug)]
pub struct Served {
    pub folder: Folder,
    pub hiding: Hiding,
    pub index: Vec<String>,
    /// Compressed siblings that may be there, the preferred one first.
    pub offered: Vec<Coding>,
    pub dress: Dress,
    pub browse: bool,
}

/// The step.
#[derive(Debug)]
pub struct FileServer {
    /// No other step of this process has had it.
    id: u64,
    served: Arc<Served>,
    /// Paths to try in place of the request's own.
    tries: Vec<Template>,
}

/// What a path leads to.
enum Found {
    File(Asset),
    /// A folder, while the path does not end with a slash.
    Folder,
    /// A folder that is to be listed.
    Listing(File),
}

type Paths<'e> = SmallVec<[Cow<'e, str>; 1]>;

impl FileServer {
    pub fn new(served: Served, tries: Vec<Template>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed), served: Arc::new(served), tries }
    }

    /// The paths that may be served, in their order.
    fn paths<'e>(&self, exchange: &'e Exchange) -> Paths<'e> {
        if self.tries.is_empty() {
            return smallvec![Cow::Borrowed(exchange.target.path())];
        }
        let rendered = self.tries.iter().filter_map(|template| {
            let mut text = template.render_text(exchange);
            if !text.starts_with('/') {
                text.insert(0, '/');
            }
            // What a request brings in can't climb: dot segments go, and what has no canonical form is no file.
            Some(Cow::Owned(path::canonical(&text).ok()?.unwrap_or(text)))
        });
        rendered.collect()
    }

    /// The answer, where nothing has to be waited for.
    fn promptly(&self, paths: &Paths<'_>, wanted: &[Coding], exchange: &Exchange) -> Option<Result<Answer, Fault>> {
        let now = exchange.started;
        for path in paths {
            if let Some(asset) = shelf::find(self.key(path, wanted), now) {
                return Some(Ok(give(path, &asset, exchange)));
            }
            match self.served.find(path, wanted, Pace::Prompt) {
                Ok(Found::File(asset)) => return Some(Ok(self.keep(path, wanted, asset, exchange, now))),
                Ok(Found::Folder) if self.tries.is_empty() => return slash(exchange).map(|to| Ok(redirect(to))),
                Ok(Found::Folder) | Err(Trouble::Missing) => {}
                Ok(Found::Listing(_)) | Err(Trouble::WouldWait) => return None,
                Err(trouble) => return Some(Err(trouble.fault(path))),
            }
        }
        Some(Err(Cause::FileNotFound.into()))
    }

    async fn patiently(&self, mut paths: Vec<String>, wanted: Wanted, exchange: &Exchange) -> Result<Answer, Fault> {
        loop {
            let (served, known, skips) = (Arc::clone(&self.served), wanted.clone(), !self.tries.is_empty());
            // From before the file is looked at: what changes in between must not count as fresh.
            let now = Instant::now();
            let (path, found) = apart(move || served.first(paths, &known, skips)).await??;
            match found {
                Found::File(asset) => return Ok(self.keep(&path, &wanted, asset, exchange, now)),
                Found::Folder => match slash(exchange) {
                    Some(to) => return Ok(redirect(to)),
                    None => paths = vec![path + "/"],
                },
                Found::Listing(file) => return self.list(path, file, exchange).await,
            }
        }
    }

    async fn list(&self, path: String, file: File, exchange: &Exchange) -> Result<Answer, Fault> {
        let mut asked = asked(exchange).into_owned();
        if !asked.ends_with('/') {
            asked.push('/');
        }
        let look = Look::of(exchange, asked);
        let served = Arc::clone(&self.served);
        let listing = apart(move || {
            let name = Name::of(&path, &served.hiding).ok_or(Cause::FileNotFound)?;
            browse::list(&file, &served.folder, &name.relative, &served.hiding, &look)
                .map_err(|trouble| trouble.fault(&path))
        });
        Ok(listing.await??.answer(&exchange.method))
    }

    fn keep(&self, path: &str, wanted: &[Coding], asset: Asset, exchange: &Exchange, now: Instant) -> Answer {
        let asset = Rc::new(asset);
        shelf::keep(self.key(path, wanted), &asset, now);
        give(path, &asset, exchange)
    }

    fn key<'k>(&self, path: &'k str, wanted: &'k [Coding]) -> Key<'k> {
        Key { server: self.id, path, wanted }
    }
}

impl Answers for FileServer {
    fn answer<'a>(&'a self, exchange: &'a mut Exchange) -> LocalBoxFuture<'a, Result<Answer, Fault>> {
        if let Some(refusal) = refuse(exchange) {
            return Box::pin(ready(Ok(refusal)));
        }
        let exchange = &*exchange;
        let wanted = coding::wanted(&exchange.headers, &self.served.offered);
        let paths = self.paths(exchange);
        match self.promptly(&paths, &wanted, exchange) {
            Some(answer) => Box::pin(ready(answer)),
            None => {
                let paths = paths.into_iter().map(Cow::into_owned).collect();
                Box::pin(self.patiently(paths, wanted, exchange))
            }
        }
    }
}

impl Served {
    /// The first of these paths that leads to something. May wait for the disk.
    fn first(&self, paths: Vec<String>, wanted: &[Coding], skips_folders: bool) -> Result<(String, Found), Fault> {
        for path in paths {
            match self.find(&path, wanted, Pace::Patient) {
                Ok(Found::Folder) if skips_folders => {}
                Ok(found) => return Ok((path, found)),
                Err(Trouble::Missing) => {}
                Err(trouble) => return Err(trouble.fault(&path)),
            }
        }
        Err(Cause::FileNotFound.into())
    }

    fn find(&self, path: &str, wanted: &[Coding], pace: Pace) -> Result<Found, Trouble> {
        let name = Name::of(path, &self.hiding).ok_or(Trouble::Missing)?;
        if !name.folder {
            let (file, facts) = self.folder.open(&name.relative, pace)?;
            if facts.is_dir() {
                return Ok(Found::Folder);
            }
            return self.represent((file, facts), &name.relative, wanted, pace).map(Found::File);
        }
        for index in &self.index {
            let inner = name.join(index);
            if self.hiding.hides(&inner) {
                continue;
            }
            match self.folder.open(&inner, pace) {
                Ok((file, facts)) if facts.is_file() => {
                    return self.represent((file, facts), &inner, wanted, pace).map(Found::File);
                }
                Ok(_) | Err(Trouble::Missing) => {}
                Err(trouble) => return Err(trouble),
            }
        }
        if self.browse {
            let (file, facts) = self.folder.open(&name.relative, pace)?;
            if facts.is_dir() {
                return Ok(Found::Listing(file));
            }
        }
        Err(Trouble::Missing)
    }

    /// The compressed sibling that the client likes best, if it is as new as the file; else the file.
    fn represent(
        &self,
        (file, facts): (File, Metadata),
        name: &str,
        wanted: &[Coding],
        pace: Pace,
    ) -> Result<Asset, Trouble> {
        for &coding in wanted {
            match self.folder.open(&format!("{name}{}", coding.suffix()), pace) {
                Ok((sibling, its)) if its.is_file() && its.modified()? >= facts.modified()? => {
                    return Asset::load((sibling, &its), name, Some(coding), &self.dress, pace);
                }
                Err(Trouble::WouldWait) => return Err(Trouble::WouldWait),
                // One that can't be had is no reason not to serve the file itself.
                _ => {}
            }
        }
        Asset::load((file, &facts), name, None, &self.dress, pace)
    }
}

/// Runs what may wait for the disk away from the worker's thread.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Fault::detailed(Cause::Panic, error.to_string()))
}

/// The answer to a method for which files have no meaning. An error page goes with any method.
fn refuse(exchange: &mut Exchange) -> Option<Answer> {
    if matches!(exchange.method, Method::GET | Method::HEAD) || exchange.fault.is_some() {
        return None;
    }
    let mut answer = if exchange.method == Method::OPTIONS {
        answer::bare(StatusCode::NO_CONTENT)
    } else {
        let fault = Fault::from(Cause::MethodNotAllowed);
        let answer = page::fault(exchange, &fault);
        exchange.notes.error = Some(fault);
        answer
    };
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    Some(answer)
}

fn give(path: &str, asset: &Asset, exchange: &Exchange) -> Answer {
    // `try_files {path}/` has found a folder's index for a path without a slash: relative links need it.
    let lacks_slash = path.strip_suffix('/').is_some_and(|bare| bare == exchange.target.path());
    match lacks_slash.then(|| slash(exchange)).flatten() {
        Some(to) => redirect(to),
        None => answer::of(asset, exchange),
    }
}

/// The path that the client asked for, before any rewriting, in its canonical form: it can't begin with two slashes and
/// so lead to another host (threat XP07).
fn asked(exchange: &Exchange) -> Cow<'_, str> {
    let original = exchange.target.original();
    let bare = original.split_once('?').map_or(original, |(path, _)| path);
    match path::canonical(bare) {
        Ok(Some(canonical)) => Cow::Owned(canonical),
        Ok(None) => Cow::Borrowed(bare),
        Err(_) => Cow::Borrowed("/"),
    }
}

/// Where a folder's path without its slash is to lead. `None` where adding one would change nothing for the client: its
/// own path has one, or was rewritten to another name.
fn slash(exchange: &Exchange) -> Option<HeaderValue> {
    let asked = asked(exchange);
    let same_name = asked.rsplit('/').next() == exchange.target.path().rsplit('/').find(|name| !name.is_empty());
    if exchange.fault.is_some() || asked.ends_with('/') || !same_name {
        return None;
    }
    let query = exchange.target.original().split_once('?').map_or(String::new(), |(_, query)| format!("?{query}"));
    HeaderValue::try_from(format!("{asked}/{query}")).ok()
}

/// 308, since a folder without its slash is never anything else.
fn redirect(to: HeaderValue) -> Answer {
    let mut answer = answer::bare(StatusCode::PERMANENT_REDIRECT);
    answer.headers_mut().insert(header::LOCATION, to);
    answer
}
