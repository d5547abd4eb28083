//! One order, from the question for a name to its chain (RFC 8555, section 7.4).

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, ChallengeType, Identifier, NewOrder, Order, OrderStatus,
    RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName};

use super::account::Office;
use super::challenge::{Challenges, Kind, Open};
use super::dns::{self, Dns};
use super::{Failure, FailureKind, KeyType, chain, patiently, renewal};
use crate::tls::{Certificate, Name};

/// An authority looks from several places and may have a queue.
const PATIENCE: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_secs(90));

/// A key and its chain, both PEM.
pub(super) struct Obtained {
    pub key: String,
    pub chain: String,
    /// What the authority was shown.
    pub kind: Kind,
}

/// Where the authority can be shown something.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    pub challenges: Arc<Challenges>,
    /// Who changes the zone, if anybody.
    pub dns: Option<Arc<Dns>>,
}

/// What the authority is shown now.
enum Shown {
    Here(Open),
    InDns(dns::Shown),
}

impl Shown {
    async fn take_back(&mut self) {
        if let Self::InDns(shown) = self {
            shown.take_back().await;
        }
    }
}

/// What is asked for.
pub(super) struct Wanted<'a> {
    /// One certificate for all of them; the first one gives it its name here.
    pub names: &'a [&'a str],
    pub key: KeyType,
    /// The certificate that this one takes the place of, where the same authority has signed it.
    pub replaces: Option<&'a Certificate>,
}

/// Asks for a certificate. The first kind of challenge is tried first, and the next where the authority could not see it.
pub(super) async fn obtain(
    office: &Office,
    stage: &Stage,
    wanted: &Wanted<'_>,
    kinds: &[Kind],
) -> Result<Obtained, Failure> {
    let mut before: Option<Failure> = None;
    for kind in kinds {
        let outcome = attempt(office, stage, wanted, *kind).await;
        match outcome.map_err(|failure| if before.is_some() { failure.midway() } else { failure }) {
            Err(failure) if failure.kind == FailureKind::Challenge => {
                let reason = before.map_or(String::new(), |before| format!("{before}; "));
                before = Some(Failure { reason: format!("{reason}{kind}: {failure}"), ..failure });
            }
            outcome => return outcome,
        }
    }
    Err(before.unwrap_or_else(|| Failure::other("there is no port at which the authority could look")))
}

async fn attempt(office: &Office, stage: &Stage, wanted: &Wanted<'_>, kind: Kind) -> Result<Obtained, Failure> {
    let account = office.account().await?;
    let mut order = open(office, &account, wanted).await?;
    // From here on there is an order, which counts.
    prove(&mut order, stage, kind).await.map_err(Failure::midway)?;
    let (key, request) = request(wanted).await?;
    let (usual, heard) = chain::overhear(finish(&mut order, &request)).await;
    let usual = usual.map_err(|error| Failure::from(error).midway())?;
    let chain = chain::prefer(&account, &office.issuer.chain, wanted.names[0], usual, heard).await;
    Ok(Obtained { key, chain, kind })
}

async fn finish(order: &mut Order, request: &[u8]) -> Result<String, instant_acme::Error> {
    patiently!(order.finalize_csr(request))?;
    patiently!(order.poll_certificate(&PATIENCE))
}

async fn open(office: &Office, account: &Account, wanted: &Wanted<'_>) -> Result<Order, Failure> {
    let identifiers: Vec<Identifier> = wanted.names.iter().map(|name| identifier(name)).collect();
    let profile = profile(office, account, &identifiers[0]);
    let question = || match profile {
        Some(profile) => NewOrder::new(&identifiers).profile(profile),
        None => NewOrder::new(&identifiers),
    };
    if let Some(replaces) = wanted.replaces.and_then(|former| renewal::identifier(former).ok()) {
        match patiently!(account.new_order(&question().replaces(replaces.clone()))).map_err(Failure::from) {
            Err(failure) if matches!(failure.kind, FailureKind::TooMany { .. }) => return Err(failure),
            Err(failure) if failure.kind == FailureKind::Unreached => return Err(failure),
            // It may not know of replacing, or another process has replaced it (RFC 9773, section 5).
            Err(_) => {
                return patiently!(account.new_order(&question())).map_err(|error| Failure::from(error).midway());
            }
            opened => return opened,
        }
    }
    Ok(patiently!(account.new_order(&question()))?)
}

fn identifier(name: &str) -> Identifier {
    match Name::parse(name) {
        Some(Name::Address(address)) => Identifier::Ip(address),
        _ => Identifier::Dns(name.to_owned()),
    }
}

/// The one that is configured; for addresses the one that authorities keep for them, where there is one.
fn profile<'a>(office: &'a Office, account: &Account, identifier: &Identifier) -> Option<&'a str> {
    const FOR_ADDRESSES: &str = "shortlived";
    let chosen = office.issuer.profile.as_deref();
    let is_offered = || account.profiles().any(|profile| profile.name == FOR_ADDRESSES);
    chosen.or_else(|| (matches!(identifier, Identifier::Ip(_)) && is_offered()).then_some(FOR_ADDRESSES))
}

/// Shows the authority what it wants to see, for as long as it looks.
async fn prove(order: &mut Order, stage: &Stage, kind: Kind) -> Result<(), Failure> {
    let mut shown = authorize(order, stage, kind).await?;
    let judged = judgement(order).await;
    for shown in &mut shown {
        shown.take_back().await;
    }
    judged
}

/// Whether the authority believed what it saw.
async fn judgement(order: &mut Order) -> Result<(), Failure> {
    if order.state().status == OrderStatus::Ready {
        return Ok(());
    }
    let decided = patiently!(order.poll_ready(&PATIENCE));
    if matches!(decided, Ok(OrderStatus::Ready)) { Ok(()) } else { Err(refusal(order, decided.err()).await) }
}

/// Shows what the authority wants to see, and tells it to look.
async fn authorize(order: &mut Order, stage: &Stage, kind: Kind) -> Result<Vec<Shown>, Failure> {
    patiently!(read(order))?;
    let mut shown = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        match authorization.status {
            AuthorizationStatus::Valid => {}
            AuthorizationStatus::Pending => {
                let name = authorization.identifier().to_string();
                shown.push(show(&mut authorization, stage, &name, kind).await?);
            }
            _ => {
                let reason = format!("the authority's word on {} cannot be used", authorization.identifier());
                return Err(Failure { reason, kind: FailureKind::Refused });
            }
        }
    }
    Ok(shown)
}

/// Reads the authorizations that have not been read yet.
async fn read(order: &mut Order) -> Result<(), instant_acme::Error> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        authorization?;
    }
    Ok(())
}

async fn show<'a>(
    authorization: &'a mut AuthorizationHandle<'a>,
    stage: &Stage,
    name: &str,
    kind: Kind,
) -> Result<Shown, Failure> {
    let wanted = match kind {
        Kind::Http01 => ChallengeType::Http01,
        Kind::TlsAlpn01 => ChallengeType::TlsAlpn01,
        Kind::Dns01 => ChallengeType::Dns01,
    };
    let Some(mut challenge) = authorization.challenge(wanted) else {
        let reason = "the authority does not offer this challenge".to_owned();
        return Err(Failure { reason, kind: FailureKind::Challenge });
    };
    let text = challenge.key_authorization();
    let mut shown = match kind {
        Kind::Http01 => Shown::Here(stage.challenges.show_token(name, &challenge.token, text.as_str())),
        Kind::TlsAlpn01 => {
            let shown = stage.challenges.show_certificate(name, text.digest().as_ref());
            Shown::Here(shown.map_err(|trouble| Failure::other(trouble.to_string()))?)
        }
        Kind::Dns01 => {
            let dns = stage.dns.as_ref().ok_or_else(|| Failure::other("nobody is named who changes the zone"))?;
            let shown = dns.show(name, &text.dns_value()).await;
            // Another challenge may do, where there is one.
            Shown::InDns(shown.map_err(|failure| Failure { kind: FailureKind::Challenge, ..failure })?)
        }
    };
    if let Shown::Here(open) = &shown {
        stage.challenges.share(open).await;
    }
    let told = patiently!(challenge.set_ready());
    if told.is_err() {
        shown.take_back().await;
    }
    told?;
    Ok(shown)
}

/// What the authority saw stands with the challenge, not with the order.
async fn refusal(order: &mut Order, error: Option<instant_acme::Error>) -> Failure {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if patiently!(async { authorization.refresh().await.map(drop) }).is_err() {
            break;
        }
        let state = &*authorization;
        if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.clone()) {
            return Failure { kind: FailureKind::Challenge, ..problem.into() };
        }
    }
    match error {
        Some(error) => error.into(),
        None => {
            let reason = "the authority did not believe what it saw, and does not say why".to_owned();
            Failure { reason, kind: FailureKind::Refused }
        }
    }
}

/// A new key, as PEM, and the request for a certificate that has it, as DER.
async fn request(wanted: &Wanted<'_>) -> Result<(String, Vec<u8>), Failure> {
    let failed = |error: rcgen::Error| Failure::other(error.to_string());
    let mut params = CertificateParams::new(wanted.names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        .map_err(failed)?;
    params.distinguished_name = DistinguishedName::new();
    let key = wanted.key.make().await?;
    let request = params.serialize_request(&key).map_err(failed)?;
    Ok((key.serialize_pem(), request.der().to_vec()))
}
