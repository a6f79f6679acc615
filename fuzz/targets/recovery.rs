//! See `mailflux_fuzz::recovery`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailflux_fuzz::recovery(data));
