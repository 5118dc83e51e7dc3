//! quorate on real hosts: the built binary, systemd, sshd and etcd, nothing stood in for.
//!
//! Needs root (tests/lab says what else); without it every test says that it is skipped.

mod scene;
mod secrets;

mod addresses;
mod adopted;
mod auth;
mod backup_policy;
mod backup_shared;
mod bootstrap;
mod certificates;
mod certs;
mod consumers;
mod crash;
mod doctor;
mod drift;
mod expired;
mod forms;
mod kubeadm;
mod lock;
mod membership;
mod moves;
mod node_authority;
mod openssh;
mod others;
mod outage;
mod reads;
mod recovery;
mod refusals;
mod restore;
mod rolling;
mod saved_plan;
mod sessions;
mod snapshots;
mod vault;
mod verbs;
