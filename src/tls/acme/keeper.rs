//! Gets and renews certificates, on the control plane's thread, for as long as the process lives.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::task::{Id, JoinSet};
use tokio::time::{sleep, timeout};

use super::account::Office;
use super::challenge::Kind;
use super::failure::{Failure, FailureKind};
use super::holding::Task;
use super::order::{self, Obtained, Stage, Wanted};
use super::renewal::{self, Advice};
use super::vault::{Job, Key, Vault};
use crate::telemetry::metrics;
use crate::tls::storage::Lock;
use crate::tls::{Certificate, Trouble};

/// Orders at once: a thousand new names should not all stand at the authority's door together.
const MOST: usize = 4;
/// A clock may be set, and a machine sleep: the time is looked at at least this often.
const LOOK: Duration = Duration::from_secs(300);
/// For all of an order, with every challenge that can be tried.
const PATIENCE: Duration = Duration::from_secs(600);

/// Between two looks at what another process does.
const OTHERS: Duration = Duration::from_millis(500);

type Outcome = Result<(Arc<Certificate>, Option<Kind>), Failure>;

/// What a job has come to.
enum Done {
    /// With the companions whose names the certificate has, too.
    Order(Outcome, Vec<Key>),
    Look(Result<Advice, Failure>),
}

/// Never ends by itself; what is under way when it is dropped is given up.
pub async fn keep(vault: Arc<Vault>) {
    let mut work = JoinSet::new();
    let mut arrivals = JoinSet::new();
    let mut jobs: HashMap<Id, Arc<Job>> = HashMap::new();
    loop {
        for name in vault.demand.fresh() {
            arrivals.spawn(Arc::clone(&vault).arrive(name));
        }
        while work.len() < MOST
            && let Some(job) = vault.next(OffsetDateTime::now_utc())
        {
            let job = Arc::new(job);
            let started = work.spawn(act(Arc::clone(&vault), Arc::clone(&job)));
            jobs.insert(started.id(), job);
        }
        let pause = if work.len() < MOST { vault.pause(OffsetDateTime::now_utc()) } else { None };
        tokio::select! {
            () = vault.changed.notified() => {}
            Some(_) = arrivals.join_next() => {}
            Some(ended) = work.join_next_with_id() => {
                let (id, done) = match ended {
                    Ok((id, done)) => (id, Some(done)),
                    Err(error) => (error.id(), None),
                };
                if let Some(job) = jobs.remove(&id) {
                    conclude(&vault, &job, done);
                }
            }
            () = sleep(pause.unwrap_or(LOOK).min(LOOK)) => {}
        }
    }
}

async fn act(vault: Arc<Vault>, job: Arc<Job>) -> Done {
    // A change of a zone may take its time, by what the user says.
    let patience = PATIENCE + job.dns.as_ref().map_or(Duration::ZERO, |dns| dns.settings().wait);
    let late = || Failure::other(format!("it takes longer than {} minutes", patience.as_secs() / 60));
    let late_together = || Failure { kind: FailureKind::Late, ..late() };
    if let (Task::Order, Some(terms)) = (job.task, &job.permit)
        && let Ok(false) = vault.demand.permits.ask(terms, job.name()).await
    {
        let reason = "whoever is asked says that it may have none any more".to_owned();
        return Done::Order(Err(Failure { reason, kind: FailureKind::Unwanted }), Vec::new());
    }
    match job.task {
        Task::Order => {
            let mut all = Vec::new();
            let outcome = timeout(patience, Box::pin(alone(&vault, &job, &mut all))).await;
            let outcome = outcome.unwrap_or_else(|_| Err(if all.is_empty() { late() } else { late_together() }));
            Done::Order(outcome, all)
        }
        Task::Look => Done::Look(timeout(patience, look(&job)).await.unwrap_or_else(|_| Err(late()))),
    }
}

async fn look(job: &Job) -> Result<Advice, Failure> {
    let held = job.held.as_ref().ok_or_else(|| Failure::other("there is no certificate"))?;
    renewal::ask(&job.office.account().await?, held).await
}

/// Of all processes with the same storage one asks, and the others take what it gets.
async fn alone(vault: &Vault, job: &Job, all: &mut Vec<Key>) -> Outcome {
    let store = &job.office.store;
    loop {
        let lock = match store.lock(job.name()).await {
            Ok(lock) => lock,
            Err(trouble) => {
                // It is away for all of them.
                all.clone_from(&job.companions);
                return Err(trouble.into());
            }
        };
        let kept = store.fetch(job.name()).await;
        if let Ok(Some(kept)) = kept
            && is_news(job, &kept)
        {
            if let Some(lock) = lock {
                store.storage().release(lock).await;
            }
            return Ok((kept, None));
        }
        if let Some(lock) = lock {
            let mut locks = vec![lock];
            for companion in &job.companions {
                // Whoever is asked for by another process is left to it.
                if let Ok(Some(lock)) = store.lock(&companion.1).await {
                    locks.push(lock);
                    all.push(companion.clone());
                }
            }
            let outcome = store.storage().during(&locks, obtain(vault, job, all, &locks)).await;
            // Half of a rehearsal with its order has counted, and whoever refused before is in no hurry.
            let outcome = if job.rehearse { outcome.map_err(Failure::midway) } else { outcome };
            for lock in locks {
                store.storage().release(lock).await;
            }
            return outcome;
        }
        sleep(OTHERS).await;
    }
}

/// Whether what is in storage is what is asked for: another process with the same storage may have been faster.
fn is_news(job: &Job, kept: &Certificate) -> bool {
    let is_held = job.held.as_ref().is_some_and(|held| held.fingerprint() == kept.fingerprint());
    kept.covers(job.name()) && !is_held && !job.forced && !kept.needs_renewal(OffsetDateTime::now_utc())
}

async fn obtain(vault: &Vault, job: &Job, others: &[Key], locks: &[Lock]) -> Outcome {
    let names: Vec<&str> = std::iter::once(job.name()).chain(others.iter().map(|(_, name)| &**name)).collect();
    if job.rehearse
        && let Some(rehearsal) = &job.office.rehearsal
    {
        let tried = ask(vault, job, &names, rehearsal, None).await;
        tried.map_err(|failure| Failure { reason: format!("tried out first, {failure}"), ..failure })?;
    }
    let former = job.held.as_deref().filter(|_| job.is_theirs);
    take(job, &names, locks, &ask(vault, job, &names, &job.office, former).await?).await
}

async fn ask(
    vault: &Vault,
    job: &Job,
    names: &[&str],
    office: &Office,
    replaces: Option<&Certificate>,
) -> Result<Obtained, Failure> {
    let wanted = Wanted { names, key: job.key_type, replaces };
    let stage = Stage { challenges: Arc::clone(&vault.challenges), dns: job.dns.clone() };
    let outcome = order::obtain(office, &stage, &wanted, &job.kinds).await;
    if let Err(failure) = &outcome {
        office.doubt(failure).await;
    }
    outcome
}

/// Keeps what came. What cannot be kept is shown all the same: it is good, and asking again would change nothing.
async fn take(job: &Job, names: &[&str], locks: &[Lock], obtained: &Obtained) -> Outcome {
    let bad = |trouble: Trouble| Failure::other(format!("what the authority gave cannot be used: {trouble}"));
    let certificate = Certificate::from_pem(obtained.chain.as_bytes(), obtained.key.as_bytes()).map_err(bad)?;
    if !names.iter().all(|name| certificate.covers(name)) {
        return Err(Failure::other("what the authority gave is for another name"));
    }
    for (name, lock) in names.iter().copied().zip(locks) {
        match job.office.store.save(Some(lock), name, &obtained.key, &obtained.chain).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(name, "another process has taken over: its certificate is the one that is kept");
            }
            Err(trouble) => {
                tracing::error!(name, error = %trouble, "a certificate cannot be kept: after a restart it is asked for again");
            }
        }
    }
    Ok((Arc::new(certificate), Some(obtained.kind)))
}

fn conclude(vault: &Vault, job: &Job, done: Option<Done>) {
    let broken = || Failure::other("an order broke off: this is a mistake in rp");
    match (done, job.task) {
        (Some(Done::Order(outcome, others)), _) => concluded(vault, job, outcome, &others),
        (None, Task::Order) => concluded(vault, job, Err(broken()), &job.companions),
        (Some(Done::Look(outcome)), _) => advised(vault, job, &outcome),
        (None, Task::Look) => advised(vault, job, &Err(broken())),
    }
}

fn advised(vault: &Vault, job: &Job, outcome: &Result<Advice, Failure>) {
    let name = job.name();
    if let Err(failure) = outcome {
        tracing::debug!(name, reason = failure.reason, "the authority does not say when to renew");
    }
    if let Some(renewal) = vault.advise(job, outcome) {
        tracing::debug!(name, %renewal, "certificate looked after");
    }
}

fn concluded(vault: &Vault, job: &Job, outcome: Outcome, others: &[Key]) {
    let (name, authority) = (job.name(), job.office.issuer.host());
    if let Err(failure) = &outcome
        && !others.is_empty()
        && failure.kind.is_of_one()
    {
        let (reason, names) = (&failure.reason, others.len() + 1);
        tracing::warn!(name, reason, names, authority, "names cannot be had together: each is asked for by itself");
        return vault.part(job);
    }
    match &outcome {
        Ok((certificate, kind)) => {
            let (issuer, until) = (certificate.issuer(), certificate.not_after().date());
            if let Some(challenge) = kind {
                metrics::global().certificate_orders.add(authority, "ok");
                let names = others.iter().map(|(_, name)| &**name).collect::<Vec<_>>().join(" ");
                tracing::info!(name, others = names, issuer, %until, %challenge, authority, "certificate obtained");
            } else {
                tracing::info!(name, issuer, %until, "another process has obtained the certificate");
            }
            vault.finish(job, others, outcome);
        }
        Err(failure) => {
            metrics::global().certificate_orders.add(authority, failure.kind.word());
            let reason = failure.reason.clone();
            let until = job.held.as_ref().map(|held| held.not_after().date().to_string());
            let retry = vault.finish(job, others, outcome).as_secs();
            match until {
                Some(until) => tracing::warn!(name, reason, retry, until, authority, "certificate not renewed"),
                None => tracing::warn!(name, reason, retry, authority, "certificate not obtained"),
            }
        }
    }
}
