//! Configuration: one table of settings, and all that comes out of it.
//!
//! [`table`](mod@table) declares every setting once. The file, `--set`, the console's `config`,
//! `--check-config` and docs/settings.md all go through it: text is checked by name and by kind
//! when it enters [`Settings`], with its source remembered, and [`Config`] is made of that at the
//! end, typed and complete. Wrong settings are collected and told all at once.

mod change;
mod docs;
mod error;
mod file;
mod kind;
mod load;
mod login;
mod make;
mod save;
mod settings;
mod system;
pub mod table;
mod typed;
mod users;

pub use crate::base::nearest;
pub use change::Saved;
pub use docs::settings_page;
pub use error::{ConfigError, Place};
pub use kind::{Kind, Value};
pub use load::{Override, Purpose, Sources, load};
pub use login::{LoginSettings, SecretSource, first_line, read_secret};
pub use save::{Change, save_lines};
pub use settings::{Row, Settings, Source, unknown_setting};
pub use system::SystemNames;
pub use typed::{
    AuthSettings, Config, DnsSettings, InsightSettings, ListenerAuth, ListenerSettings,
    ListenerTls, LogSettings, NextServerSettings, QueueSettings, Route, RouteKey, ServerSettings,
    SinkSettings, Terms, TlsPolicy, TlsSettings, Way,
};
