//! The command line of the built program: options, errors, exit codes, and mail through `send`.

mod cli {
    pub mod config;
    pub mod explain;
    pub mod passwd;
    pub mod program;
    pub mod send;
    pub mod server;
}
