//! A terminal that programs run on: a pty, read back by an emulator that we did not write.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Read, Write};
use std::num::NonZero;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};

use crate::wait_for;

/// The end of the pty that a person sits at.
pub struct Terminal {
    master: Option<File>,
    /// Kept open, so that what its last user leaves behind can still be asked for.
    slave: OwnedFd,
    pub screen: vt100::Parser,
    /// Everything that was written to it.
    pub octets: Vec<u8>,
}

impl Terminal {
    /// A terminal with so many columns and rows.
    pub fn new(columns: u16, rows: u16) -> Terminal {
        let (mut master, mut slave) = (0, 0);
        let size = winsize(columns, rows);
        // SAFETY: the pointers are to two integers and a size; the others may be null.
        let result = unsafe {
            let (name, mode) = (std::ptr::null_mut(), std::ptr::null_mut());
            libc::openpty(&mut master, &mut slave, name, mode, &size as *const _ as *mut _)
        };
        assert_eq!(result, 0, "{}", io::Error::last_os_error());
        for fd in [master, slave] {
            // SAFETY: the descriptors are new; nobody else sets their flags.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
        // SAFETY: as above.
        unsafe { libc::fcntl(master, libc::F_SETFL, libc::O_NONBLOCK) };
        // SAFETY: the descriptors are new, and nobody else's.
        let (master, slave) = unsafe { (File::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
        let screen = vt100::Parser::new(some(rows), some(columns), 0);
        Terminal { master: Some(master), slave, screen, octets: Vec::new() }
    }

    /// Starts a program on it, as the leader of a session.
    pub fn start(&self, command: &mut Command) -> Running {
        let side = || std::process::Stdio::from(self.slave.try_clone().unwrap());
        command.stdin(side()).stdout(side()).stderr(side());
        // SAFETY: both calls are allowed between fork and exec.
        unsafe {
            command.pre_exec(|| {
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY, 0);
                Ok(())
            })
        };
        Running(command.spawn().unwrap())
    }

    fn master(&self) -> &File {
        self.master.as_ref().unwrap()
    }

    /// Takes what was written meanwhile; false when there was nothing.
    pub fn read(&mut self) -> bool {
        let mut octets = [0; 16 << 10];
        match self.master().read(&mut octets) {
            Ok(n) => {
                self.screen.process(&octets[..n]);
                self.octets.extend_from_slice(&octets[..n]);
                n > 0
            }
            Err(_) => false,
        }
    }

    /// Types.
    pub fn send(&mut self, keys: impl AsRef<[u8]>) {
        self.master().write_all(keys.as_ref()).unwrap();
    }

    /// The screen as text.
    pub fn text(&mut self) -> String {
        while self.read() {}
        self.screen.screen().contents()
    }

    /// The screen.
    pub fn shown(&mut self) -> &vt100::Screen {
        while self.read() {}
        self.screen.screen()
    }

    /// Waits until the screen shows something; says the whole screen.
    #[track_caller]
    pub fn shows(&mut self, what: &str) -> String {
        let mut last = String::new();
        let found = wait_or(|| {
            last = self.text();
            last.contains(what).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("never shown: {what}\n{last}"))
    }

    /// Another size, and the signal that says so.
    pub fn resize(&mut self, columns: u16, rows: u16) {
        let size = winsize(columns, rows);
        // SAFETY: this request reads a struct of this kind.
        unsafe { libc::ioctl(self.master().as_raw_fd(), libc::TIOCSWINSZ, &size) };
        self.screen.screen_mut().set_size(some(rows), some(columns));
    }

    /// The mode: whether it echoes and takes whole lines, as shells want it.
    pub fn is_cooked(&self) -> bool {
        // SAFETY: all zero is a valid value, and the pointer is to a struct of the right kind.
        let mode = unsafe {
            let mut mode: libc::termios = std::mem::zeroed();
            libc::tcgetattr(self.slave.as_raw_fd(), &mut mode);
            mode
        };
        let both = libc::ICANON | libc::ECHO | libc::ISIG;
        mode.c_lflag & both == both && mode.c_iflag & libc::IXON != 0
    }

    /// The person is gone.
    pub fn hang_up(&mut self) {
        self.master = None;
    }
}

fn some(length: u16) -> NonZero<u16> {
    NonZero::new(length).unwrap()
}

fn winsize(columns: u16, rows: u16) -> libc::winsize {
    libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// Asks until there is an answer, or patience ends.
fn wait_or<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let start = std::time::Instant::now();
    while start.elapsed() < crate::PATIENCE / 2 {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        crate::pause();
    }
    None
}

/// A program on a terminal; killed when it is dropped.
pub struct Running(pub Child);

impl Running {
    /// Waits for its end, while somebody reads the terminal.
    pub fn ends(&mut self, terminal: &mut Terminal) -> ExitStatus {
        wait_for("the end of the program", || {
            if terminal.master.is_some() {
                terminal.read();
            }
            self.0.try_wait().unwrap()
        })
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
