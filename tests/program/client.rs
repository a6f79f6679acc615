//! A small SMTP client that says exactly what it is told to.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::PATIENCE;

/// A reply as it came: its code, and its lines with codes.
#[derive(Debug)]
pub struct Reply {
    pub code: u16,
    pub text: String,
}

impl Reply {
    /// This reply, which must have this code.
    #[track_caller]
    pub fn expect(self, code: u16) -> Reply {
        assert_eq!(self.code, code, "{}", self.text);
        self
    }

    /// This reply, which must start with these words.
    #[track_caller]
    pub fn says(self, words: &str) -> Reply {
        assert!(self.text.starts_with(words), "{:?} is not {words:?}", self.text);
        self
    }
}

pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects and reads the greeting.
    pub fn connect(address: SocketAddr) -> io::Result<Client> {
        let mut client = Client::silent(address)?;
        match client.reply()? {
            Reply { code: 220, .. } => Ok(client),
            reply => Err(io::Error::other(reply.text)),
        }
    }

    /// Connects and reads nothing.
    pub fn silent(address: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Client { stream: BufReader::new(stream) })
    }

    /// Gives up sending after so long.
    pub fn write_timeout(&mut self, wait: Duration) {
        self.stream.get_ref().set_write_timeout(Some(wait)).unwrap();
    }

    /// Sends octets as they are.
    pub fn send(&mut self, octets: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(octets.as_ref())
    }

    /// Reads one reply, all its lines.
    pub fn reply(&mut self) -> io::Result<Reply> {
        let mut text = String::new();
        loop {
            let start = text.len();
            if self.stream.read_line(&mut text)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = &text[start..];
            let code = line.get(..3).and_then(|digits| digits.parse().ok());
            let (Some(code), true) = (code, line.ends_with("\r\n")) else {
                return Err(io::Error::other(format!("not a reply: {line:?}")));
            };
            if line.as_bytes()[3] == b' ' {
                return Ok(Reply { code, text });
            }
        }
    }

    /// Sends a command line and reads its reply; any fault of the connection is a failed test.
    #[track_caller]
    pub fn command(&mut self, line: &str) -> Reply {
        self.try_command(line).unwrap_or_else(|e| panic!("{line:?}: {e}"))
    }

    /// Sends a command line and reads its reply.
    pub fn try_command(&mut self, line: &str) -> io::Result<Reply> {
        self.send(format!("{line}\r\n"))?;
        self.reply()
    }

    /// One transaction; the last reply is what the message got. `content` is whole lines, none of
    /// which starts with a dot.
    pub fn deliver(&mut self, from: &str, to: &[&str], content: &[u8]) -> io::Result<Reply> {
        let mut reply = self.try_command(&format!("MAIL FROM:<{from}>"))?;
        for to in to {
            if reply.code == 250 {
                reply = self.try_command(&format!("RCPT TO:<{to}>"))?;
            }
        }
        if reply.code == 250 {
            reply = self.try_command("DATA")?;
        }
        if reply.code != 354 {
            return Ok(reply);
        }
        self.send([content, b".\r\n"].concat())?;
        self.reply()
    }

    /// The same, which must succeed.
    #[track_caller]
    pub fn mail(&mut self, from: &str, to: &[&str], content: &str) {
        self.deliver(from, to, content.as_bytes()).unwrap().expect(250);
    }

    /// Everything until the server closes. A reset is an end, too.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Err(e) if e.kind() != io::ErrorKind::ConnectionReset => panic!("no end: {e}"),
            _ => rest,
        }
    }

    /// Breaks the connection off, without a word.
    pub fn reset(self) {
        let linger = Some(Duration::ZERO);
        socket2::SockRef::from(self.stream.get_ref()).set_linger(linger).unwrap();
    }

    /// Sends the end of the stream, and goes on reading.
    pub fn half_close(&mut self) {
        self.stream.get_ref().shutdown(Shutdown::Write).unwrap();
    }
}
