//! TLS to next servers: when it begins, and what follows when it fails.
//!
//! | policy | TLS begins | it cannot be had |
//! | --- | --- | --- |
//! | none | never | |
//! | opportunistic | after STARTTLS, where offered | at once again, in the clear, for a while |
//! | required | after STARTTLS | the server backs off and its mail waits; nothing bounces |
//! | implicit | with the first octet | the same |

use std::net::SocketAddr;
use std::time::Duration;

use super::certs::Certs;
use super::core::Core;
use super::inbound::After;
use super::lately::Lately;
use super::link::Phase;
use super::net::Net;
use super::outbound::Outbound;
use super::secrets::login_config;
use super::tls::{ClientTls, ServerTls, Tls};
use crate::base::Now;
use crate::config::{ListenerAuth, ListenerSettings, ListenerTls, TlsPolicy};
use crate::journal::{Level, What};
use crate::queue::ServerId;
use crate::smtp::client::{ClientConfig, ClientSession, Fault, StartTls};
use crate::smtp::server::{AuthPolicy, ServerConfig};
use crate::smtp::{Hidden, Stage};
use crate::spool::Disk;

/// How long an address at which TLS failed is spoken to in the clear, where that is allowed.
const IN_THE_CLEAR: Duration = Duration::from_secs(3600);

/// What the core knows about TLS.
pub struct Secrecy {
    certs: Certs,
    /// Addresses at which TLS failed.
    plain: Lately,
}

impl Default for Secrecy {
    fn default() -> Secrecy {
        Secrecy { certs: Certs::default(), plain: Lately::new(IN_THE_CLEAR) }
    }
}

impl<D: Disk> Core<D> {
    /// Takes certificates and keys, for the sessions to come: at the start, and with each change
    /// of the configuration, after [`Core::reconfigure`].
    pub(super) fn set_certs(&mut self, certs: Certs, now: Now) {
        for warning in &certs.warnings {
            self.say(now, Level::Warn, warning);
        }
        self.relay_session.starttls = certs.server.is_some();
        let named = self.config.listeners.iter();
        self.named_sessions = named.map(|l| named_config(&self.relay_session, l)).collect();
        self.secrecy.certs = certs;
    }

    /// Our certificate, if we have one.
    pub(super) fn certificate(&self) -> Option<ServerTls> {
        self.secrecy.certs.server.clone()
    }

    /// What TLS a next server is spoken to with. What cannot be had is not asked for: such a core
    /// lives in a simulation.
    fn policy(&self, server: ServerId) -> (TlsPolicy, Option<&ClientTls>) {
        let settings = self.server(server);
        let (policy, client) = (settings.tls, self.secrecy.certs.clients.get(&settings.name));
        let client = client.or(self.stranger());
        (if client.is_some() { policy } else { TlsPolicy::None }, client)
    }

    /// The TLS that servers outside the configuration are spoken to with: it takes any certificate.
    pub(super) fn stranger(&self) -> Option<&ClientTls> {
        self.secrecy.certs.stranger.as_ref()
    }

    /// A session with a next server at this address.
    pub(super) fn client_session(
        &self,
        server: ServerId,
        at: SocketAddr,
        now: Now,
    ) -> ClientSession {
        let policy = self.policy(server).0;
        let starttls = match policy {
            TlsPolicy::None | TlsPolicy::Implicit => StartTls::Never,
            TlsPolicy::Opportunistic if self.is_plain(at, now) => StartTls::Never,
            TlsPolicy::Opportunistic => StartTls::Offered,
            TlsPolicy::Required => StartTls::Required,
        };
        let login = login_config(self.server(server));
        let hostname = &self.config.server.hostname;
        let config = ClientConfig { starttls, login, ..ClientConfig::new(hostname) };
        let mut session = ClientSession::new(config, at, policy == TlsPolicy::Implicit);
        if self.unchunked.has(at, now.time) {
            session.hide(Hidden::CHUNKING);
        }
        session
    }

    /// TLS failed at this address not long ago.
    fn is_plain(&self, at: SocketAddr, now: Now) -> bool {
        self.secrecy.plain.has(at, now.time)
    }

    /// A fault of TLS with the names that an administrator needs: which server, which setting.
    fn explained(&self, server: ServerId, fault: &Fault) -> Option<Fault> {
        let (policy, settings) = (self.policy(server).0, self.server(server));
        let (host, port, section) = (&settings.host, settings.port, settings.section());
        let why = match fault {
            Fault::Tls { why, required: true } => {
                format!("{host}:{port}: {why} (see {section}.tls and {section}.verify)")
            }
            Fault::Timeout(Stage::Connect) if policy != TlsPolicy::Implicit => format!(
                "{host}:{port}: {fault}; a server that waits for TLS at once, as on port 465, \
                 needs {section}.tls = implicit"
            ),
            _ => return None,
        };
        Some(Fault::Tls { why, required: true })
    }
}

/// What sessions of a listener with rules of its own are told.
fn named_config(relay: &ServerConfig, listener: &ListenerSettings) -> ServerConfig {
    ServerConfig {
        starttls: match listener.tls {
            ListenerTls::Auto | ListenerTls::StartTls => relay.starttls,
            ListenerTls::None | ListenerTls::Implicit => false,
        },
        auth: match listener.auth {
            ListenerAuth::Auto => relay.auth,
            ListenerAuth::None => AuthPolicy::None,
            ListenerAuth::Optional => AuthPolicy::Optional,
            ListenerAuth::Required => AuthPolicy::Required,
        },
        ..relay.clone()
    }
}

impl<S> Outbound<S> {
    /// The connection stands: TLS at once, if that is the policy; and if the clear is only a
    /// makeshift, a word about it.
    pub(super) fn established<D: Disk>(&mut self, core: &mut Core<D>, now: Now) {
        match core.policy(self.server).0 {
            _ if self.purpose.is_scout() => self.start_tls(core, now),
            TlsPolicy::Implicit => self.start_tls(core, now),
            TlsPolicy::Opportunistic if core.is_plain(self.peer, now) => {
                let remark = What::Remark("in the clear: TLS failed at this address not long ago");
                core.note(now, Some(self.id), None, remark);
            }
            _ => {}
        }
    }

    /// The server waits for our hello. What was read before came in the clear.
    pub(super) fn start_tls<D: Disk>(&mut self, core: &mut Core<D>, now: Now) {
        self.input.clear();
        let (host, peer) = (self.host.clone(), self.peer);
        let words = format!("handshake with {peer} begins, for {host:?}");
        core.journal.trace(now, Some(self.id), "tls", &words);
        let Some(client) = core.policy(self.server).1 else {
            return self.session.tls_failed("TLS was taken out of the configuration");
        };
        let made = self.link.secure(now.time, |s| Tls::client(s, client, &host, peer));
        if let Err(e) = made {
            self.tls_failed(core, now, &e.to_string());
        }
    }

    /// Goes on with the handshake; none when it is over, well or not.
    pub(super) fn handshake<N: Net<Stream = S>, D: Disk>(
        &mut self,
        net: &mut N,
        core: &mut Core<D>,
        now: Now,
    ) -> Option<After> {
        match self.link.handshake(net, now.time) {
            Ok(false) => return Some(After::Wait),
            Err(e) => {
                self.tls_failed(core, now, &e.to_string());
                self.advance(core, now);
                return Some(After::Gone);
            }
            Ok(true) => {}
        }
        if let Some(tls) = self.link.transport.tls() {
            let facts = tls.facts();
            core.note(now, Some(self.id), None, What::Remark(&facts));
            core.journal.trace(now, Some(self.id), "tls", &facts);
        }
        if let Some(binding) = self.link.transport.tls().and_then(|tls| tls.binding()) {
            self.session.bind(binding);
        }
        if self.session.awaits_tls() {
            self.session.tls_started(now.time);
        }
        None
    }

    /// The machine is to hear of it, and say what follows.
    fn tls_failed<D: Disk>(&mut self, core: &mut Core<D>, now: Now, why: &str) {
        let remark = format!("no TLS: {why}");
        core.note(now, Some(self.id), None, What::Remark(&remark));
        core.journal.trace(now, Some(self.id), "tls", &remark);
        self.link.phase = Phase::Open;
        self.session.tls_failed(why);
    }

    /// The fault as it is to be told; one that only costs the opportunity is remembered.
    pub(super) fn explain<D: Disk>(&self, core: &mut Core<D>, now: Now, fault: &Fault) -> Fault {
        if let Fault::Tls { required: false, .. } = fault {
            core.secrecy.plain.add(self.peer, now.time);
        }
        core.explained(self.server, fault).unwrap_or_else(|| fault.clone())
    }
}
