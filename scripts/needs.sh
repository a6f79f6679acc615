# shellcheck shell=sh
# What scripts/run and scripts/test share: look for what is missing, say so, install it with the
# system's package manager, go on. Sourced, not run. POSIX sh.
#
# MAILFLUX_INSTALL=no keeps it from installing anything: then it only says what is missing.

: "${root:?needs.sh is sourced by a script that has set it}"
say() { printf '%s: %s\n' "scripts/${0##*/}" "$*" >&2; }
die() { say "$@"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# Daemons and their tools hide in folders that a user's PATH often lacks.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/libexec/postfix
has cargo || PATH=$PATH:$HOME/.cargo/bin
export PATH

# The package manager: apt (Debian, Ubuntu), dnf (Fedora), brew (macOS).
manager() {
    for it in apt-get dnf brew; do
        if has "$it"; then echo "$it"; return; fi
    done
    echo none
}

# as_root COMMAND...: brew must not be root; all others must. Never waits for a password that
# nobody can type.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"
    elif ! has sudo; then say "not root, and there is no sudo"; return 1
    elif [ -t 0 ]; then sudo "$@"
    else sudo -n "$@"
    fi
}

apt() {
    # --no-remove: a test tool is never worth another package, such as the machine's mail server.
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q \
        -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 "$@"
}

# install WHAT-FOR APT-NAMES DNF-NAMES BREW-NAMES: each a list of packages in one word; `-` where
# the system has none. False when it could not be installed.
install() {
    what=$1
    case $(manager) in
        apt-get) packages=$2 ;;
        dnf) packages=$3 ;;
        brew) packages=$4 ;;
        none) packages=- ;;
    esac
    if [ "$packages" = - ]; then
        say "$what is missing, and there is no package of it here (package manager: $(manager))"
        return 1
    elif [ "${MAILFLUX_INSTALL:-yes}" = no ]; then
        say "$what is missing (package: $packages)"
        return 1
    fi
    say "$what is missing: installing $packages with $(manager)"
    # The lists are lists of words on purpose.
    # shellcheck disable=SC2086
    case $(manager) in
        apt-get)
            # A fresh machine has no lists of packages yet.
            apt install -y --no-remove --no-install-recommends $packages >&2 || {
                apt update >&2 &&
                    apt install -y --no-remove --no-install-recommends $packages >&2
            } ;;
        dnf) as_root dnf install -y --setopt=install_weak_deps=False $packages >&2 ;;
        brew) brew install $packages >&2 ;;
    esac
}

need_rust() {
    has cargo || die "Rust is missing: install 1.85 or newer (rustup, or the system's package)"
    version=$(rustc --version 2>/dev/null) || die "rustc does not run; is a toolchain installed?"
    minor=${version#rustc 1.}
    minor=${minor%%.*}
    case $minor in
        '' | *[!0-9]*) ;; # a Rust 2, or something unusual: let it try
        *) [ "$minor" -ge 85 ] || die "$version is too old: MailFlux needs 1.85 (rustup update)" ;;
    esac
}

need_cc() {
    has cc || install "a C compiler" "gcc libc6-dev" gcc - ||
        die "install a C compiler, then start again"
}

has_curses() {
    flags=$(pkg-config --cflags --libs ncursesw 2>/dev/null) || flags=-lncursesw
    [ "$(uname -s)" != Darwin ] || flags=-lncurses
    # shellcheck disable=SC2086
    printf '%s\n' '#define _XOPEN_SOURCE_EXTENDED 1' '#include <curses.h>' \
        'int main(void) { cchar_t c; (void)c; return initscr() == 0; }' |
        cc -x c - $flags -o /dev/null 2>/dev/null
}

# Only when the program has a console to build.
need_curses() {
    grep -q '^pancurses' "$root/Cargo.toml" || return 0
    has_curses || install "ncurses for wide characters" libncurses-dev ncurses-devel ncurses ||
        die "install the development files of ncursesw, then start again"
    has_curses || die "ncursesw is installed, but a program that uses it does not build"
}

# smtp-source and strace, for tests that go without them when they cannot be had.
need_source() {
    if has debconf-set-selections && ! has smtp-source && [ "${MAILFLUX_INSTALL:-yes}" != no ]; then
        # Only the tools are wanted, not a mail server: unconfigured, it never starts.
        echo 'postfix postfix/main_mailer_type select No configuration' |
            as_root debconf-set-selections || :
    fi
    has smtp-source || install smtp-source postfix postfix - || say "going on without smtp-source"
    [ "$(uname -s)" != Linux ] || has strace || install strace strace strace - ||
        say "going on without strace"
}
