//! Every guard of the product by name, so that a test can break each in turn and see a law fail.
//!
//! A guard that no law misses is either useless or untested. [`upheld`] is the condition itself in the product; only a
//! unit test can make it answer `true` for one guard, on its own thread.

use strum::VariantArray;

/// The guards that keep quorum and data. One word in a rule, one mutant in the laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
pub enum Guard {
    /// A new cluster is started only when no host shows data of an older one.
    NoDataBeforeBootstrap,
    /// An empty cluster takes the place of one that has lived only when the operator named it.
    NewClusterByName,
    /// A new cluster is started only when every host was seen.
    AllSeenBeforeBootstrap,
    /// A new cluster is started only when the ports it needs are free.
    PortsFreeBeforeBootstrap,
    /// A new authority is made only when no host trusts another one.
    NoSecondAuthority,
    /// A member is restarted only when the others are a quorum.
    QuorumWithoutTheOneThatStops,
    /// A member is restarted only when all voters that could be asked agree and are caught up.
    HealthyBeforeRestart,
    /// One or two members restart only with the user's word.
    DowntimeAllowed,
    /// A member whose data is gone is never started as if nothing had happened.
    NoStartWithoutData,
    /// A member is stopped or started, and made ready for that, only where etcd can start again.
    ComesBack,
    /// A setting of somebody else's service is written only where nothing else gives it: etcd does not start with one that is
    /// both a flag and a variable.
    SettingGivenOnce,
    /// Nobody else's service is restarted into a version that was only laid there.
    NoUpgradeByRestart,
    /// A certificate in somebody else's service is replaced only by one of a CA that every member trusts.
    SignerIsTrusted,
    /// A certificate in somebody else's service is replaced only where no other pair has its key, or the certificate alone.
    PairsApart,
    /// A member whose log is not in its data directory is never taken for one that has lost it.
    LogIsWithData,
    /// A static pod takes another image only where the node has it.
    ImageBeforeUpgrade,
    /// A member of somebody else's service goes only where another one can begin by the file of settings that is there.
    NewcomerCanBegin,
    /// A static pod is changed and restarted only where the kubelet runs, and reads that manifest.
    KubeletRunsIt,
    /// A static pod is changed only where its data and certificates are those of the host that were looked at.
    PodSeesHost,
    /// No member is started in a directory that its data is not in.
    DataStaysWithMember,
    /// A host that holds data of an unknown origin is not touched.
    DataOfThisCluster,
    /// A host on which another program runs an etcd in the place of ours is not touched.
    OthersEtcd,
    /// Nothing is done on a host whose clock is not ours.
    ClocksAgree,
    /// One member at a time gets a new configuration, so that a wrong one cannot take a quorum down.
    OneConfigurationAtATime,
    /// While the data of one member is known to differ, no other is restarted or taken out, and none is added.
    SoundBeforeChange,
    /// A member is started only where its peers will let it in: its certificate names the address that it speaks from.
    SourceIsNamed,
    /// While the members are known to hold different data, none is restarted or taken out but the one that differs.
    SameDataBeforeRisk,
    /// Nothing is written, and nothing begun that has to write it, where there is no room for it.
    RoomBeforeStep,
    /// While the disk of a member is full, it is not restarted, and no other one that is healthy is changed or taken out.
    DiskNotFull,
    /// While two members have no connection to each other, no third one is changed, restarted or taken out, and none is added.
    PeersConnected,
    /// A quota is brought to a member only when every database is smaller.
    QuotaHoldsDatabase,
    /// A cluster leaves etcd 3.4 only when a key was written to it.
    WrittenBeforeUpgrade,
    /// An election timeout is brought to a member only where an election can end within it.
    ElectionCanEnd,
    /// A working certificate is replaced only while every running member answers.
    AllAnswerBeforeReissue,
    /// Pairs of several running members are replaced together only where nothing works, and only those that do not work.
    OnePairAtATime,
    /// A member is taken out only when no replacement is under way.
    OneChangeAtATime,
    /// A member is taken out only when the healthy ones that stay are a quorum.
    QuorumAfterRemoval,
    /// A healthy member is taken out only when all others are well.
    HealthyBeforeRemoval,
    /// A member whose name is declared on another machine is taken out only when that machine was seen and everything that
    /// can be laid ready there is; one that has failed on its own machine, when the same is ready there.
    SuccessorIsReady,
    /// A machine that another member has is not taken for a declared node's.
    AddressIsFree,
    /// A member is added only when every other one has started and votes.
    OneLearner,
    /// A member is added only while every voter is well.
    HealthyBeforeAdding,
    /// A learner becomes a voter only when it runs and follows the leader.
    HealthyBeforePromotion,
    /// A member that can be reached with its data is not lost.
    LostIsGone,
    /// A cluster is made of one survivor only when every other one was seen.
    SurvivorsSeen,
    /// A cluster is made of one survivor only when the survivors are no quorum.
    QuorumIsGone,
    /// The survivor that has seen most goes on.
    SurvivorsRanked,
    /// A member is upgraded only when every one runs the minor version before.
    OneMinorAtATime,
    /// A member is upgraded only while every member is well, and none is being added.
    WellBeforeUpgrade,
    /// No member goes back to a minor version that the cluster has left.
    NoDowngradeOfACluster,
    /// The first member is upgraded only when there is a fresh snapshot.
    SnapshotBeforeUpgrade,
    /// What cannot be taken back is done only when there is a fresh snapshot, where any member can be asked for one.
    SnapshotBeforeRisk,
    /// The first member goes to 3.7 only when no member's log holds entries of 3.5 any more.
    LogBeforeUpgrade,
    /// The members are told another peer URL only of the one that is about to restart there.
    StagedBeforeAnnounced,
    /// Authentication is turned on only when root, as whom we come, may do everything.
    RootBeforeAuth,
    /// Authentication is turned on only when every declared user and role is there.
    UsersBeforeAuth,
    /// A user that is not declared goes only when the operator named it.
    UsersGoByName,
    /// The timer of snapshots is turned on only where a run can succeed.
    BackupCanRun,
    /// The timer of snapshots is turned on only where the mount is there that its folder was declared to be on.
    BackupIsMounted,
    /// Nothing is touched while one of the given certificates is wrong.
    GivenIsWhole,
    /// No file is put where a member has another one in use.
    NamesApart,
    /// A leaf of the new authority is issued only when every running member has loaded that authority.
    TrustedBeforeIssued,
    /// The old authority is dropped only when every leaf is the new one's.
    IssuedBeforeDropped,
    /// The old authority is dropped only when the operator named it: other clients may still come with its certificates.
    OldDroppedByName,
    /// A leaf of the new authority is issued only when every consumer trusts that authority.
    ConsumersTrustFirst,
    /// The old authority is dropped only when every consumer has a certificate of the new one.
    ConsumersIssuedFirst,
}

impl Guard {
    pub const ALL: &[Self] = Self::VARIANTS;
}

/// Whether `guard` lets the action pass: exactly `condition`, unless a unit test broke the guard.
#[cfg(not(test))]
pub(crate) fn upheld(_guard: Guard, condition: bool) -> bool {
    condition
}

#[cfg(test)]
pub(crate) use mutant::{broken, upheld, with_broken};

#[cfg(test)]
mod mutant {
    use std::cell::Cell;

    use super::Guard;

    thread_local!(static BROKEN: Cell<Option<Guard>> = const { Cell::new(None) });

    /// The guard that is broken on this thread.
    pub(crate) fn broken() -> Option<Guard> {
        BROKEN.get()
    }

    pub(crate) fn upheld(guard: Guard, condition: bool) -> bool {
        condition || broken() == Some(guard)
    }

    /// Runs `work` on this thread with `guard` broken.
    pub(crate) fn with_broken<T>(guard: Guard, work: impl FnOnce() -> T) -> T {
        BROKEN.set(Some(guard));
        let result = work();
        BROKEN.set(None);
        result
    }
}
