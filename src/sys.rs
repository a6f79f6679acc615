//! The one file with `unsafe`: system calls that std does not have.
#![allow(unsafe_code)]

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

#[cfg(test)]
mod tests {
    #[test]
    fn the_system_has_a_name() {
        assert!(super::hostname().is_some_and(|name| !name.contains('\0')));
    }
}
