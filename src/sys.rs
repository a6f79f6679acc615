//! The one file with `unsafe`: system calls that std does not have.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::time::Duration;

/// The user as whom the process acts.
pub fn effective_user() -> u32 {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::geteuid() }
}

/// The user as whom the peer of a Unix socket acts.
#[cfg(target_os = "linux")]
pub fn peer_user(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut peer = libc::ucred { pid: 0, uid: libc::uid_t::MAX, gid: 0 };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the pointers are to a struct of the right kind and to its length, for the time of
    // the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok(peer.uid) } else { Err(io::Error::last_os_error()) }
}

/// The user as whom the peer of a Unix socket acts.
#[cfg(not(target_os = "linux"))]
pub fn peer_user(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let (mut user, mut group) = (libc::uid_t::MAX, libc::gid_t::MAX);
    // SAFETY: the pointers are to integers of the right kind, for the time of the call.
    match unsafe { libc::getpeereid(socket.as_raw_fd(), &raw mut user, &raw mut group) } {
        0 => Ok(user),
        _ => Err(io::Error::last_os_error()),
    }
}

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
    let most = if cfg!(target_os = "macos") { 10_240 } else { libc::rlim_t::MAX };
    limit.rlim_cur = limit.rlim_max.min(most);
    // SAFETY: as above; the struct is only read.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } == 0 {
        limit.rlim_cur
    } else {
        before
    }
}

/// Lets the kernel begin to write a part of a file, so that a later sync has less to wait for.
#[cfg(target_os = "linux")]
pub fn write_out(file: &File, from: u64, octets: u64) -> io::Result<()> {
    let (from, octets) = (from as libc::off64_t, octets as libc::off64_t);
    // SAFETY: the descriptor is open; a wrong range is an error, not a fault.
    let result = unsafe {
        libc::sync_file_range(file.as_raw_fd(), from, octets, libc::SYNC_FILE_RANGE_WRITE)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Where the kernel takes no hint, the part is synced in larger steps.
#[cfg(not(target_os = "linux"))]
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

/// The login name of the user as whom the process acts, from the system's list of users.
pub fn user_name() -> Option<String> {
    let mut buffer = vec![0 as libc::c_char; 16 << 10];
    // SAFETY: all zero is a valid value of this struct of integers and pointers.
    let mut user: libc::passwd = unsafe { std::mem::zeroed() };
    let mut found = std::ptr::null_mut();
    // SAFETY: all pointers are to live memory of the right kind, and the length is the buffer's.
    let result = unsafe {
        let (at, size) = (buffer.as_mut_ptr(), buffer.len());
        libc::getpwuid_r(effective_user(), &mut user, at, size, &mut found)
    };
    if result != 0 || found.is_null() || user.pw_name.is_null() {
        return None;
    }
    // SAFETY: on success the name is a C string in `buffer`, which is still alive.
    let name = unsafe { std::ffi::CStr::from_ptr(user.pw_name) };
    name.to_str().ok().map(str::to_owned)
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
    fn what_is_wiped_is_gone() {
        let mut octets = *b"hunter2";
        super::wipe(&mut octets);
        assert_eq!(octets, [0; 7]);
    }

    #[test]
    fn users_have_names() {
        // A container may run as a user that nobody has entered anywhere.
        if let Some(name) = super::user_name() {
            assert!(!name.is_empty());
        }
    }

    #[test]
    fn the_system_has_a_name() {
        assert!(super::hostname().is_some_and(|name| !name.contains('\0')));
    }
}
