//! What is run against programs on this machine, each on loopback: sshd, etcd of each version, a stand-in for Vault, an S3
//! server, and the shells that the scripts are written for. What cannot be had is skipped by name.

#[path = "../lab/mod.rs"]
mod lab;

mod backup_script;
mod cronjob;
mod etcd_api;
mod offsite;
mod ssh;
mod vault;
