//! TLS on one connection: rustls between the socket and the octets that the machines see.
//!
//! ```text
//!   socket ─read_tls─▶ records ─process_new_packets─▶ plaintext ─reader─▶ machine
//!   socket ◀write_tls─ records ◀──────────────────────────────────writer─ machine
//! ```
//!
//! rustls does no I/O: it is a machine as ours are. What it holds on its way is bounded (64 KiB
//! out, a record in), and an idle session's share of that is a buffer of 4 KiB.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::ClientConnection;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::server::ServerConnection;
use rustls::{AlertDescription, CertificateError, Connection, Error, ProtocolVersion};

use super::certs::{Judge, is_no_servers};
use super::net::Net;
use crate::auth::{BINDING_LABEL, Binding};

/// A TLS connection on a socket.
#[derive(Debug)]
pub struct Tls<S> {
    /// The socket.
    pub stream: S,
    connection: Connection,
    /// The first octets from the peer: who does not speak TLS is known by them.
    first: [u8; 4],
    ended: bool,
    /// Outbound: for the word about its certificate.
    asked: Option<(ServerName<'static>, ClientTls)>,
}

/// Our own certificate and the key to it, as rustls wants them.
pub type ServerTls = Arc<rustls::ServerConfig>;

/// How next servers are spoken to, one of these for each.
#[derive(Clone, Debug)]
pub struct ClientTls {
    /// Shared by all connections to the server, and with it the sessions that can be resumed.
    pub config: Arc<rustls::ClientConfig>,
    /// What its certificate is measured by; none where there are no roots.
    pub verifier: Option<Arc<Judge>>,
    /// A certificate that is wrong ends the connection.
    pub strict: bool,
}

impl<S> Tls<S> {
    /// The server's side.
    pub fn server(stream: S, config: &ServerTls) -> io::Result<Tls<S>> {
        let connection = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
        Ok(Tls::new(stream, connection.into(), None))
    }

    /// The client's side; `host` is the name that the certificate is to have.
    pub fn client(
        stream: S,
        client: &ClientTls,
        host: &str,
        peer: SocketAddr,
    ) -> io::Result<Tls<S>> {
        let name = match ServerName::try_from(host.to_owned()) {
            Ok(name) => name,
            Err(_) if client.strict => {
                return Err(io::Error::other(format!("no certificate can be for '{host}'")));
            }
            // A name with an underscore, say: then without SNI.
            Err(_) => peer.ip().into(),
        };
        let connection =
            ClientConnection::new(client.config.clone(), name.clone()).map_err(io::Error::other)?;
        Ok(Tls::new(stream, connection.into(), Some((name, client.clone()))))
    }

    fn new(
        stream: S,
        connection: Connection,
        asked: Option<(ServerName<'static>, ClientTls)>,
    ) -> Tls<S> {
        Tls { stream, connection, first: [0; 4], ended: false, asked }
    }

    /// The handshake is not over.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// What came first from the peer is TLS: a record of type handshake or alert (RFC 8446 section
    /// 5.1).
    pub fn is_answered(&self) -> bool {
        matches!(self.first, [0x15 | 0x16, 3, ..])
    }

    /// Records wait to be written.
    pub fn wants_write(&self) -> bool {
        self.connection.wants_write()
    }

    /// Reads plaintext. WouldBlock says that rustls holds none *and* that the socket is dry, so a
    /// caller that stops earlier has to come back by itself (I3). 0 is the peer's close_notify; an
    /// end without it is an error, since anybody may have cut the connection there.
    pub fn read<N: Net<Stream = S>>(&mut self, net: &mut N, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.connection.reader().read(buf) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.pull(net)?,
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(io::Error::new(e.kind(), "cut off: no close_notify of TLS"));
                }
                other => return other,
            }
        }
    }

    /// Takes records from the socket, once.
    pub fn pull<N: Net<Stream = S>>(&mut self, net: &mut N) -> io::Result<()> {
        let fresh = self.connection.is_handshaking() && self.first == [0; 4];
        let mut wire = Wire { net, stream: &mut self.stream, first: self.first };
        let n = self.connection.read_tls(&mut wire)?;
        if fresh {
            self.first = wire.first;
        }
        if n == 0 && self.connection.is_handshaking() {
            let why = "the other side closed the connection in the TLS handshake";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        if let Err(error) = self.connection.process_new_packets() {
            // The other side is to learn why; if it does not take that, it does not.
            let mut wire = Wire { net, stream: &mut self.stream, first: self.first };
            let _ = self.connection.write_tls(&mut wire);
            return Err(io::Error::new(io::ErrorKind::InvalidData, self.words(&error)));
        }
        Ok(())
    }

    /// Writes plaintext: says how much of it is on its way, of which the socket may not have
    /// taken all. Not to be called in the handshake.
    pub fn write<N: Net<Stream = S>>(&mut self, net: &mut N, octets: &[u8]) -> io::Result<usize> {
        if !self.flush(net)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = self.connection.writer().write(octets)?;
        self.flush(net)?;
        Ok(n)
    }

    /// Writes records; false when the socket takes no more.
    pub fn flush<N: Net<Stream = S>>(&mut self, net: &mut N) -> io::Result<bool> {
        while self.connection.wants_write() {
            let mut wire = Wire { net, stream: &mut self.stream, first: self.first };
            match self.connection.write_tls(&mut wire) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }

    /// Says close_notify and ends our side; false when the socket does not take it yet.
    pub fn end<N: Net<Stream = S>>(&mut self, net: &mut N) -> io::Result<bool> {
        if !std::mem::replace(&mut self.ended, true) {
            self.connection.send_close_notify();
        }
        if !self.flush(net)? {
            return Ok(false);
        }
        net.shutdown_write(&mut self.stream)?;
        Ok(true)
    }

    /// What tells this connection from all others (RFC 9266). Older versions than
    /// TLS 1.3 are left out (section 3).
    pub fn binding(&self) -> Option<Binding> {
        if self.connection.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
            return None;
        }
        let exported = self.connection.export_keying_material([0; 32], BINDING_LABEL, Some(&[]));
        exported.ok()
    }

    /// What both sides agreed on, in words for the transcript.
    pub fn facts(&self) -> String {
        let version = match self.connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "TLS 1.3",
        };
        let suite = self.connection.negotiated_cipher_suite();
        let suite = suite.map(|s| format!(", {:?}", s.suite())).unwrap_or_default();
        let resumed = match self.connection.handshake_kind() {
            Some(rustls::HandshakeKind::Resumed) => ", resumed",
            _ => "",
        };
        let peer = match (&self.connection, &self.asked) {
            (Connection::Server(server), _) => {
                server.server_name().map(|n| format!(", asked for {n}")).unwrap_or_default()
            }
            (_, Some((name, client))) => {
                format!(", {}: {}", name.to_str(), self.judgement(name, client))
            }
            _ => String::new(),
        };
        format!("{version}{suite}{resumed}{peer}")
    }

    /// What is to be said about the server's certificate.
    fn judgement(&self, name: &ServerName<'_>, client: &ClientTls) -> String {
        if client.strict {
            return "certificate verified".into();
        }
        let Some([certificate, chain @ ..]) = self.connection.peer_certificates() else {
            return "no certificate".into();
        };
        let Some(verifier) = &client.verifier else {
            return "certificate not verified: there are no root certificates".into();
        };
        match verifier.verify_server_cert(certificate, chain, name, &[], UnixTime::now()) {
            Ok(_) => "certificate verified, though nobody asked for it".into(),
            Err(error) => format!("certificate not verified: {}", certificate_words(&error)),
        }
    }

    /// Why there is no TLS, in words for who can change a setting.
    fn words(&self, error: &Error) -> String {
        let server = matches!(self.connection, Connection::Server(_));
        match (error, &self.first) {
            (Error::InvalidMessage(_), [a, b, c, b' ' | b'-'])
                if !server && [a, b, c].iter().all(|d| d.is_ascii_digit()) =>
            {
                "the server speaks SMTP in the clear where TLS was to begin at once: \
                 tls = implicit is wrong for this port, required (STARTTLS) may be right"
                    .into()
            }
            (Error::InvalidMessage(_), [b'A'..=b'Z' | b'a'..=b'z', ..]) if server => {
                "the client speaks in the clear where TLS comes first".into()
            }
            (Error::InvalidMessage(_), _) => format!("what came is no TLS: {error}"),
            (Error::InvalidCertificate(_), _) => certificate_words(error),
            (Error::AlertReceived(AlertDescription::UnknownCA), _) if server => {
                "the client does not know who signed tls.certificate".into()
            }
            (Error::AlertReceived(alert), _) => format!("the other side refused TLS: {alert:?}"),
            (Error::PeerIncompatible(why), _) => {
                format!("no version or cipher of TLS in common (1.2 or 1.3 it must be): {why:?}")
            }
            _ => format!("TLS failed: {error}"),
        }
    }
}

/// What is wrong with a server's certificate.
fn certificate_words(error: &Error) -> String {
    let Error::InvalidCertificate(wrong) = error else { return error.to_string() };
    match wrong {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet; is this machine's clock right?".into()
        }
        CertificateError::UnknownIssuer => "the server's certificate was signed by nobody who is \
             known here; if it is its own authority, name that in ca_file"
            .into(),
        CertificateError::BadSignature => {
            "the server's certificate was not signed by whom it names".into()
        }
        CertificateError::NotValidForName => {
            "the server's certificate is for another name than its host has here".into()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names = presented.iter().take(5).map(String::as_str).collect::<Vec<_>>();
            let names = names.join(", ");
            format!("the server's certificate is not for {} but for {names}", expected.to_str())
        }
        _ if is_no_servers(error) => {
            "the server's certificate calls itself an authority; if it is \
             the right one, name it in ca_file"
                .into()
        }
        other => format!("the server's certificate is wrong: {other}"),
    }
}

/// A socket as rustls wants to see it.
struct Wire<'a, N: Net> {
    net: &'a mut N,
    stream: &'a mut N::Stream,
    first: [u8; 4],
}

impl<N: Net> io::Read for Wire<'_, N> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.net.read(self.stream, buf)?;
        let head = n.min(self.first.len());
        self.first[..head].copy_from_slice(&buf[..head]);
        Ok(n)
    }
}

impl<N: Net> io::Write for Wire<'_, N> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.net.write(self.stream, buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
