//! Certificates, and the chain that a token brings along.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use x509_parser::extensions::ParsedExtension;
use x509_parser::oid_registry::{OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::x509::SubjectPublicKeyInfo;

use super::key::Key;

/// The longest chain, the root left out.
const MAX_CHAIN: usize = 10;

/// A certificate, with what a chain asks of it.
pub(super) struct Certificate {
    der: Vec<u8>,
    subject: Vec<u8>,
    issuer: Vec<u8>,
    public_key: Vec<u8>,
    /// The seconds since 1970 within which it is good.
    valid: (i64, i64),
    /// `None` for one that may not sign others; else how many authorities may stand between it and the leaf.
    authority: Option<u32>,
}

impl Certificate {
    /// `None` for what is no certificate, says a thing twice, or makes a critical demand that is not known here.
    pub(super) fn parse(der: &[u8]) -> Option<Self> {
        let (b"", parsed) = X509Certificate::from_der(der).ok()? else { return None };
        let is_known = |extension: &ParsedExtension<'_>| {
            matches!(
                extension,
                ParsedExtension::BasicConstraints(_)
                    | ParsedExtension::KeyUsage(_)
                    | ParsedExtension::ExtendedKeyUsage(_)
                    | ParsedExtension::SubjectAlternativeName(_)
            )
        };
        let mut extensions = parsed.extensions().iter();
        if extensions.any(|extension| extension.critical && !is_known(extension.parsed_extension())) {
            return None;
        }
        let constraints = parsed.basic_constraints().ok()?.map(|extension| extension.value);
        let may_sign = parsed.key_usage().ok()?.is_none_or(|extension| extension.value.key_cert_sign());
        let authority = constraints.filter(|constraints| constraints.ca && may_sign);
        Some(Self {
            der: der.to_owned(),
            subject: parsed.subject().as_raw().to_owned(),
            issuer: parsed.issuer().as_raw().to_owned(),
            public_key: parsed.public_key().raw.to_owned(),
            valid: (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp()),
            authority: authority.map(|constraints| constraints.path_len_constraint.unwrap_or(u32::MAX)),
        })
    }

    /// The public key: a `SubjectPublicKeyInfo` in DER.
    pub(super) fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// Whether this one was signed by `issuer`, with `between` authorities from there to the leaf.
    fn is_signed_by(&self, issuer: &Self, between: usize) -> bool {
        let may_sign = issuer.authority.is_some_and(|most| between <= most as usize);
        may_sign && self.issuer == issuer.subject && self.has_signature_of(&issuer.public_key).unwrap_or(false)
    }

    fn has_signature_of(&self, public_key: &[u8]) -> Option<bool> {
        let (_, parsed) = X509Certificate::from_der(&self.der).ok()?;
        let (_, key) = SubjectPublicKeyInfo::from_der(public_key).ok()?;
        let algorithm = &parsed.signature_algorithm;
        // Two certificates with one SHA-1 can be made.
        let is_weak = algorithm.algorithm == OID_PKCS1_SHA1WITHRSA || algorithm.algorithm == OID_SHA1_WITH_RSA;
        let is_consistent = *algorithm == parsed.tbs_certificate.signature;
        Some(!is_weak && is_consistent && parsed.verify_signature(Some(&key)).is_ok())
    }

    fn is_valid_at(&self, now: i64) -> bool {
        (self.valid.0..=self.valid.1).contains(&now)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("valid", &self.valid).finish_non_exhaustive()
    }
}

/// The key of the first certificate of an `x5c` (RFC 7515 §4.1.6), if the chain ends at one of `roots`; each
/// certificate signs the one before. `now` are seconds since 1970.
pub(super) fn key_of_chain(x5c: &[String], roots: &[Arc<Certificate>], now: i64) -> Option<Key> {
    if x5c.len() > MAX_CHAIN {
        return None;
    }
    let decoded = x5c.iter().map(|text| Certificate::parse(&STANDARD.decode(text).ok()?));
    let chain = decoded.collect::<Option<Vec<_>>>()?;
    let leaf = chain.first()?;
    if !leads_to_root(&chain, roots, now) {
        return None;
    }
    let (_, info) = SubjectPublicKeyInfo::from_der(&leaf.public_key).ok()?;
    Key::public(&info).ok()
}

fn leads_to_root(chain: &[Certificate], roots: &[Arc<Certificate>], now: i64) -> bool {
    for (index, certificate) in chain.iter().enumerate() {
        if !certificate.is_valid_at(now) {
            return false;
        }
        let mut valid = roots.iter().filter(|root| root.is_valid_at(now));
        if valid.any(|root| root.der == certificate.der || certificate.is_signed_by(root, index)) {
            return true;
        }
        if !chain.get(index + 1).is_some_and(|issuer| certificate.is_signed_by(issuer, index)) {
            return false;
        }
    }
    false
}
