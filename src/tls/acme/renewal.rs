//! When a certificate is renewed: at a moment within the window that its authority suggests (RFC 9773), else when a part
//! of its life is left.

use std::sync::LazyLock;
use std::time::Duration;

use instant_acme::{Account, CertificateIdentifier};
use time::OffsetDateTime;

use super::failure::{Failure, FailureKind};
use crate::tls::Certificate;

/// An authority that names no time is asked again after a day (RFC 9773, section 4.3.2, lets it be any sensible one).
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);
/// After a failure (RFC 9773, section 4.3.3).
pub(super) const SIX_HOURS: Duration = Duration::from_secs(6 * 3600);
/// Nobody is asked more often than this, whatever it says.
const MINUTE: Duration = Duration::from_secs(60);

/// What an authority says of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    pub start: OffsetDateTime,
    pub end: OffsetDateTime,
    /// When it may be asked again.
    pub again: Duration,
}

/// Asks the authority that has signed it.
pub(super) async fn ask(account: &Account, certificate: &Certificate) -> Result<Advice, Failure> {
    let identifier = identifier(certificate)?;
    let (info, again) = account.renewal_info(&identifier).await?;
    let window = info.suggested_window;
    if window.end <= window.start {
        return Err(Failure::other("the authority suggests a window that ends before it begins"));
    }
    Ok(Advice { start: window.start, end: window.end, again: again.clamp(MINUTE, DAY) })
}

/// What a certificate is called when its authority is asked about it (RFC 9773, section 4.1).
pub(super) fn identifier(certificate: &Certificate) -> Result<CertificateIdentifier<'static>, Failure> {
    let nameless = |reason: String| Failure { reason, kind: FailureKind::Unsupported };
    let leaf = certificate.key().cert.first().ok_or_else(|| nameless("there is no certificate".to_owned()))?;
    CertificateIdentifier::try_from(leaf).map(CertificateIdentifier::into_owned).map_err(nameless)
}

/// A random moment within the window, the same for all names that show the certificate, and never one at which less than a
/// tenth of the life is left: nobody is helped by a suggestion to be late.
pub(super) fn moment(advice: &Advice, certificate: &Certificate) -> OffsetDateTime {
    let life = certificate.not_after() - certificate.not_before();
    let chosen = advice.start + (advice.end - advice.start) * share(certificate);
    chosen.min(certificate.not_after() - life / 10)
}

/// Without advice: [`Certificate::renewal`], and up to a hundredth of the life later, since certificates that came
/// together should not all be renewed together.
pub(super) fn by_age(certificate: &Certificate) -> OffsetDateTime {
    let life = certificate.not_after() - certificate.not_before();
    certificate.renewal() + life * (share(certificate) / 100.0)
}

/// From 0 to 1, as random as the certificate, so that no name of several goes before the others. Each process has its own: of
/// instances that share a storage one should come first, and the others find what it got.
fn share(certificate: &Certificate) -> f64 {
    static OURS: LazyLock<f64> = LazyLock::new(fraction);
    let [a, b, c, d, ..] = *certificate.fingerprint();
    (part(u32::from_be_bytes([a, b, c, d])) + *OURS).fract()
}

/// From 0 to 1. Without random bytes there is no TLS either; then all come at once.
pub(super) fn fraction() -> f64 {
    let mut random = [0; 4];
    let _ = aws_lc_rs::rand::fill(&mut random);
    part(u32::from_ne_bytes(random))
}

fn part(number: u32) -> f64 {
    f64::from(number) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::certificate::tests::World;

    #[test]
    fn a_moment_lies_in_the_window_and_before_the_end() {
        let now = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap();
        let days = |count| time::Duration::days(count);
        let world = World::new();
        let read = || {
            let signed = world.sign_with(&["a.test"], |params| {
                (params.not_before, params.not_after) = (now - days(10), now + days(80));
            });
            [(); 2].map(|()| Certificate::from_pem(signed.chain.as_bytes(), signed.key.as_bytes()).unwrap())
        };
        let advice = |from, to| Advice { start: now + days(from), end: now + days(to), again: DAY };
        let mut chosen = Vec::new();
        for [one, same] in [(); 20].map(|()| read()) {
            let at = moment(&advice(20, 22), &one);
            assert!((now + days(20)..=now + days(22)).contains(&at));
            assert_eq!((at, by_age(&one)), (moment(&advice(20, 22), &same), by_age(&same)), "names stay together");
            chosen.push(at);
        }
        chosen.dedup();
        assert!(chosen.len() > 1, "certificates do not");
        let [certificate, _] = read();
        assert_eq!(moment(&advice(100, 101), &certificate), now + days(71));
        assert!(moment(&advice(-9, -8), &certificate) < now);
        let by_age = by_age(&certificate);
        assert!((now + days(50)..=now + days(51)).contains(&by_age));
        // Whoever signed it does not say by which key, and so it has no name of this kind.
        assert_eq!(identifier(&certificate).unwrap_err().kind, FailureKind::Unsupported);
    }
}
