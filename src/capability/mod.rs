//! One file a capability: when it acts (`next`), whether it may (`readiness`), and what will be seen then (`effect`).

pub mod access;
pub mod authority;
pub mod certificates;
pub mod config;
pub mod findings;
pub mod prepare;
pub mod service;
pub mod version;
