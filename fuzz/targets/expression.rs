//! See `mailflux_fuzz::expression`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailflux_fuzz::expression(data));
