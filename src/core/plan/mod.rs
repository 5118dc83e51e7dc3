//! The words of a plan.

pub mod action;
