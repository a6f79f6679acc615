//! Starting and ending: server, sink and demonstration.

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use super::program::{Place, Running};

#[test]
fn the_server_runs_and_ends() {
    let place = Place::new();
    let mut server =
        Running::start(place.mailflux(&["-l", "127.0.0.1:0", "-n", "127.0.0.1:1", "-d", "s"]));
    let address = server.says("accepting mail on ");
    std::net::TcpStream::connect(address).unwrap();
    assert_eq!(server.end(), 0);
    assert!(fs::metadata(place.path("s")).unwrap().is_dir());
}

#[test]
fn what_stands_in_the_way_of_the_server() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = place.run(&["-l", &address, "-n", "127.0.0.1:1", "-d", "s"]);
    assert_eq!(ended.code, 73, "{}", ended.stderr);
    let words = format!("cannot listen on {address}: address already in use; ");
    assert!(ended.stderr.lines().last().unwrap().starts_with(&words), "{}", ended.stderr);

    let mut server =
        Running::start(place.mailflux(&["-l", "127.0.0.1:0", "-n", "127.0.0.1:1", "-d", "s"]));
    server.says("accepting mail on ");
    let ended = place.run(&["-l", "127.0.0.1:0", "-n", "127.0.0.1:1", "-d", "s"]);
    assert_eq!(ended.code, 73, "{}", ended.stderr);
}

#[test]
fn the_demonstration_sends_mail_and_leaves_nothing_behind() {
    let place = Place::new();
    // A port that is free now: the demonstration's client has to know it beforehand.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut demo = Running::start(place.mailflux(&["--demo", "-l", &free]));
    demo.says(" delivered ");
    assert_eq!(demo.end(), 0);
    assert_eq!(fs::read_dir(place.dir.path()).unwrap().count(), 0);
}

/// Whether the question is still on its way then or not: no answer is no success.
#[test]
fn a_control_socket_that_closes_at_once_is_69() {
    let place = Place::new();
    let listener = UnixListener::bind(place.path("c.sock")).unwrap();
    let closer = std::thread::spawn(move || (0..20).for_each(|_| drop(listener.accept().unwrap())));
    for _ in 0..20 {
        let ended = place.run(&["ctl", "--socket", &place.path("c.sock"), "--json", "status"]);
        assert_eq!((ended.code, ended.stdout.as_str()), (69, ""), "{ended:?}");
        assert!(ended.stderr.contains("gave no answer"), "{ended:?}");
    }
    closer.join().unwrap();
}
