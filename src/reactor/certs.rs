//! Certificates and keys: read once at the start, and again when the configuration is reloaded.
//!
//! Whatever is wrong with them is an error of the configuration, told with the setting, the file
//! and what to do, before the first client connects.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::tls::{ClientTls, ServerTls};
use crate::base::{Failure, Printable, cause, exit};
use crate::config::{Config, NextServerSettings, TlsPolicy};

/// Octets of a file with certificates or a key.
const MAX_FILE: u64 = 4 << 20;

/// All that TLS needs to know of the configuration.
#[derive(Clone, Default, Debug)]
pub struct Certs {
    /// Our own certificate and key; none: no TLS inbound.
    pub server: Option<ServerTls>,
    /// For each next server, by name; none where it is spoken to in the clear.
    pub clients: HashMap<String, ClientTls>,
    /// For servers outside the configuration, which `resend` and `replay` visit.
    pub stranger: Option<ClientTls>,
    /// What is not wrong but should not be so.
    pub warnings: Vec<String>,
}

impl Certs {
    /// Reads the files that the configuration names. All that is wrong is told at once.
    pub fn load(config: &Config) -> Result<Certs, Failure> {
        let (mut certs, mut errors) = (Certs::default(), vec![]);
        if let Some(tls) = &config.tls {
            match identity(&tls.certificate, &tls.key) {
                Ok(server) => certs.server = Some(server),
                Err(e) => errors.push(e),
            }
            certs.warnings.extend(readable_by_others(&tls.key));
        }
        match spoken_to_with(None, false) {
            Ok(client) => certs.stranger = Some(client),
            Err(e) => errors.push(e),
        }
        let mut system = None;
        for server in &config.next_servers {
            match client(server, &mut system) {
                Ok(client) => drop(certs.clients.insert(server.name.clone(), client)),
                Err(e) => errors.push(e),
            }
        }
        if errors.is_empty() {
            return Ok(certs);
        }
        let lines: Vec<String> =
            errors.into_iter().map(|e| Printable::new(e).into_string()).collect();
        Err(Failure::new(exit::CONFIG, lines.join("\n")))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The server's side: its certificate with the chain, and the key to it.
fn identity(certificate: &Path, key: &Path) -> Result<ServerTls, String> {
    let chain = certificates("tls.certificate", certificate)?;
    let secret = private_key(key)?;
    let config = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, secret);
    let config = config.map_err(|e| match e {
        Error::InconsistentKeys(_) => format!(
            "tls.key: {} is not the key to the certificate {}; the certificate of the server \
             itself must come first in its file",
            key.display(),
            certificate.display()
        ),
        e => format!("tls.certificate: {}: {e}", certificate.display()),
    })?;
    Ok(Arc::new(config))
}

fn read(setting: &str, path: &Path) -> Result<Vec<u8>, String> {
    let wrong = |e| format!("{setting}: cannot read {}: {}", path.display(), cause(&e));
    let about = fs::metadata(path).map_err(wrong)?;
    if !about.is_file() || about.len() > MAX_FILE {
        return Err(format!("{setting}: {} is no file of PEM", path.display()));
    }
    fs::read(path).map_err(wrong)
}

fn certificates(setting: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = read(setting, path)?;
    let all: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(format!(
            "{setting}: {} has no certificate in it; PEM is wanted: -----BEGIN CERTIFICATE-----",
            path.display()
        )),
        Err(e) => Err(format!("{setting}: {} is damaged: {e}", path.display())),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let text = read("tls.key", path)?;
    let locked = String::from_utf8_lossy(&text).contains("ENCRYPTED");
    PrivateKeyDer::from_pem_slice(&text).map_err(|e| {
        let hint = match e {
            _ if locked => "is locked by a password; write it without: openssl pkey -in … -out …",
            pem::Error::NoItemsFound => {
                "has no private key in it; PEM is wanted: -----BEGIN PRIVATE KEY-----"
            }
            _ => return format!("tls.key: {} is damaged: {e}", path.display()),
        };
        format!("tls.key: {} {hint}", path.display())
    })
}

fn readable_by_others(path: &Path) -> Option<String> {
    let mode = fs::metadata(path).ok()?.mode();
    (mode & 0o004 != 0).then(|| {
        format!("tls.key: every user of this machine can read {0}; chmod 600 {0}", path.display())
    })
}

/// How this next server is spoken to. The system's roots are read once, when somebody needs them.
fn client(
    server: &NextServerSettings,
    system: &mut Option<Arc<RootCertStore>>,
) -> Result<ClientTls, String> {
    if server.tls == TlsPolicy::None {
        // Only scouts use it.
        return spoken_to_with(None, false);
    }
    let mut named = Vec::new();
    let roots = match &server.ca_file {
        Some(path) => {
            let setting = format!("{}.ca_file", server.section());
            let mut roots = RootCertStore::empty();
            named = certificates(&setting, path)?;
            for certificate in &named {
                roots.add(certificate.clone()).map_err(|e| {
                    format!("{setting}: {} has a certificate that is none: {e}", path.display())
                })?;
            }
            Arc::new(roots)
        }
        None => system.get_or_insert_with(system_roots).clone(),
    };
    let strict = server.verify;
    if strict && roots.is_empty() {
        return Err(format!(
            "{0}.verify: this machine has no root certificates to check by; install \
             ca-certificates, or name some in {0}.ca_file",
            server.section()
        ));
    }
    let roots = WebPkiServerVerifier::builder_with_provider(roots, provider()).build().ok();
    spoken_to_with(roots.map(|roots| Arc::new(Judge { roots, named })), strict)
}

/// Whoever is `strict` has a verifier.
fn spoken_to_with(verifier: Option<Arc<Judge>>, strict: bool) -> Result<ClientTls, String> {
    let builder = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .dangerous();
    let config = match &verifier {
        Some(verifier) if strict => builder.with_custom_certificate_verifier(verifier.clone()),
        _ => builder.with_custom_certificate_verifier(Arc::new(Anybody(provider()))),
    };
    let config = Arc::new(config.with_no_client_auth());
    Ok(ClientTls { config, verifier, strict })
}

fn system_roots() -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Arc::new(roots)
}

/// Measures a server's certificate by roots, as everybody does; and takes one that stands in
/// `ca_file` itself, when name and time are right. Such a one signs itself and often calls itself
/// an authority, as `openssl req -x509` makes it, which by RFC 5280 no server's certificate may.
#[derive(Debug)]
pub struct Judge {
    roots: Arc<WebPkiServerVerifier>,
    named: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.roots.verify_server_cert(certificate, chain, name, ocsp, now) {
            // Its time was looked at before: one that has expired has another error.
            Err(e) if is_no_servers(&e) && self.named.iter().any(|n| n == certificate) => {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.roots.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.roots.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.roots.supported_verify_schemes()
    }
}

/// A certificate that calls itself an authority stands where a server's should.
pub(super) fn is_no_servers(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(why)) = error else { return false };
    why.0.to_string() == "CaUsedAsEndEntity"
}

/// Takes any certificate: against who only listens, a key from anybody is better than none. What
/// a check would have said is in the transcript all the same.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
