//! The one part with `unsafe`: system calls that std does not have.
//!
//! What only Linux has, has a twin for all other systems. `--cfg portable_twins` takes the twin on
//! Linux, too: so the tests run it (`scripts/test` does that).
#![allow(unsafe_code)]

mod user;

use std::env;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub use self::user::{User, effective_user, is_forbidden, peer_user, user_name};

/// Sets the permissions that new files do not get; gives those from before.
pub fn set_umask(mask: libc::mode_t) -> libc::mode_t {
    // SAFETY: takes a number, cannot fail.
    unsafe { libc::umask(mask) }
}

/// Locks a file for this process, until it is closed or the process ends: false when another has
/// it.
pub fn try_lock(file: &File) -> io::Result<bool> {
    // SAFETY: the descriptor is open for as long as `file` lives.
    match unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } {
        0 => Ok(true),
        _ => match io::Error::last_os_error() {
            e if e.kind() == io::ErrorKind::WouldBlock => Ok(false),
            e => Err(e),
        },
    }
}

/// Waits without doing anything; a signal may end it early. Only for processes without a loop.
pub fn pause(time: Duration) {
    let milliseconds = libc::c_int::try_from(time.as_millis()).unwrap_or(libc::c_int::MAX);
    // SAFETY: with no descriptors the pointer is not followed.
    unsafe { libc::poll(std::ptr::null_mut(), 0, milliseconds) };
}

/// Raises the limit of open files to the hardest that is allowed; says what it is then.
pub fn raise_file_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a struct of the right kind, for the time of the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return 256;
    }
    let before = limit.rlim_cur;
    // macOS says "unlimited" and then refuses more than OPEN_MAX.
    let most =
        if cfg!(any(target_os = "macos", portable_twins)) { 10_240 } else { libc::rlim_t::MAX };
    limit.rlim_cur = limit.rlim_max.min(most);
    // SAFETY: as above; the struct is only read.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } == 0 {
        limit.rlim_cur
    } else {
        before
    }
}

/// Lets the kernel begin to write a part of a file, so that a later sync has less to wait for.
#[cfg(all(target_os = "linux", not(portable_twins)))]
pub fn write_out(file: &File, from: u64, octets: u64) -> io::Result<()> {
    let (from, octets) = (from as libc::off64_t, octets as libc::off64_t);
    // SAFETY: the descriptor is open; a wrong range is an error, not a fault.
    let result = unsafe {
        libc::sync_file_range(file.as_raw_fd(), from, octets, libc::SYNC_FILE_RANGE_WRITE)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Where the kernel takes no hint, the part is synced in larger steps.
#[cfg(any(not(target_os = "linux"), portable_twins))]
pub fn write_out(file: &File, from: u64, octets: u64) -> io::Result<()> {
    const STEP: u64 = 4 << 20;
    if from / STEP == (from + octets) / STEP { Ok(()) } else { file.sync_data() }
}

/// The system's own name, as `hostname` prints it; none when there is none or it is not UTF-8.
pub fn hostname() -> Option<String> {
    // A POSIX name has at most 255 octets; one more so that a cut name still ends in NUL.
    let mut name = [0u8; 257];
    // SAFETY: the pointer and the length describe `name`, of which the call gets all but the last
    // octet, so that a NUL always follows.
    let result = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) };
    let end = name.iter().position(|b| *b == 0)?;
    if result != 0 || end == 0 {
        return None;
    }
    std::str::from_utf8(&name[..end]).ok().map(str::to_owned)
}

/// A terminal on standard input that does not show what is typed, until this is dropped.
pub struct HiddenInput(libc::termios);

/// Hides what is typed on standard input. Signals of the keyboard are off as well: who was cut off
/// in the middle would find a terminal that stays silent.
pub fn hide_input() -> io::Result<HiddenInput> {
    // SAFETY: all zero is a valid value of this struct of integers.
    let mut before: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a struct of the right kind, for the time of the call.
    if unsafe { libc::tcgetattr(libc::STDIN_FILENO, &mut before) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut hidden = before;
    hidden.c_lflag &= !(libc::ECHO | libc::ISIG);
    // SAFETY: as above; the struct is only read.
    match unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSAFLUSH, &hidden) } {
        0 => Ok(HiddenInput(before)),
        _ => Err(io::Error::last_os_error()),
    }
}

impl Drop for HiddenInput {
    fn drop(&mut self) {
        // SAFETY: the pointer is to a struct of the right kind, which is only read.
        unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSAFLUSH, &self.0) };
    }
}

/// Forbids images of the process's memory when it dies: it holds secrets.
pub fn forbid_core() {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a struct of the right kind, for the time of the call.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &none) };
    // Linux gives an image to a program (core_pattern) whatever the limit says.
    #[cfg(all(target_os = "linux", not(portable_twins)))]
    // SAFETY: takes numbers only.
    unsafe {
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
    }
}

/// A socket that the process was started with.
#[derive(Debug)]
pub struct Handed {
    fd: OwnedFd,
    number: i32,
    name: String,
}

impl Handed {
    /// More are not taken.
    const MOST: i32 = 256;

    /// What whoever started the process handed over, by sd_listen_fds(3): descriptors from 3 on,
    /// meant for this very process. The variables that speak of them are taken away and the
    /// descriptors closed at exec, so that no child believes that they are its own. To be called
    /// once, at the start.
    pub fn take() -> io::Result<Vec<Handed>> {
        let known = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"];
        let [pid, count, names, _] = known.map(|name| env::var(name).unwrap_or_default());
        for name in known.iter().filter(|name| env::var_os(name).is_some()) {
            // SAFETY: there is one thread, and nobody else reads the environment now.
            unsafe { env::remove_var(name) };
        }
        if pid.parse() != Ok(std::process::id()) {
            return Ok(Vec::new());
        }
        let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "LISTEN_FDS is no number");
        let count: i32 = count.parse().map_err(|_| wrong())?;
        if !(0..=Handed::MOST).contains(&count) {
            return Err(wrong());
        }
        let mut names = names.split(':');
        (3..3 + count).map(|fd| Handed::at(fd, names.next().unwrap_or_default())).collect()
    }

    fn at(fd: RawFd, name: &str) -> io::Result<Handed> {
        // SAFETY: takes numbers only; a descriptor that is not open is an error.
        if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it is open, and by the protocol it is ours: nobody else here knows of it.
        let owned = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Handed { fd: owned, number: fd, name: name.into() })
    }

    /// Its number.
    pub fn number(&self) -> i32 {
        self.number
    }

    /// How it is called; may be empty.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl AsFd for Handed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<Handed> for OwnedFd {
    fn from(handed: Handed) -> OwnedFd {
        handed.fd
    }
}

/// Kills a process and its group, which it leads.
pub fn kill_group(leader: u32) {
    let Ok(leader) = libc::pid_t::try_from(leader) else { return };
    // SAFETY: takes numbers only; who has gone already is an error that says nothing new.
    unsafe { libc::kill(-leader, libc::SIGKILL) };
}

/// Overwrites octets with zeros, also where the compiler sees that nobody reads them again.
pub fn wipe(octets: &mut [u8]) {
    for octet in octets {
        // SAFETY: the reference is valid for a write of one octet.
        unsafe { std::ptr::write_volatile(octet, 0) };
    }
    std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
}

/// Whether a write to the descriptor has room now, or fails at once; files always have.
pub fn has_room(fd: BorrowedFd<'_>) -> bool {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: the pointer is to one pollfd, for the time of the call, which does not wait.
    unsafe { libc::poll(&mut poll, 1, 0) > 0 }
}

/// Waits until one of the descriptors has input, or its end; says which have.
pub fn wait_for_input<const N: usize>(fds: [BorrowedFd<'_>; N]) -> io::Result<[bool; N]> {
    let of =
        |fd: BorrowedFd<'_>| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut polled = fds.map(of);
    // SAFETY: the pointer is to so many pollfds, for the time of the call.
    let result = unsafe { libc::poll(polled.as_mut_ptr(), N as libc::nfds_t, -1) };
    match io::Error::last_os_error() {
        e if result < 0 && e.kind() != io::ErrorKind::Interrupted => Err(e),
        _ if result < 0 => Ok([false; N]),
        _ => Ok(polled.map(|polled| polled.revents != 0)),
    }
}

/// The terminal of a person, on a descriptor of our own: opened again by its name, so that not
/// waiting for it does not change what the shell and others do with theirs.
#[derive(Debug)]
pub struct Tty {
    file: File,
    /// As it was found.
    before: libc::termios,
}

impl Tty {
    /// Opens the terminal that a descriptor is. It is an error when it is none.
    pub fn open(fd: BorrowedFd<'_>) -> io::Result<Tty> {
        let named = terminal_name(fd).and_then(|name| open_terminal(&name));
        // A terminal of another user may have a name that may not be opened.
        let file = named.or_else(|e| open_terminal(c"/dev/tty").map_err(|_| e))?;
        // SAFETY: all zero is a valid value of this struct of integers.
        let mut before: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: the descriptor is open and the pointer is to a struct of the right kind.
        match unsafe { libc::tcgetattr(file.as_raw_fd(), &mut before) } {
            0 => Ok(Tty { file, before }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The open terminal.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Hands every key over at once and as it is, Ctrl-S and Ctrl-Z too, and paints nothing itself.
    pub fn set_raw(&self) -> io::Result<()> {
        let mut raw = self.before;
        // SAFETY: the pointer is to a struct of the right kind, which is changed and nothing else.
        unsafe { libc::cfmakeraw(&mut raw) };
        self.set_mode(&raw)
    }

    /// Back to how it was found.
    pub fn restore(&self) -> io::Result<()> {
        self.set_mode(&self.before)
    }

    fn set_mode(&self, mode: &libc::termios) -> io::Result<()> {
        // At once, not when all is written: that might be never.
        // SAFETY: the descriptor is open; the struct is only read.
        match unsafe { libc::tcsetattr(self.file.as_raw_fd(), libc::TCSANOW, mode) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Columns and rows; none when it does not know.
    pub fn size(&self) -> Option<(u16, u16)> {
        // SAFETY: all zero is a valid value of this struct of integers.
        let mut size: libc::winsize = unsafe { std::mem::zeroed() };
        // SAFETY: this request fills a struct of this kind.
        let result = unsafe { libc::ioctl(self.file.as_raw_fd(), libc::TIOCGWINSZ, &mut size) };
        (result == 0 && size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
    }

    /// Whether it is ours to use: a job in the background must neither read nor set it.
    pub fn is_ours(&self) -> bool {
        // SAFETY: both take no pointers; a wrong descriptor is an error, not a fault.
        unsafe { libc::tcgetpgrp(self.file.as_raw_fd()) == libc::getpgrp() }
    }
}

/// The name of the terminal that a descriptor is.
fn terminal_name(fd: BorrowedFd<'_>) -> io::Result<CString> {
    let mut name = [0u8; 256];
    // SAFETY: the pointer and the length describe `name`.
    match unsafe { libc::ttyname_r(fd.as_raw_fd(), name.as_mut_ptr().cast(), name.len()) } {
        0 => CStr::from_bytes_until_nul(&name)
            .map(CStr::to_owned)
            .map_err(|_| io::ErrorKind::InvalidData.into()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

fn open_terminal(name: &CStr) -> io::Result<File> {
    let flags = libc::O_RDWR | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the name is a C string.
    let fd = unsafe { libc::open(name.as_ptr(), flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, and nobody else's.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// What brings a terminal back after a panic: a descriptor, its mode, the octets to write.
static AFTER_PANIC: Mutex<Option<(File, libc::termios, Vec<u8>)>> = Mutex::new(None);

/// A panic brought the terminal back.
static RESTORED: AtomicBool = AtomicBool::new(false);

/// Whether a panic has brought the terminal back: who does so again hides what it said.
pub fn is_terminal_restored() -> bool {
    RESTORED.load(Ordering::Relaxed)
}

/// Keeps what [`restore_after_panic`] needs; nothing when the terminal is restored already.
pub fn remember_terminal(tty: Option<(&Tty, Vec<u8>)>) {
    let kept = tty.and_then(|(tty, octets)| Some((tty.file.try_clone().ok()?, tty.before, octets)));
    *AFTER_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = kept;
}

/// Brings the terminal back, so that what is said about a panic can be read.
pub fn restore_after_panic() {
    let kept = AFTER_PANIC.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some((mut file, mode, octets)) = kept else { return };
    RESTORED.store(true, Ordering::Relaxed);
    let _ = file.write(&octets);
    // SAFETY: the descriptor is open; the struct is only read.
    unsafe { libc::tcsetattr(file.as_raw_fd(), libc::TCSANOW, &mode) };
}

/// Takes the user's locale for characters; says whether it is UTF-8.
pub fn set_locale() -> bool {
    // SAFETY: the name is a C string; there is one thread, so nobody else asks for the locale.
    unsafe { libc::setlocale(libc::LC_CTYPE, c"".as_ptr()) };
    // SAFETY: takes no pointer; the answer is a C string that lives until the next call.
    let name = unsafe { CStr::from_ptr(libc::nl_langinfo(libc::CODESET)) };
    name.to_bytes().eq_ignore_ascii_case(b"utf-8") || name.to_bytes().eq_ignore_ascii_case(b"utf8")
}

/// Stops the process, as Ctrl-Z does elsewhere, until somebody lets it go on. False when it did not
/// stop: where no shell with job control is above it, nobody could let it go on, and the system
/// discards this signal (POSIX: orphaned process groups), unlike SIGSTOP.
pub fn stop() -> bool {
    // SAFETY: all zero is a valid value of these structs; the pointers are to them or null, for the
    // time of the calls. What is changed for this thread and signal is put back.
    unsafe {
        let (mut usual, mut ours): (libc::sigaction, libc::sigaction) = std::mem::zeroed();
        let (mut going_on, mut before, mut pending): (libc::sigset_t, _, libc::sigset_t) =
            std::mem::zeroed();
        usual.sa_sigaction = libc::SIG_DFL;
        libc::sigemptyset(&mut going_on);
        libc::sigaddset(&mut going_on, libc::SIGCONT);
        // SIGCONT lets a process go on also where it is blocked, and then stays to be seen.
        libc::pthread_sigmask(libc::SIG_BLOCK, &going_on, &mut before);
        libc::sigaction(libc::SIGTSTP, &usual, &mut ours);
        libc::raise(libc::SIGTSTP);
        libc::sigaction(libc::SIGTSTP, &ours, std::ptr::null_mut());
        libc::sigpending(&mut pending);
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        libc::sigismember(&pending, libc::SIGCONT) == 1
    }
}

/// A file without a name, open as a C stream too: what C code writes to the stream is read from
/// the file. All writes append.
#[derive(Debug)]
pub struct ScratchStream {
    stream: *mut libc::FILE,
    file: File,
}

impl ScratchStream {
    /// An empty one.
    pub fn new() -> io::Result<ScratchStream> {
        let stream = scratch_stream()?;
        // SAFETY: the stream is open.
        let fd = unsafe { libc::fileno(stream) };
        // SAFETY: the descriptor is open for as long as the stream is, which is not closed here.
        let file = unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned().map(File::from);
        // SAFETY: takes no pointer; the descriptor is open.
        let flags = unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_APPEND) };
        match file {
            Ok(file) if flags == 0 => Ok(ScratchStream { stream, file }),
            Ok(_) => Err(io::Error::last_os_error()),
            Err(e) => Err(e),
        }
    }

    /// The stream, for C code, for as long as this lives.
    pub fn as_ptr(&self) -> *mut libc::FILE {
        self.stream
    }

    /// Takes out what was written.
    pub fn take(&mut self) -> io::Result<Vec<u8>> {
        // SAFETY: the stream is open.
        unsafe { libc::fflush(self.stream) };
        let length = usize::try_from(self.file.metadata()?.len()).unwrap_or(0);
        let mut octets = vec![0; length];
        self.file.read_exact_at(&mut octets, 0)?;
        self.file.set_len(0)?;
        Ok(octets)
    }
}

impl Drop for ScratchStream {
    fn drop(&mut self) {
        // SAFETY: the stream is open, and nobody uses it after this.
        unsafe { libc::fclose(self.stream) };
    }
}

/// In memory, where the system has that.
#[cfg(all(target_os = "linux", not(portable_twins)))]
fn scratch_stream() -> io::Result<*mut libc::FILE> {
    // SAFETY: the name is a C string.
    let fd = unsafe { libc::memfd_create(c"screen".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and open; the mode is a C string.
    let stream = unsafe { libc::fdopen(fd, c"w+".as_ptr()) };
    if stream.is_null() { Err(io::Error::last_os_error()) } else { Ok(stream) }
}

#[cfg(any(not(target_os = "linux"), portable_twins))]
fn scratch_stream() -> io::Result<*mut libc::FILE> {
    // SAFETY: takes nothing.
    let stream = unsafe { libc::tmpfile() };
    if stream.is_null() { Err(io::Error::last_os_error()) } else { Ok(stream) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsFd as _;

    #[test]
    fn what_is_full_has_no_room() {
        let (reader, mut writer) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(super::has_room(writer.as_fd()));
        writer.set_nonblocking(true).unwrap();
        while writer.write(&[0; 512]).is_ok() {}
        assert!(!super::has_room(writer.as_fd()));
        drop(reader);
        // Now a write fails at once.
        assert!(super::has_room(writer.as_fd()));
    }

    #[test]
    fn what_has_input_is_told() {
        let (reader, mut writer) = std::os::unix::net::UnixStream::pair().unwrap();
        let (ended, other) = std::os::unix::net::UnixStream::pair().unwrap();
        writer.write_all(b"x").unwrap();
        let wait = || super::wait_for_input([ended.as_fd(), reader.as_fd()]).unwrap();
        assert_eq!(wait(), [false, true]);
        drop(other);
        assert_eq!(wait(), [true, true]);
    }

    #[test]
    fn what_is_wiped_is_gone() {
        let mut octets = *b"hunter2";
        super::wipe(&mut octets);
        assert_eq!(octets, [0; 7]);
    }

    #[test]
    fn the_system_has_a_name() {
        assert!(super::hostname().is_some_and(|name| !name.contains('\0')));
    }
}
