//! See `mailflux_fuzz::control`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailflux_fuzz::control(data));
