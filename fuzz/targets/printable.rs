//! See `mailflux_fuzz::printable`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailflux_fuzz::printable(data));
