//! See `mailflux_fuzz::client_session`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailflux_fuzz::client_session(data));
