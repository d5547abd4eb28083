//! The question whether a certificate still holds, and what is believed of the answer (RFC 6960, in the narrow form of RFC 5019).
//!
//! An answer is one for this certificate, of now, that says "good", and is signed by whoever signed the certificate or by
//! somebody whom that one has signed for this work.

use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

use super::der::{Item, Reader, tag, write};
use crate::tls::provider::provider;

/// 1.3.6.1.5.5.7.48.1: where a responder is.
const AT_RESPONDER: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01];
/// 1.3.6.1.5.5.7.48.1.1: the one kind of answer that there is.
const BASIC: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];
/// 1.3.14.3.2.26, SHA-1: nothing is secured by it, and responders know no other way to name a certificate (RFC 5019,
/// section 2.1.1).
const SHA1: &[u8] = &[0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00];
/// How far clocks may be apart.
const SKEW: time::Duration = time::Duration::minutes(5);

/// A certificate that can be asked about.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    /// Where: an `http` URL.
    pub responder: String,
    leaf: CertificateDer<'static>,
    issuer: CertificateDer<'static>,
}

/// What is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub bytes: Vec<u8>,
    pub since: OffsetDateTime,
    pub until: OffsetDateTime,
}

/// Why nothing is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Doubt {
    #[error("the responder does not answer the question (status {0})")]
    Refused(u8),
    #[error("the answer cannot be read")]
    Unreadable,
    #[error("the answer is for another certificate")]
    Another,
    #[error("the certificate is revoked")]
    Revoked,
    #[error("the responder does not know the certificate")]
    Unknown,
    #[error("the answer is not of now")]
    Stale,
    #[error("the answer is not signed by whoever signed the certificate")]
    Signature,
}

impl Subject {
    /// None where nobody can be asked: the certificate names no responder, or comes without its issuer.
    pub fn of(chain: &[CertificateDer<'static>]) -> Option<Self> {
        let [leaf, issuer, ..] = chain else { return None };
        let (_, parsed) = X509Certificate::from_der(leaf).ok()?;
        let responder = responder(&parsed)?;
        Some(Self { responder, leaf: leaf.clone(), issuer: issuer.clone() })
    }

    /// What is asked.
    pub fn question(&self) -> Option<Vec<u8>> {
        let id = self.id()?;
        let request = write(tag::SEQUENCE, &[&id]);
        let list = write(tag::SEQUENCE, &[&request]);
        let tbs = write(tag::SEQUENCE, &[&list]);
        Some(write(tag::SEQUENCE, &[&tbs]))
    }

    /// How the certificate is named (RFC 6960, section 4.1.1).
    fn id(&self) -> Option<Vec<u8>> {
        let (_, leaf) = X509Certificate::from_der(&self.leaf).ok()?;
        let (_, issuer) = X509Certificate::from_der(&self.issuer).ok()?;
        let octets = |bytes: &[u8]| {
            let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, bytes);
            write(tag::OCTETS, &[hash.as_ref()])
        };
        let name = octets(leaf.issuer().as_raw());
        let key = octets(&issuer.public_key().subject_public_key.data);
        let serial = write(tag::INTEGER, &[leaf.raw_serial()]);
        Some(write(tag::SEQUENCE, &[SHA1, &name, &key, &serial]))
    }

    /// Believes an answer, or says why not.
    pub fn judge(&self, bytes: &[u8], now: OffsetDateTime) -> Result<Answer, Doubt> {
        let signed = Signed::read(bytes)?;
        let single = Single::of(signed.data.content, &self.id().ok_or(Doubt::Unreadable)?)?;
        if !self.vouches(&signed, now) {
            return Err(Doubt::Signature);
        }
        match single.status {
            status if status == tag::primitive(0) => {}
            status if status == tag::constructed(1) => return Err(Doubt::Revoked),
            _ => return Err(Doubt::Unknown),
        }
        if single.since > now + SKEW || single.until <= now {
            return Err(Doubt::Stale);
        }
        Ok(Answer { bytes: bytes.to_vec(), since: single.since, until: single.until })
    }

    /// Whether the issuer has signed it, or somebody with a certificate of the issuer's for that (RFC 6960, section 4.2.2.2).
    fn vouches(&self, signed: &Signed<'_>, now: OffsetDateTime) -> bool {
        let Ok((_, issuer)) = X509Certificate::from_der(&self.issuer) else { return false };
        let is_signed_by =
            |key: &X509Certificate<'_>| verify(key, signed.data.whole, signed.algorithm, signed.signature);
        if is_signed_by(&issuer) {
            return true;
        }
        signed.certificates().any(|delegate| {
            let Ok((_, delegate)) = X509Certificate::from_der(delegate) else { return false };
            let validity = delegate.validity();
            let is_of_now = validity.not_before.to_datetime() <= now + SKEW && now < validity.not_after.to_datetime();
            let is_for_this =
                delegate.extended_key_usage().ok().flatten().is_some_and(|usage| usage.value.ocsp_signing);
            is_of_now
                && is_for_this
                && delegate.issuer().as_raw() == issuer.subject().as_raw()
                && is_certified(&delegate, &issuer)
                && is_signed_by(&delegate)
        })
    }
}

/// An answer in its envelope.
struct Signed<'a> {
    data: Item<'a>,
    /// What is in the algorithm's identifier.
    algorithm: &'a [u8],
    signature: &'a [u8],
    certificates: Option<Reader<'a>>,
}

impl<'a> Signed<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Doubt> {
        let mut whole = Reader::new(bytes);
        let mut response = whole.inside(tag::SEQUENCE).filter(|_| whole.is_empty()).ok_or(Doubt::Unreadable)?;
        match response.content(tag::ENUMERATED) {
            Some([0]) => {}
            Some([status]) => return Err(Doubt::Refused(*status)),
            _ => return Err(Doubt::Unreadable),
        }
        Self::basic(response).ok_or(Doubt::Unreadable)
    }

    fn basic(mut response: Reader<'a>) -> Option<Self> {
        let mut explicit = response.inside(tag::constructed(0))?;
        let mut kind = explicit.inside(tag::SEQUENCE)?;
        if kind.content(tag::OID)? != BASIC {
            return None;
        }
        let mut basic = kind.inside(tag::OCTETS)?.inside(tag::SEQUENCE)?;
        let data = basic.optional(tag::SEQUENCE)?;
        let algorithm = basic.content(tag::SEQUENCE)?;
        // No unused bits: a signature is whole bytes.
        let [0, signature @ ..] = basic.content(tag::BITS)? else { return None };
        let certificates = basic.inside(tag::constructed(0)).and_then(|mut list| list.inside(tag::SEQUENCE));
        Some(Self { data, algorithm, signature, certificates })
    }

    fn certificates(&self) -> impl Iterator<Item = &'a [u8]> {
        let mut list = self.certificates;
        // One is usual; what is long is meant to keep us busy.
        std::iter::from_fn(move || list.as_mut()?.optional(tag::SEQUENCE).map(|item| item.whole)).take(4)
    }
}

/// What is said of one certificate.
struct Single {
    /// The tag of a choice.
    status: u8,
    since: OffsetDateTime,
    until: OffsetDateTime,
}

impl Single {
    fn of(data: &[u8], id: &[u8]) -> Result<Self, Doubt> {
        let mut responses = Self::all(data).ok_or(Doubt::Unreadable)?;
        while let Some(mut single) = responses.inside(tag::SEQUENCE) {
            if single.any().is_some_and(|named| is_same(named.whole, id)) {
                return Self::read(single).ok_or(Doubt::Unreadable);
            }
        }
        Err(Doubt::Another)
    }

    fn all(data: &[u8]) -> Option<Reader<'_>> {
        let mut data = Reader::new(data);
        data.optional(tag::constructed(0));
        // By name or by key: who it is is known by the signature.
        data.optional(tag::constructed(1)).or_else(|| data.optional(tag::constructed(2)))?;
        data.content(tag::TIME)?;
        data.inside(tag::SEQUENCE)
    }

    /// Without a time at which there will be another answer it would be good for ever (RFC 5019, section 2.2.4, wants one).
    fn read(mut single: Reader<'_>) -> Option<Self> {
        let status = single.any()?.tag;
        let since = moment(single.content(tag::TIME)?)?;
        let until = moment(single.inside(tag::constructed(0))?.content(tag::TIME)?)?;
        Some(Self { status, since, until })
    }
}

/// Whether two names of a certificate are one: the parameters of SHA-1 may be NULL or not there.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let parts = |bytes| {
        let mut id = Reader::new(bytes).inside(tag::SEQUENCE)?;
        let algorithm = id.inside(tag::SEQUENCE)?.content(tag::OID)?;
        Some((algorithm, id.content(tag::OCTETS)?, id.content(tag::OCTETS)?, id.content(tag::INTEGER)?))
    };
    parts(one).is_some_and(|one| Some(one) == parts(other))
}

/// `20261121135224Z`, which is all that DER allows (RFC 5280, section 4.1.2.5.2).
fn moment(text: &[u8]) -> Option<OffsetDateTime> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z').filter(|digits| digits.len() == 14)?;
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u8>().ok();
    let year = text.get(..4)?.parse().ok()?;
    let month = time::Month::try_from(number(4, 6)?).ok()?;
    let date = time::Date::from_calendar_date(year, month, number(6, 8)?).ok()?;
    let time = time::Time::from_hms(number(8, 10)?, number(10, 12)?, number(12, 14)?).ok()?;
    Some(OffsetDateTime::new_utc(date, time))
}

/// The first `http` URL: a responder over TLS would have to be asked about by another one.
fn responder(leaf: &X509Certificate<'_>) -> Option<String> {
    let access = leaf.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityInfoAccess(access) => Some(access),
        _ => None,
    })?;
    let of_responder = |at: &x509_parser::extensions::AccessDescription<'_>| match at.access_location {
        GeneralName::URI(url) if at.access_method.as_bytes() == AT_RESPONDER => {
            url.starts_with("http://").then(|| url.to_owned())
        }
        _ => None,
    };
    access.accessdescs.iter().find_map(of_responder)
}

fn is_certified(certificate: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> bool {
    let Some(mut parts) = Reader::new(certificate.as_raw()).inside(tag::SEQUENCE) else { return false };
    let (Some(tbs), Some(algorithm)) = (parts.optional(tag::SEQUENCE), parts.content(tag::SEQUENCE)) else {
        return false;
    };
    verify(issuer, tbs.whole, algorithm, &certificate.signature_value.data)
}

/// By the algorithms that TLS knows, SHA-1 not among them.
fn verify(signer: &X509Certificate<'_>, message: &[u8], algorithm: &[u8], signature: &[u8]) -> bool {
    let spki = signer.public_key();
    let Some(kind) = Reader::new(spki.raw).inside(tag::SEQUENCE).and_then(|mut spki| spki.content(tag::SEQUENCE))
    else {
        return false;
    };
    provider().signature_verification_algorithms.all.iter().any(|known| {
        known.signature_alg_id().as_ref() == algorithm
            && known.public_key_alg_id().as_ref() == kind
            && known.verify_signature(&spki.subject_public_key.data, message, signature).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, KeyPair, SigningKey};
    use rustls::pki_types::pem::PemObject;

    use super::*;
    use crate::tls::certificate::tests::World;

    const ECDSA_SHA256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
    const GOOD: u8 = tag::primitive(0);

    fn subject(world: &World) -> Subject {
        let url = write(0x86, &[b"http://127.0.0.1:1/ocsp"]);
        let access = write(tag::SEQUENCE, &[&write(tag::OID, &[AT_RESPONDER]), &url]);
        let access = write(tag::SEQUENCE, &[&access]);
        let signed = world.sign_with(&["a.test"], |params| {
            let extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], access);
            params.custom_extensions.push(extension);
        });
        let chain: Vec<_> = CertificateDer::pem_slice_iter(signed.chain.as_bytes()).map(Result::unwrap).collect();
        assert!(Subject::of(&chain[..1]).is_none(), "without its issuer");
        Subject::of(&chain).unwrap()
    }

    fn now() -> OffsetDateTime {
        OffsetDateTime::now_utc().replace_nanosecond(0).unwrap()
    }

    fn time(at: OffsetDateTime) -> Vec<u8> {
        let (date, time) = (at.date(), at.time());
        let text = format!(
            "{:04}{:02}{:02}{:02}{:02}{:02}Z",
            date.year(),
            u8::from(date.month()),
            date.day(),
            time.hour(),
            time.minute(),
            time.second()
        );
        write(tag::TIME, &[text.as_bytes()])
    }

    /// What a responder would say, from hours before now to hours after it.
    fn answer(id: &[u8], status: u8, hours: (i64, i64), key: &KeyPair, certificates: &[&[u8]]) -> Vec<u8> {
        let at = |hours| time(now() + time::Duration::hours(hours));
        let until = write(tag::constructed(0), &[&at(hours.1)]);
        let revoked = if status == tag::constructed(1) { at(-1) } else { Vec::new() };
        let single = write(tag::SEQUENCE, &[id, &write(status, &[&revoked]), &at(hours.0), &until]);
        let list = write(tag::SEQUENCE, &[&single]);
        let who = write(tag::constructed(2), &[&write(tag::OCTETS, &[&[1; 20]])]);
        let data = write(tag::SEQUENCE, &[&who, &at(0), &list]);
        let signature = write(tag::BITS, &[&[0], &key.sign(&data).unwrap()]);
        let certificates = match certificates {
            [] => Vec::new(),
            all => write(tag::constructed(0), &[&write(tag::SEQUENCE, all)]),
        };
        let basic = write(tag::SEQUENCE, &[&data, &write(tag::SEQUENCE, &[ECDSA_SHA256]), &signature, &certificates]);
        let kind = write(tag::SEQUENCE, &[&write(tag::OID, &[BASIC]), &write(tag::OCTETS, &[&basic])]);
        write(tag::SEQUENCE, &[&write(tag::ENUMERATED, &[&[0]]), &write(tag::constructed(0), &[&kind])])
    }

    fn judged(world: &World, subject: &Subject, status: u8, hours: (i64, i64)) -> Result<Answer, Doubt> {
        subject.judge(&answer(&subject.id().unwrap(), status, hours, world.issuer.key(), &[]), now())
    }

    #[test]
    fn what_is_good_of_now_and_of_the_issuer_is_believed() {
        let world = World::new();
        let subject = subject(&world);
        assert_eq!(subject.responder, "http://127.0.0.1:1/ocsp");
        let believed = judged(&world, &subject, GOOD, (-1, 12)).unwrap();
        assert_eq!((believed.until - believed.since).whole_hours(), 13);
        for (status, hours, doubt) in [
            (tag::constructed(1), (-1, 12), Doubt::Revoked),
            (tag::primitive(2), (-1, 12), Doubt::Unknown),
            (GOOD, (-12, -1), Doubt::Stale),
            (GOOD, (1, 12), Doubt::Stale),
        ] {
            assert_eq!(judged(&world, &subject, status, hours), Err(doubt));
        }
        let other = World::new();
        assert_eq!(judged(&other, &subject, GOOD, (-1, 12)), Err(Doubt::Signature));
        let of_another = answer(&self::subject(&world).id().unwrap(), GOOD, (-1, 12), world.issuer.key(), &[]);
        assert_eq!(subject.judge(&of_another, now()), Err(Doubt::Another));
        let busy = write(tag::SEQUENCE, &[&write(tag::ENUMERATED, &[&[3]])]);
        assert_eq!(subject.judge(&busy, now()), Err(Doubt::Refused(3)));
    }

    #[test]
    fn somebody_else_is_believed_whom_the_issuer_has_made_a_responder() {
        let (world, other) = (World::new(), World::new());
        let subject = subject(&world);
        let made = |world: &World, usage: ExtendedKeyUsagePurpose, change: fn(&mut CertificateParams)| {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.extended_key_usages = vec![usage];
            (params.not_before, params.not_after) = (now() - time::Duration::DAY, now() + time::Duration::DAY);
            change(&mut params);
            let certificate = params.signed_by(&key, &world.issuer).unwrap();
            let bytes = answer(&subject.id().unwrap(), GOOD, (-1, 12), &key, &[certificate.der()]);
            subject.judge(&bytes, now()).map(drop)
        };
        assert_eq!(made(&world, ExtendedKeyUsagePurpose::OcspSigning, |_| ()), Ok(()));
        assert_eq!(made(&world, ExtendedKeyUsagePurpose::ServerAuth, |_| ()), Err(Doubt::Signature));
        assert_eq!(made(&other, ExtendedKeyUsagePurpose::OcspSigning, |_| ()), Err(Doubt::Signature));
        let ended = |params: &mut CertificateParams| params.not_after = now() - time::Duration::HOUR;
        assert_eq!(made(&world, ExtendedKeyUsagePurpose::OcspSigning, ended), Err(Doubt::Signature));
    }

    #[test]
    fn nothing_that_was_changed_or_cut_short_is_believed() {
        let world = World::new();
        let subject = subject(&world);
        let bytes = answer(&subject.id().unwrap(), GOOD, (-1, 12), world.issuer.key(), &[]);
        for at in 0..bytes.len() {
            assert!(subject.judge(&bytes[..at], now()).is_err(), "{at}");
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            // Who the responder says it is means nothing: its signature does.
            assert!(subject.judge(&changed, now()).is_err(), "{at}");
        }
    }
}
