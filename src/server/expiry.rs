//! Says in the log, in time and once a day, that a certificate is about to end and nobody has brought another one.

use std::collections::BTreeMap;

use time::{Duration, OffsetDateTime};

use super::certificates::held;
use crate::model::World;
use crate::tls::Certificate;

/// Of a long life it is enough to be told three weeks before its end.
const LONGEST: Duration = Duration::weeks(3);

/// What has been said, of which certificate, and when.
#[derive(Debug, Default)]
pub struct Expiry {
    told: BTreeMap<[u8; 32], (Stage, OffsetDateTime)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Less than a sixth of its life is left: what renews by itself would have done so at a third, or the half.
    Soon,
    Over,
}

impl Expiry {
    pub fn look(&mut self, world: &World, now: OffsetDateTime) {
        let all = held(world);
        self.told.retain(|known, _| all.iter().any(|(_, _, certificate)| certificate.fingerprint() == known));
        for (name, source, certificate) in &all {
            let Some(stage) = self.news(certificate, now) else { continue };
            let (issuer, until) = (certificate.issuer(), certificate.not_after().date());
            match stage {
                Stage::Soon => {
                    let days = (certificate.not_after() - now).whole_days();
                    tracing::warn!(name, source, issuer, %until, days, "certificate ends soon");
                }
                Stage::Over => tracing::error!(name, source, issuer, %until, "certificate has ended"),
            }
        }
    }

    /// What is to be told now.
    fn news(&mut self, certificate: &Certificate, now: OffsetDateTime) -> Option<Stage> {
        let stage = stage(certificate, now)?;
        let known = self.told.get(certificate.fingerprint());
        if known.is_some_and(|(told, at)| *told == stage && now - *at < Duration::DAY) {
            return None;
        }
        self.told.insert(*certificate.fingerprint(), (stage, now));
        Some(stage)
    }
}

fn stage(certificate: &Certificate, now: OffsetDateTime) -> Option<Stage> {
    let life = certificate.not_after() - certificate.not_before();
    match certificate.not_after() - now {
        left if left <= Duration::ZERO => Some(Stage::Over),
        left if left < (life / 6_i32).min(LONGEST) => Some(Stage::Soon),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_once_a_day_and_when_it_is_over() {
        let (days, now) = (Duration::days, OffsetDateTime::now_utc());
        let mut params = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (now - days(30), now + days(60));
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let certificate = Certificate::from_pem(pem.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        let mut expiry = Expiry::default();
        assert_eq!(expiry.news(&certificate, now + days(44)), None);
        let soon = now + days(46);
        assert_eq!(expiry.news(&certificate, soon), Some(Stage::Soon));
        assert_eq!(expiry.news(&certificate, soon + Duration::hours(23)), None);
        assert_eq!(expiry.news(&certificate, soon + days(1)), Some(Stage::Soon));
        assert_eq!(expiry.news(&certificate, now + days(61)), Some(Stage::Over));
        assert_eq!(expiry.news(&certificate, now + days(61)), None);
    }
}
