//! The DNS servers of the simulation: late, silent, failing, and with strangers who answer first.

use std::time::Duration;

use simple_dns::rdata::{A, RData};
use simple_dns::{CLASS, Packet, PacketFlag, RCODE, ResourceRecord, TYPE};

use crate::net::SimNet;

/// Answers what was asked; so many in a thousand times it does something worse.
pub fn answer(net: &mut SimNet, odds: u32) {
    for (socket, server, question) in std::mem::take(&mut net.asked) {
        assert_eq!(server.port(), 53);
        let query = Packet::parse(&question).unwrap();
        let mut reply = query.clone().into_reply();
        let asked = &query.questions[0];
        assert_eq!(asked.qname.to_string(), "next.test");
        if asked.qtype == TYPE::A.into() {
            let address = RData::A(A { address: 0x7f00_0002 });
            reply.answers.push(ResourceRecord::new(asked.qname.clone(), CLASS::IN, 30, address));
        }
        let worse = net.rng.u32(..1000) < 3 * odds;
        match net.rng.u32(..4) {
            0 if worse => continue,
            1 if worse => *reply.rcode_mut() = RCODE::ServerFailure,
            2 if worse => reply.set_flags(PacketFlag::TRUNCATION),
            _ => {}
        }
        if worse {
            let mut lie = reply.clone();
            lie.set_id(query.id().wrapping_add(1));
            lie.answers.clear();
            net.answer(socket, lie.build_bytes_vec().unwrap(), Duration::ZERO);
        }
        let late = Duration::from_micros(net.rng.u64(..200_000));
        net.answer(socket, reply.build_bytes_vec_compressed().unwrap(), late);
    }
}
