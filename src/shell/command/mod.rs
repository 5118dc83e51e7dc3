//! One file per verb: each wires the core to the shell.

pub mod apply;
pub mod approval;
pub mod backup;
mod ca_key;
pub mod certs;
pub mod completions;
pub mod context;
pub mod doctor;
pub mod etcdctl;
pub mod explain;
pub mod export;
pub mod init;
pub mod live;
pub mod load;
pub mod lock;
pub mod logs;
pub mod man;
pub mod move_leader;
pub mod output;
pub mod passphrase;
pub mod plan;
pub mod request;
pub mod restore;
pub mod schema;
pub mod show;
pub mod status;
pub mod validate;
