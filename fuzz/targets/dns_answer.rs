//! See `mailflux_fuzz::dns_answer`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailflux_fuzz::dns_answer(data));
