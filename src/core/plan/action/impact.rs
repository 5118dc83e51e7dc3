//! What an action does to a running etcd. Each family says it once; risk, margin and the words of a plan follow from it.

/// What an action does to a running etcd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Impact {
    /// No running service notices.
    Nothing,
    /// A member that does not serve is started.
    Start,
    /// A member restarts.
    Restart,
    /// A member is stopped, and stays so.
    Stop,
    /// The member list changes; `voters`: also who votes.
    Membership { voters: bool },
    /// Who may do what in the cluster changes; `felt`: clients may be shut out, or let in.
    Access { felt: bool },
    /// Nobody serves meanwhile, and what only others had seen is lost.
    Outage,
    /// The data of a member that is stopped is replaced: the cluster begins anew from it.
    Replacement,
}

/// The effect of most actions, in words.
pub const NO_IMPACT: &str = "no impact on running services";

/// Of what etcd reads at its start alone.
pub(super) const UNTIL_RESTART: &str = "none until etcd restarts";

/// The same of an etcd that does not run yet.
pub(super) const UNTIL_START: &str = "none until etcd starts";
