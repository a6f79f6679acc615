//! Names over real sockets: answers that are too long for UDP, hosts with two families, and a
//! resolv.conf that changes under a running server.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use crate::next::{Act, Next, Stage};
use crate::server::free_address;
use crate::wait_for;
use crate::ways::{Dns, HELLO, eager, setup, submit};

#[test]
fn what_does_not_fit_into_a_datagram_comes_over_tcp() {
    let mut options = vec![
        "--mx-host=big.test,good.test,5".to_owned(),
        "--host-record=good.test,127.0.0.1".to_owned(),
    ];
    options.extend((0..40).map(|n| format!("--mx-host=big.test,a-long-name-of-{n}.test,50")));
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let Some(dns) = Dns::start(&options) else { return };
    let next = Next::new();
    let setup = setup("mx", next.address, dns.address);
    let server = setup.start();
    submit(&server, &["b@big.test"], HELLO);
    assert_eq!(next.wait(1)[0].to, ["<b@big.test>"], "{}", server.log());
}

/// IPv6 first where both answer; IPv4 where IPv6 leads nowhere; and neither where it is forbidden.
#[test]
fn both_families_are_tried() {
    let Some(dns) = Dns::start(&["--host-record=dual.test,127.0.0.1,::1"]) else { return };
    let v4 = Next::at(free_address(), |_| Act::Usual);
    let at_v6: SocketAddr = format!("[::1]:{}", v4.address.port()).parse().unwrap();
    let server = |ipv6: &str| {
        let setup = setup("dual.test", v4.address, dns.address).set(&format!("dns.ipv6={ipv6}"));
        let server = setup.start();
        submit(&server, &["b@x.test"], HELLO);
        (setup, server)
    };
    let _only_v4_listens = server("yes");
    v4.wait(1);
    if TcpListener::bind(at_v6).is_err() {
        println!("skipped: this machine has no IPv6");
        return;
    }
    let v6 = Next::at(at_v6, |_| Act::Usual);
    for (count, ipv6) in [(1, "yes"), (2, "only")] {
        let _running = server(ipv6);
        v6.wait(count);
    }
    let _running = server("no");
    v4.wait(2);
    assert_eq!((v4.count(), v6.count()), (2, 2));
}

/// An address that takes no connection has had its turn, as one that greets and does not want us
/// has: neither is tried twice before the server is left alone.
#[test]
fn an_address_that_refuses_a_connection_has_had_its_turn() {
    let Some(dns) = Dns::start(&[
        "--host-record=dual.test,127.0.0.1,::1",
        "--mx-host=first.test,good.test,5",
        "--mx-host=first.test,down.test,10",
        "--host-record=good.test,127.0.0.1",
        "--host-record=down.test,127.0.0.3",
    ]) else {
        return;
    };
    for (host, greeting) in [
        ("dual.test", "554 5.7.1 not you"),
        ("dual.test", "421 4.3.2 not now"),
        ("first.test", "554 5.7.1 not you"),
    ] {
        let v4 = Next::at(free_address(), move |moment| match moment.stage {
            Stage::Connect => Act::SayAndClose(format!("{greeting}\r\n")),
            _ => Act::Usual,
        });
        let setup = setup(host, v4.address, dns.address)
            .set("next_server.mx=yes")
            .set("queue.retry_min=1h")
            .set("queue.retry_max=1h");
        let server = setup.start();
        submit(&server, &["b@x.test"], HELLO);
        wait_for("the server to be left alone", || {
            let list = setup.say(&["next", "list"]);
            list.contains("backing").then_some(())
        });
        assert_eq!(v4.connections(), 1, "{host} {greeting}: {}", server.log());
    }
}

/// In a mount namespace of its own, so that the machine's resolv.conf is left alone.
#[test]
fn resolv_conf_is_read_again() {
    let server_53: SocketAddr = "127.0.53.1:53".parse().unwrap();
    let may = Command::new("unshare").args(["-m", "true"]).output();
    if !cfg!(target_os = "linux") || !may.is_ok_and(|output| output.status.success()) {
        println!("skipped: only root may mount another resolv.conf");
        return;
    }
    if TcpListener::bind(server_53).is_err() {
        println!("skipped: {server_53} is not free");
        return;
    }
    let options = ["--host-record=next.test,127.0.0.1", "--listen-address=127.0.53.1"];
    let Some(_dns) = Dns::at(server_53, &options) else { return };
    let next = Next::new();
    let setup = eager(next.address).set("next_server.host=next.test");
    let file = setup.dir.path().join("resolv.conf");
    let says = |address: &str| {
        let text = format!("nameserver {address}\noptions timeout:1 attempts:1 whatever:7\n");
        std::fs::write(&file, text).unwrap();
    };
    says("127.0.53.9");
    let ours = setup.command();
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\""]);
    command.arg(&file).arg(ours.get_program()).args(ours.get_args());
    command.env_remove("MAILFLUX_LOG").current_dir(setup.dir.path());
    let server = setup.start_as(command);
    submit(&server, &["b@x.test"], HELLO);
    wait_for("word of the fault", || server.log().contains("127.0.53.9").then_some(()));
    assert_eq!(next.count(), 0);
    says("127.0.53.1");
    next.wait(1);
}
