//! See `mailflux_fuzz::bdat_codec`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailflux_fuzz::bdat_codec(data));
