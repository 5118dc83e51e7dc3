pub mod command;
pub mod desired;
pub mod diagnostic;
pub mod guard;
pub mod names;
