//! Measures how long a transaction takes, for `scripts/bench`: SESSIONS clients on connections that
//! are kept, each in lock-step, a step waits for the reply to the one before it.
//!
//!     load PORT SESSIONS MESSAGES OCTETS REST
//!
//! prints the median and the 99th percentile of the times of MESSAGES transactions, each from its
//! MAIL to the reply to its content, in milliseconds. After each a client rests REST milliseconds.

#![allow(clippy::disallowed_methods, reason = "a client may sleep: each has a thread of its own")]

use std::error::Error;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let numbers: Vec<usize> =
        std::env::args().skip(1).map(|word| word.parse()).collect::<std::result::Result<_, _>>()?;
    let &[port, sessions, messages, octets, rest] = numbers.as_slice() else {
        return Err("usage: load PORT SESSIONS MESSAGES OCTETS REST".into());
    };
    let (port, rest) = (u16::try_from(port)?, Duration::from_millis(rest as u64));
    let (content, begun) = (content(octets), AtomicUsize::new(0));
    let streams = (0..sessions).map(|_| connect(port)).collect::<Result<Vec<_>>>()?;
    let client = |mut stream| -> Result<Vec<Duration>> {
        let mut times = Vec::new();
        while begun.fetch_add(1, Ordering::Relaxed) < messages {
            times.push(transaction(&mut stream, &content)?);
            thread::sleep(rest);
        }
        Ok(times)
    };
    let all: Vec<Result<Vec<Duration>>> = thread::scope(|scope| {
        let spawn = |stream| scope.spawn(|| client(stream));
        let clients: Vec<_> = streams.into_iter().map(spawn).collect();
        let failed = |_| Err("a client failed".into());
        clients.into_iter().map(|client| client.join().unwrap_or_else(failed)).collect()
    });
    let mut times = all.into_iter().collect::<Result<Vec<_>>>()?.concat();
    times.sort();
    let at = |percent: usize| times[times.len() * percent / 100].as_secs_f64() * 1e3;
    println!("{} {}", at(50), at(99));
    Ok(())
}

/// A client that has said HELO.
fn connect(port: u16) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    hear(&mut stream)?;
    say(&mut stream, b"HELO client.example\r\n")?;
    Ok(stream)
}

/// One message, and how long it took.
fn transaction(stream: &mut TcpStream, content: &[u8]) -> Result<Duration> {
    let start = Instant::now();
    say(stream, b"MAIL FROM:<from@sender.example>\r\n")?;
    say(stream, b"RCPT TO:<to@receiver.example>\r\n")?;
    say(stream, b"DATA\r\n")?;
    say(stream, content)?;
    Ok(start.elapsed())
}

fn content(octets: usize) -> Vec<u8> {
    let line = [&[b'x'; 76][..], b"\r\n"].concat();
    let body = line.repeat(octets / line.len());
    [&b"Subject: bench\r\n\r\n"[..], &body, b".\r\n"].concat()
}

fn say(stream: &mut TcpStream, octets: &[u8]) -> Result<()> {
    stream.write_all(octets)?;
    hear(stream)
}

/// Reads one reply, which must be a good one.
fn hear(stream: &mut TcpStream) -> Result<()> {
    let (mut reply, mut length) = ([0; 4096], 0);
    while !reply[..length].ends_with(b"\n") {
        match stream.read(&mut reply[length..])? {
            0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            n => length += n,
        }
    }
    match reply[0] {
        b'2' | b'3' => Ok(()),
        _ => Err(format!("refused: {}", reply[..length].escape_ascii()).into()),
    }
}
