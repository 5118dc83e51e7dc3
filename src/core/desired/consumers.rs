//! The clients of the cluster whose certificates are kept with its own, as declared.

use crate::core::names::{HostName, RemotePath, UserName};

/// A program that comes to etcd with a certificate of its own, such as an API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// The machine it runs on: the name of a declared node, or what ssh connects to.
    pub host: HostName,
    /// The common name of its certificate, by which etcd knows it.
    pub user: UserName,
    pub certificate: RemotePath,
    pub key: RemotePath,
    /// Where it reads which authorities it trusts; `None` where that is kept otherwise.
    pub authority: Option<RemotePath>,
    /// Who owns the files.
    pub owner: String,
    pub group: String,
    /// For root's shell on that machine, after files have changed.
    pub reload: Option<String>,
}
