//! The log: env_logger writes the records of the journal to standard error.

use crate::base::{Failure, exit};
use crate::config::{LogFormat, LogSettings};
use crate::journal;

/// Starts logging. The filter was checked with the configuration.
pub fn start(settings: &LogSettings) -> Result<(), Failure> {
    let format = match settings.format {
        LogFormat::Text => journal::LogFormat::Text,
        LogFormat::Json => journal::LogFormat::Json,
    };
    let mut builder = env_logger::Builder::new();
    builder.parse_filters(&settings.level);
    builder.format(move |out, record| journal::write_record(format, record, out));
    let started = builder.try_init();
    started.map_err(|e| Failure::new(exit::SYSTEM, format!("cannot start the log: {e}")))
}
