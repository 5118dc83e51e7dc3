//! When snapshots are taken, as declared and as systemd takes it.

/// When snapshots are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// As declared.
    pub cron: String,
    /// For `OnCalendar=`, one line each; the timer fires at any of them. One or two.
    pub calendar: Vec<String>,
}
