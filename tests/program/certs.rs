//! Certificates for trials: an authority, and what it signs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use tempfile::TempDir;

/// An authority, and a folder for its certificate and those that it signs.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

/// A certificate and the key to it, as files.
pub struct Identity {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("authority {}", NUMBER.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        let authority = Authority { issuer, dir: TempDir::new().unwrap() };
        std::fs::write(authority.file(), authority.issuer.pem()).unwrap();
        authority
    }

    /// Its own certificate, for `ca_file`.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// A certificate for this name.
    pub fn sign(&self, name: &str) -> Identity {
        self.write(name, params(name))
    }

    /// One that was good until the year 2001.
    pub fn sign_expired(&self, name: &str) -> Identity {
        let mut params = params(name);
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
        self.write(name, params)
    }

    /// One that signs itself.
    pub fn self_signed(&self, name: &str) -> Identity {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        self.files("self", &made.cert.pem(), &made.signing_key.serialize_pem())
    }

    /// One that signs itself and calls itself an authority, as `openssl req -x509` makes it; it
    /// is good until this year.
    pub fn home_made(&self, name: &str, until: i32) -> Identity {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        self.files(&format!("home{until}"), &certificate.pem(), &key.serialize_pem())
    }

    fn write(&self, name: &str, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.files(name, &certificate.pem(), &key.serialize_pem())
    }

    fn files(&self, name: &str, certificate: &str, key: &str) -> Identity {
        let path = |end: &str| self.dir.path().join(format!("{name}{end}"));
        let identity = Identity { certificate: path(".crt"), key: path(".key") };
        std::fs::write(&identity.certificate, certificate).unwrap();
        std::fs::write(&identity.key, key).unwrap();
        private(&identity.key);
        identity
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}
