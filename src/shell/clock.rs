//! This machine's clock.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::core::names::UnixSeconds;

pub fn now() -> UnixSeconds {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixSeconds(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
