//! What facts mean: who is a member and how well, what life the cluster is in, and what a look amounts to.

pub mod outline;
pub mod quorum;
pub mod situation;
pub mod snapshot;
pub mod standing;
