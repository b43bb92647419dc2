//! Derive macros of [`fieldseal`](https://docs.rs/fieldseal). Reserved: there is none yet.
