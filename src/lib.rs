//! MailFlux, the mail server for experts: a forwarding SMTP server on one thread and one event
//! loop.
//!
//! Read `ARCHITECTURE.md` first; then the modules from the bottom up, in the order below.

pub mod auth;
pub mod base;
pub mod cli;
pub mod config;
pub mod console;
pub mod control;
pub mod demo;
pub mod dns;
pub mod explain;
pub mod history;
pub mod journal;
pub mod logger;
pub mod message;
pub mod page;
pub mod queue;
pub mod reactor;
pub mod record;
pub mod rules;
pub mod sink;
pub mod smtp;
pub mod spool;
pub mod sys;
pub mod tutor;
