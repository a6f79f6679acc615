//! See `mailflux_fuzz::dot_codec`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailflux_fuzz::dot_codec(data));
