//! In which worlds a guard matters, so that its mutant is looked for there first.

use crate::core::guard::Guard;

/// A family of worlds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Whose members stay.
    AtRest,
    /// Whose members come, go, or change their version.
    Rolling,
    Users,
    Backups,
    Certificates,
    Quotas,
    Timing,
    Unwritten,
    Names,
    Alarms,
    Starts,
    Sources,
    Connections,
    Others,
    Data,
    Moves,
    Room,
    Adopted,
}

impl Family {
    pub(super) fn of(guard: Guard) -> Self {
        match guard {
            Guard::NoDataBeforeBootstrap
            | Guard::NewClusterByName
            | Guard::AllSeenBeforeBootstrap
            | Guard::PortsFreeBeforeBootstrap
            | Guard::NoSecondAuthority
            | Guard::QuorumWithoutTheOneThatStops
            | Guard::HealthyBeforeRestart
            | Guard::DowntimeAllowed
            | Guard::NoStartWithoutData
            | Guard::DataOfThisCluster
            | Guard::ClocksAgree
            | Guard::OneConfigurationAtATime
            | Guard::AllAnswerBeforeReissue
            | Guard::OnePairAtATime => Self::AtRest,
            Guard::OneChangeAtATime
            | Guard::QuorumAfterRemoval
            | Guard::HealthyBeforeRemoval
            | Guard::OneLearner
            | Guard::HealthyBeforeAdding
            | Guard::HealthyBeforePromotion
            | Guard::LostIsGone
            | Guard::SurvivorsSeen
            | Guard::QuorumIsGone
            | Guard::SurvivorsRanked
            | Guard::OneMinorAtATime
            | Guard::WellBeforeUpgrade
            | Guard::NoDowngradeOfACluster
            | Guard::SnapshotBeforeUpgrade
            | Guard::SnapshotBeforeRisk
            | Guard::LogBeforeUpgrade
            | Guard::StagedBeforeAnnounced => Self::Rolling,
            Guard::RootBeforeAuth | Guard::UsersBeforeAuth | Guard::UsersGoByName => Self::Users,
            Guard::BackupCanRun | Guard::BackupIsMounted => Self::Backups,
            Guard::SoundBeforeChange => Self::Alarms,
            Guard::SourceIsNamed => Self::Sources,
            Guard::PeersConnected => Self::Connections,
            Guard::SameDataBeforeRisk => Self::Data,
            Guard::SuccessorIsReady | Guard::AddressIsFree => Self::Moves,
            Guard::QuotaHoldsDatabase => Self::Quotas,
            Guard::ElectionCanEnd => Self::Timing,
            Guard::WrittenBeforeUpgrade => Self::Unwritten,
            Guard::NamesApart => Self::Names,
            Guard::RoomBeforeStep | Guard::DiskNotFull => Self::Room,
            Guard::ComesBack | Guard::DataStaysWithMember => Self::Starts,
            Guard::OthersEtcd => Self::Others,
            Guard::SettingGivenOnce
            | Guard::NoUpgradeByRestart
            | Guard::SignerIsTrusted
            | Guard::PairsApart
            | Guard::LogIsWithData
            | Guard::ImageBeforeUpgrade
            | Guard::NewcomerCanBegin
            | Guard::KubeletRunsIt
            | Guard::PodSeesHost => Self::Adopted,
            Guard::GivenIsWhole
            | Guard::TrustedBeforeIssued
            | Guard::IssuedBeforeDropped
            | Guard::OldDroppedByName
            | Guard::ConsumersTrustFirst
            | Guard::ConsumersIssuedFirst => Self::Certificates,
        }
    }
}
