//! Users: as whom the process acts, and how it becomes one with fewer rights.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// The user as whom the process acts.
pub fn effective_user() -> u32 {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::geteuid() }
}

/// The user as whom the peer of a Unix socket acts.
#[cfg(all(target_os = "linux", not(portable_twins)))]
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
#[cfg(any(not(target_os = "linux"), portable_twins))]
pub fn peer_user(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let (mut user, mut group) = (libc::uid_t::MAX, libc::gid_t::MAX);
    match peer_ids(socket.as_raw_fd(), &mut user, &mut group) {
        0 => Ok(user),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(not(target_os = "linux"))]
fn peer_ids(socket: i32, user: &mut libc::uid_t, group: &mut libc::gid_t) -> i32 {
    // SAFETY: the pointers are to integers of the right kind, for the time of the call.
    unsafe { libc::getpeereid(socket, user, group) }
}

/// Linux has no getpeereid(3): made here of what it has.
#[cfg(all(target_os = "linux", portable_twins))]
fn peer_ids(socket: i32, user: &mut libc::uid_t, group: &mut libc::gid_t) -> i32 {
    let mut peer = libc::ucred { pid: 0, uid: libc::uid_t::MAX, gid: 0 };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    let (level, option) = (libc::SOL_SOCKET, libc::SO_PEERCRED);
    let to = (&raw mut peer).cast();
    // SAFETY: the pointers are to a struct of the right kind and to its length.
    let result = unsafe { libc::getsockopt(socket, level, option, to, &raw mut length) };
    (*user, *group) = (peer.uid, peer.gid);
    result
}

/// Whether the process's user may not read a file, or not get there. Of no file at all it is not
/// said. It counts who the process is, not as whom it acts for a while.
pub fn is_forbidden(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: the path is a C string.
    let result = unsafe { libc::access(path.as_ptr(), libc::R_OK) };
    result != 0 && io::Error::last_os_error().kind() == io::ErrorKind::PermissionDenied
}

/// The login name of the user as whom the process acts, from the system's list of users.
pub fn user_name() -> Option<String> {
    // SAFETY: the closure only hands on what it gets, to a call that takes just that.
    let found = entry(|user, at, size, found| unsafe {
        libc::getpwuid_r(effective_user(), user, at, size, found)
    });
    found.ok().flatten()?.name.into_string().ok()
}

/// A user of this system.
#[derive(Clone, Debug)]
pub struct User {
    name: CString,
    id: libc::uid_t,
    group: libc::gid_t,
}

impl User {
    /// The one with this login name; none when the system has no such user.
    pub fn find(name: &str) -> io::Result<Option<User>> {
        let Ok(name) = CString::new(name) else { return Ok(None) };
        // SAFETY: as above; the name is a C string that lives until the call has ended.
        entry(|user, at, size, found| unsafe {
            libc::getpwnam_r(name.as_ptr(), user, at, size, found)
        })
    }

    /// The number.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The number of the first group.
    pub fn group(&self) -> u32 {
        self.group
    }

    /// From now on root acts as this user, until [`User::return_to_root`].
    pub fn act(&self) -> io::Result<()> {
        // The groups first: once it is somebody else, the process may not.
        // SAFETY: the name is a C string; the others take numbers only.
        unsafe {
            done(libc::initgroups(self.name.as_ptr(), self.group as _))?;
            done(libc::setegid(self.group))?;
            done(libc::seteuid(self.id))
        }
    }

    /// Root again, for what only root may do.
    pub fn return_to_root(&self) -> io::Result<()> {
        // SAFETY: takes a number.
        done(unsafe { libc::seteuid(0) })
    }

    /// Root becomes this user for good: there is no way back, and it is tried whether there is.
    pub fn become_for_good(&self) -> io::Result<()> {
        // SAFETY: as in `act`. Of root, setgid and setuid change the real, effective and saved
        // one.
        unsafe {
            done(libc::initgroups(self.name.as_ptr(), self.group as _))?;
            done(libc::setgid(self.group))?;
            done(libc::setuid(self.id))?;
        }
        // SAFETY: these take numbers or nothing.
        let regained = unsafe {
            let users = (libc::getuid(), libc::geteuid()) != (self.id, self.id);
            let groups = (libc::getgid(), libc::getegid()) != (self.group, self.group);
            users || groups || libc::setuid(0) == 0 || libc::seteuid(0) == 0
        };
        if regained { Err(io::Error::other("root could be regained")) } else { Ok(()) }
    }
}

fn done(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// One entry of the system's list of users, by a call of the kind of getpwnam_r(3).
fn entry(
    call: impl Fn(
        *mut libc::passwd,
        *mut libc::c_char,
        libc::size_t,
        *mut *mut libc::passwd,
    ) -> libc::c_int,
) -> io::Result<Option<User>> {
    let mut buffer = vec![0 as libc::c_char; 16 << 10];
    let mut user = MaybeUninit::<libc::passwd>::zeroed();
    let mut found = std::ptr::null_mut();
    match call(user.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), &mut found) {
        0 if found.is_null() => Ok(None),
        0 => {
            // SAFETY: all zero is a valid value of this struct, and the call has filled it.
            let user = unsafe { user.assume_init() };
            if user.pw_name.is_null() {
                return Ok(None);
            }
            // SAFETY: on success the name is a C string in `buffer`, which is still alive.
            let name = unsafe { CStr::from_ptr(user.pw_name) }.to_owned();
            Ok(Some(User { name, id: user.pw_uid, group: user.pw_gid }))
        }
        // POSIX has no number for it; these are seen where there is no such user, getpwnam(3).
        libc::ENOENT | libc::ESRCH => Ok(None),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_names() {
        // A container may run as a user that nobody has entered anywhere.
        if let Some(name) = user_name() {
            assert!(!name.is_empty());
        }
    }

    #[test]
    fn users_are_found_by_name() {
        assert_eq!(User::find("root").unwrap().map(|root| root.id()), Some(0));
        for name in ["no-such-user-here", "", "a\0b"] {
            assert!(User::find(name).unwrap().is_none(), "{name:?}");
        }
    }

    #[test]
    fn what_is_there_or_is_not_there_is_not_forbidden() {
        for path in ["/", "/no/such/file", "a\0b"] {
            assert!(!is_forbidden(Path::new(path)), "{path:?}");
        }
    }
}
