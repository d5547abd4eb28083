//! The question whether a certificate still holds, and what is believed of the answer (RFC 6960, in the narrow form of RFC 5019).
//!
//! An answer is one for this certificate, of now, that says "good", and is signed by whoever signed the certificate or by
//! somebody whom that one has signed for this work.

use std::time::Duration;

use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer, UnixTime};
use time::OffsetDateTime;
use webpki::{EndEntityCert, KeyUsage, RawPublicKeyEntity, anchor_from_trusted_cert};
use x509_parser::asn1_rs::GeneralizedTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::OID_PKIX_ACCESS_DESCRIPTOR_OCSP;
use x509_parser::prelude::FromDer;

use super::der::{Item, Reader, tag, write};
use crate::tls::provider::provider;

/// 1.3.6.1.5.5.7.48.1.1: the one kind of answer that there is.
const BASIC: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];
/// 1.3.14.3.2.26, SHA-1: nothing is secured by it, and responders know no other way to name a certificate (RFC 5019,
/// section 2.1.1).
const SHA1: &[u8] = &[0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00];
/// 1.3.6.1.5.5.7.3.9: what the certificate of a responder is for.
const FOR_RESPONDERS: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x09];
/// How far clocks may be apart.
const SKEW: time::Duration = time::Duration::minutes(5);

/// A certificate that can be asked about.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Where: an `http` URL.
    pub responder: String,
    leaf: CertificateDer<'static>,
    issuer: CertificateDer<'static>,
}

/// What is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub bytes: Vec<u8>,
    pub since: OffsetDateTime,
    pub until: OffsetDateTime,
}

/// Why nothing is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
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

    /// Whether the issuer has signed it, or somebody whom the issuer itself has made a responder (RFC 6960, section 4.2.2.2).
    fn vouches(&self, signed: &Signed<'_>, now: OffsetDateTime) -> bool {
        signed.is_by(&self.issuer)
            || signed.certificates().any(|delegate| self.has_made(&delegate, now) && signed.is_by(&delegate))
    }

    fn has_made(&self, delegate: &CertificateDer<'_>, now: OffsetDateTime) -> bool {
        let (Ok(issuer), Ok(delegate)) = (anchor_from_trusted_cert(&self.issuer), EndEntityCert::try_from(delegate))
        else {
            return false;
        };
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now.unix_timestamp().unsigned_abs()));
        let usage = KeyUsage::required(FOR_RESPONDERS);
        delegate.verify_for_usage(algorithms(), &[issuer], &[], now, usage, None, None).is_ok()
    }
}

/// Those that TLS knows, SHA-1 not among them.
fn algorithms() -> &'static [&'static dyn SignatureVerificationAlgorithm] {
    provider().signature_verification_algorithms.all
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

    fn certificates(&self) -> impl Iterator<Item = CertificateDer<'a>> {
        let mut list = self.certificates;
        let next = move || list.as_mut()?.optional(tag::SEQUENCE).map(|item| CertificateDer::from(item.whole));
        // One is usual; what is long is meant to keep us busy.
        std::iter::from_fn(next).take(4)
    }

    /// Whether the key of this certificate has signed it.
    fn is_by(&self, signer: &CertificateDer<'_>) -> bool {
        let Ok((_, signer)) = X509Certificate::from_der(signer) else { return false };
        let key = SubjectPublicKeyInfoDer::from(signer.public_key().raw);
        let Ok(key) = RawPublicKeyEntity::try_from(&key) else { return false };
        let mut named = algorithms().iter().filter(|known| known.signature_alg_id().as_ref() == self.algorithm);
        named.any(|known| key.verify_signature(*known, self.data.whole, self.signature).is_ok())
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

/// `20261121135224Z`, which is all that DER allows (RFC 5280, section 4.1.2.5.2). What the library takes beyond that is longer
/// or ends otherwise.
fn moment(text: &[u8]) -> Option<OffsetDateTime> {
    let is_der = text.len() == 15 && text.ends_with(b"Z");
    GeneralizedTime::from_bytes(text).ok().filter(|_| is_der)?.utc_datetime().ok()
}

/// The first `http` URL: a responder over TLS would have to be asked about by another one.
fn responder(leaf: &X509Certificate<'_>) -> Option<String> {
    let access = leaf.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityInfoAccess(access) => Some(access),
        _ => None,
    })?;
    let of_responder = |at: &x509_parser::extensions::AccessDescription<'_>| match at.access_location {
        GeneralName::URI(url) if at.access_method == OID_PKIX_ACCESS_DESCRIPTOR_OCSP => {
            url.starts_with("http://").then(|| url.to_owned())
        }
        _ => None,
    };
    access.accessdescs.iter().find_map(of_responder)
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
        let access = write(tag::SEQUENCE, &[&write(tag::OID, &[OID_PKIX_ACCESS_DESCRIPTOR_OCSP.as_bytes()]), &url]);
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
    fn a_moment_is_written_in_one_way() {
        let at = |text: &str| moment(text.as_bytes()).map(OffsetDateTime::unix_timestamp);
        assert_eq!(at("20261121135224Z"), Some(1_795_269_144));
        assert_eq!(at("99991231235959Z").map(|_| ()), Some(()));
        for text in [
            "20261121135224",
            "20261121135224.5Z",
            "202611211352.5Z",
            "2026112113522Z",
            "20261121135260Z",
            "20260229135224Z",
            "20261121135224+0100",
            "+0261121135224Z",
            "20261121+3+2+4Z",
            "202611211352 4Z",
            "",
        ] {
            assert_eq!(at(text), None, "{text}");
        }
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
