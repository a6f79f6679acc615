//! `replay`: a recorded client between its socket and its [`Player`].

use std::io;
use std::net::SocketAddr;

use super::Reactor;
use super::core::Core;
use super::dialing::{Dialed, Dialing};
use super::inbound::After;
use super::link::{Input, Link, Phase};
use super::net::{Net, Token};
use super::slots::Slot;
use super::tls::Tls;
use super::ways::Target;
use crate::auth;
use crate::base::{Now, Time, cause};
use crate::record::{Play, Player};
use crate::spool::Disk;

/// A connection on which a recorded client speaks.
pub struct Playing<S> {
    /// The socket.
    pub link: Link<S>,
    /// While connects are under way.
    dialing: Option<Dialing<S>>,
    /// As it was named, and where it is: for TLS.
    host: String,
    peer: Option<SocketAddr>,
    player: Player,
}

/// A replay that is over.
pub struct Played {
    token: Token,
    player: Player,
}

/// Replays whose end is remembered until somebody asks.
const REMEMBERED: usize = 64;

impl<S> Playing<S> {
    /// When it wants its next turn, whatever happens.
    pub fn deadline(&self) -> Time {
        match &self.dialing {
            Some(dialing) => dialing.deadline(),
            None => self.player.deadline().min(self.link.deadline()),
        }
    }

    fn turn<N: Net<Stream = S>, D: Disk>(
        &mut self,
        net: &mut N,
        core: &mut Core<D>,
        now: Now,
        scratch: &mut [u8],
    ) -> After {
        if let Some(dialing) = &mut self.dialing {
            match dialing.turn(net, &mut self.link, now.time) {
                Dialed::Wait => return After::Wait,
                Dialed::Stands(peer) => {
                    self.dialing = None;
                    self.peer = Some(peer);
                }
                Dialed::Failed(peer, e) => {
                    self.player.lost(&format!("cannot connect to {peer}: {}", cause(&e)));
                    return After::Gone;
                }
            }
        }
        if let Phase::Handshake { .. } = self.link.phase {
            match self.link.handshake(net, now.time) {
                Ok(false) => return After::Wait,
                Ok(true) => self.player.secured(now.time),
                Err(e) => self.player.lost(&format!("no TLS: {}", cause(&e))),
            }
        }
        loop {
            match self.player.step(now.time) {
                Play::Over => {
                    // Its last word may not have gone out: who hears it is told by the end.
                    let _ = self.link.flush(net);
                    return After::Gone;
                }
                Play::Send(octets) => self.link.output.tail().extend_from_slice(&octets),
                Play::SendSecret(words) => {
                    self.link.output.tail().extend_from_slice(words.expose());
                }
                Play::StartTls => match self.start_tls(core, now) {
                    // The handshake begins with our word.
                    Ok(()) => return After::Again,
                    Err(e) => self.player.lost(&format!("no TLS: {}", cause(&e))),
                },
                Play::LogIn => {
                    let binding = self.link.transport.tls().and_then(|tls| tls.binding());
                    self.player.log_in(&auth::nonce(auth::random()), binding);
                }
                Play::Work => match core.logins.take_rounds() {
                    Some(rounds) => self.player.work(rounds),
                    None => return After::Again,
                },
                Play::Wait => match self.exchange(net, now, scratch) {
                    Ok(true) => {}
                    Ok(false) => return After::Wait,
                    Err(e) => self.player.lost(&cause(&e)),
                },
            }
        }
    }

    fn start_tls<D: Disk>(&mut self, core: &Core<D>, now: Now) -> io::Result<()> {
        let peer = self.peer.ok_or(io::ErrorKind::NotConnected)?;
        let client = core.stranger().ok_or(io::ErrorKind::Unsupported)?;
        self.link.secure(now.time, |s| Tls::client(s, client, &self.host, peer))
    }

    /// Writes and reads once; false when there is nothing to do.
    fn exchange<N: Net<Stream = S>>(
        &mut self,
        net: &mut N,
        now: Now,
        scratch: &mut [u8],
    ) -> io::Result<bool> {
        self.link.flush(net)?;
        if !self.link.is_readable() {
            return Ok(false);
        }
        match self.link.read(net, scratch)? {
            Input::Octets(n) => self.player.hear(&scratch[..n], now.time),
            Input::Dry => {}
            Input::End => self.player.lost("the server closed the connection"),
        }
        Ok(true)
    }
}

impl<N: Net, D: Disk> Reactor<N, D> {
    /// Begins a replay at one of these addresses; gives the token by which its end is asked for.
    pub(super) fn play(
        &mut self,
        hosts: Vec<Target>,
        host: String,
        player: Player,
    ) -> Result<Token, String> {
        let token = self.slots.next_token();
        let begun = Dialing::begin(&mut self.net, hosts, token, self.now.time);
        let (mut link, dialing) =
            begun.map_err(|(peer, e)| format!("cannot connect to {peer}: {}", cause(&e)))?;
        self.timers.arm(token, dialing.deadline(), &mut link.armed);
        let playing = Playing { link, dialing: Some(dialing), host, peer: None, player };
        self.slots.insert(Slot::Playing(Box::new(playing)));
        Ok(token)
    }

    /// The share of a replay in a tick.
    pub(super) fn turn_playing(&mut self, token: Token) -> After {
        let Some(Slot::Playing(playing)) = self.slots.get_mut(token) else { return After::Gone };
        playing.turn(&mut self.net, &mut self.core, self.now, &mut self.scratch)
    }

    /// A replay is over: who waits for it is told.
    pub(super) fn play_over(&mut self, token: Token, playing: Playing<N::Stream>) {
        if self.played.len() >= REMEMBERED {
            self.played.remove(0);
        }
        self.played.push(Played { token, player: playing.player });
        for i in 0..self.askers.len() {
            self.make_runnable(self.askers[i]);
        }
    }

    /// The end of a replay, if it has come.
    pub(super) fn take_played(&mut self, token: Token) -> Option<Player> {
        let at = self.played.iter().position(|played| played.token == token)?;
        Some(self.played.remove(at).player)
    }

    /// Nobody waits for a replay any more.
    pub(super) fn stop_playing(&mut self, token: Token) {
        if let Some(Slot::Playing(_)) = self.slots.get_mut(token) {
            self.dead.push(token);
        }
    }
}
