//! The reactor: one thread, one loop, and everything that touches the world.
//!
//! Read in this order: `net` (what a network is), `tick` (the loop), `shares` (whose turn it is),
//! `link` (one socket), `inbound` and `outbound` (a socket and its protocol machine), `core` (what
//! they share), `store` (content on its way in), `dispatch` and `settle` (content on its way out,
//! what became of it). `mio_net` and `clock` are the real world; `sim` is another one.

mod accept;
mod activation;
mod attach;
mod certs;
mod clock;
mod configure;
mod control;
mod core;
mod demote;
mod desk;
mod dialing;
mod dispatch;
mod faults;
mod files;
mod filtering;
mod front;
mod hold;
mod inbound;
mod lately;
mod link;
mod local;
mod login;
mod lower;
mod mio_net;
mod names;
mod net;
mod notes;
mod outbound;
mod output;
mod past;
mod playing;
mod probe;
mod report;
mod run;
mod scout;
mod secrets;
mod secure;
mod sending;
mod settle;
mod shares;
mod shun;
mod slots;
mod socket;
mod source;
mod store;
mod student;
mod tick;
mod timers;
mod tls;
mod transport;
mod trouble;
mod ways;

use std::collections::HashMap;
use std::net::IpAddr;

pub use self::attach::{Parting, attach};
pub use self::certs::Certs;
pub use self::clock::{Clock, wall_clock};
pub use self::control::explain_word;
pub use self::core::{Core, Role};
pub use self::demote::server_user;
pub use self::desk::Desk;
use self::dispatch::NextServers;
pub use self::files::{Files, Taken};
use self::local::Local;
pub use self::local::Seat;
pub use self::mio_net::MioNet;
use self::names::Names;
pub use self::net::{Net, Ready, Signal, SpareDescriptor, Token, Wake};
pub use self::run::{run, run_command, run_sink};
use self::shares::Turns;
use self::slots::{Slot, Slots};
use self::tick::Gathering;
pub use self::tick::Life;
use self::timers::Timers;
pub use self::ways::resolver_for;
use crate::base::{Now, Time};
use crate::spool::Disk;

/// Octets read from a socket, or from the spool, at once; one buffer for all.
const SCRATCH: usize = 256 * 1024;

/// The server: a network, the connections on it, and the core that they share.
pub struct Reactor<N: Net, D: Disk> {
    net: N,
    /// What the connections share.
    pub core: Core<D>,
    slots: Slots<N, D::File>,
    next: NextServers,
    names: Names<N>,
    timers: Timers,
    /// Connections that have something to do without waiting for an event.
    turns: Turns,
    /// Connections that this tick's commit woke.
    committed: Vec<Token>,
    /// The connections of those who ask.
    askers: Vec<Token>,
    /// The console in this process.
    local: Local,
    /// Connections to be removed at the end of the tick.
    dead: Vec<Token>,
    wake: Wake,
    scratch: Vec<u8>,
    now: Now,
    life: Life,
    gathering: Gathering,
    /// When to accept again after descriptors ran out.
    accept_again: Option<Time>,
    /// Inbound connections, in all and of each client.
    inbound: usize,
    /// Of these, sessions of a sink beside a relay.
    untold: usize,
    clients: HashMap<IpAddr, usize>,
    sessions_in: u64,
    sessions_out: u64,
    /// Probes that are over, until those who wait have read them.
    probed: Vec<probe::Probed>,
    /// Replays that are over, likewise.
    played: Vec<playing::Played>,
    /// What `trace on` asked for.
    traces: Vec<&'static str>,
    /// What `confirm` of a `ctl` would do: each is a connection of its own.
    confirm: Option<control::Confirm>,
}

impl<N: Net, D: Disk> Reactor<N, D> {
    /// A reactor without listeners.
    pub fn new(net: N, core: Core<D>) -> Reactor<N, D> {
        let now = net.now();
        Reactor {
            next: NextServers::default(),
            net,
            core,
            slots: Slots::default(),
            names: Names::default(),
            timers: Timers::default(),
            turns: Turns::default(),
            committed: Vec::new(),
            askers: Vec::new(),
            local: Local::default(),
            dead: Vec::new(),
            wake: Wake::default(),
            scratch: vec![0; SCRATCH],
            now,
            life: Life::Running,
            gathering: Gathering::default(),
            accept_again: None,
            inbound: 0,
            untold: 0,
            clients: HashMap::new(),
            sessions_in: 0,
            sessions_out: 0,
            probed: Vec::new(),
            played: Vec::new(),
            traces: Vec::new(),
            confirm: None,
        }
    }

    /// The network, for simulations.
    pub fn net_mut(&mut self) -> &mut N {
        &mut self.net
    }

    /// Connections on both legs.
    pub fn connections(&self) -> usize {
        let is_mail =
            |slot: &&Slot<N, D::File>| matches!(slot, Slot::Inbound(_) | Slot::Outbound(_));
        self.slots.iter().filter(is_mail).count()
    }

    /// Timers armed: about one for each connection, whatever happens.
    pub fn timers(&self) -> usize {
        self.timers.len()
    }
}
