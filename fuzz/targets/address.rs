//! See `mailflux_fuzz::address`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailflux_fuzz::address(data));
