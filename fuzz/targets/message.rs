//! See `mailflux_fuzz::message`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailflux_fuzz::message(data));
