//! Sockets that systemd opened, or somebody who does as systemd does.

use std::net::SocketAddr;
use std::process::Command;

use crate::client::Client;
use crate::next::Next;
use crate::server::{Setup, free_address, run_to_end, tool};

/// Opens listening sockets, `NAME=HOST:PORT` each, and becomes the program behind `--`.
const SYSTEMD: &str = r#"
import fcntl, os, socket, sys
at = sys.argv.index("--")
names, high = [], []
for word in sys.argv[1:at]:
    name, place = word.split("=")
    host, port = place.rsplit(":", 1)
    high.append(fcntl.fcntl(socket.create_server((host, int(port))), fcntl.F_DUPFD, 100))
    names.append(name)
for n, fd in enumerate(high):
    os.dup2(fd, 3 + n)
    os.close(fd)
os.environ.update(LISTEN_FDS=str(len(high)), LISTEN_PID=str(os.getpid()))
os.environ["LISTEN_FDNAMES"] = ":".join(names)
os.execv(sys.argv[at + 1], sys.argv[at + 1:])
"#;

/// The server's own command line behind the one that opens these sockets.
fn handing(setup: &Setup, sockets: &[(&str, SocketAddr)]) -> Option<Command> {
    let mut command = Command::new(tool("python3")?);
    command.args(["-c", SYSTEMD]);
    command.args(sockets.iter().map(|(name, at)| format!("{name}={at}")));
    Some(behind(command, setup))
}

fn behind(mut command: Command, setup: &Setup) -> Command {
    let ours = setup.command();
    command.env_remove("MAILFLUX_LOG").current_dir(setup.dir.path());
    if command.get_program() != "systemd-socket-activate" {
        command.arg("--");
    }
    command.arg(ours.get_program()).args(ours.get_args());
    command
}

/// Were a socket not taken over, it would still be open and its address could not be bound.
#[test]
fn sockets_are_taken_over_by_address_and_by_name() {
    let (next, named, bound) = (Next::new(), free_address(), free_address());
    let setup = Setup::new(next.address)
        .set("listener.extra.listen=192.0.2.1:25")
        .set(&format!("listener.own.listen={bound}"));
    let sockets = [("mailflux.socket", setup.address), ("extra", named)];
    let Some(command) = handing(&setup, &sockets) else { return };
    let server = setup.start_as(command);
    for address in [setup.address, named, bound] {
        let mut client = Client::connect(address).unwrap();
        client.command("EHLO client.example.com").expect(250);
        client.mail("ann@example.org", &["bob@example.net"], "Subject: x\r\n\r\nx\r\n");
    }
    next.wait(3);
    assert!(server.log().contains(&format!("accepting mail on {named}")), "{}", server.log());
    if cfg!(target_os = "linux") {
        for fd in [3, 4] {
            let about = format!("/proc/{}/fdinfo/{fd}", server.pid());
            let about = std::fs::read_to_string(about).unwrap();
            let flags = about.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
            let flags = u32::from_str_radix(flags.trim(), 8).unwrap();
            assert!(flags & 0o2_000_000 != 0, "a child would inherit it: {about}");
        }
    }
}

#[test]
fn a_socket_that_is_nobody_s_is_refused_with_words() {
    let (setup, stranger) = (Setup::new(free_address()), free_address());
    let Some(mut command) = handing(&setup, &[("smtp", stranger)]) else { return };
    let output = run_to_end(&mut command);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{said}");
    let words = format!("cannot use socket 3 ('smtp') of LISTEN_FDS: it listens on {stranger}");
    assert!(said.contains(&words) && said.contains("server.listen"), "{said}");
    // What is no listening socket at all.
    let mut command = setup.command();
    command.env("LISTEN_FDS", "x").env("LISTEN_PID", "1");
    let _other_process = setup.start_as(command);
}

#[test]
fn systemd_socket_activate() {
    if tool("systemd-socket-activate").is_none() {
        return;
    }
    let next = Next::new();
    let setup = Setup::new(next.address);
    let mut command = Command::new("systemd-socket-activate");
    command.arg("-l").arg(setup.address.to_string());
    // It starts us with the first connection, which waits in the backlog meanwhile.
    let server = setup.start_as(behind(command, &setup));
    server.ehlo().mail("ann@example.org", &["bob@example.net"], "Subject: x\r\n\r\nx\r\n");
    next.wait(1);
}
