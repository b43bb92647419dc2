//! x
use std::error::Error;
pub fn stream() -> Result<(), Box<dyn Error + Send + Sync>> { Ok(()) }
pub fn stream_peak() -> Result<(), Box<dyn Error + Send + Sync>> { Ok(()) }
