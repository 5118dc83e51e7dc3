//! What needs neither root nor etcd: the binary's words, its files and this repository itself.

mod actions;
mod cli;
mod cluster_toml;
mod docs;
mod examples;
mod fixtures;
mod floors;
mod schemas;
mod tidy;
