//! This machine's clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::core::names::UnixSeconds;

pub fn now() -> UnixSeconds {
    UnixSeconds(i64::try_from(since_1970().as_secs()).unwrap_or(i64::MAX))
}

/// Seconds since 1970 with their fractions, to compare another clock with.
pub fn precise_seconds() -> f64 {
    since_1970().as_secs_f64()
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
