pub mod action;
pub mod capability;
pub mod code;
pub mod content;
pub mod desired;
pub mod diagnostic;
pub mod event;
pub mod fleet;
pub mod guard;
#[cfg(test)]
mod laws;
pub mod layout;
pub mod names;
pub mod observed;
pub mod outline;
pub mod plan;
pub mod quorum;
#[cfg(test)]
mod sample;
pub mod situation;
