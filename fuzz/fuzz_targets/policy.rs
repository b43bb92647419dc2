#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fieldseal_fuzz::targets::policy::run(data));
