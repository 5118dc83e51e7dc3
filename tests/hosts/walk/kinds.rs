//! The kinds of transitions, and which of them a cluster of so many members can take.

use super::strides::{HOSTS, Walk};

#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::VariantArray)]
pub enum Kind {
    AddOne,
    AddTwo,
    RemoveOne,
    RemoveLeader,
    RemoveTwo,
    /// Its host has lost power; it comes back later.
    RemoveDead,
    /// The host comes back as an empty machine.
    ReplaceWiped,
    /// `--lost`, and then the host comes back as it was.
    ReplaceLost,
    /// The same name on another host, while the old one serves.
    Move,
    /// The same name on another host, because the old one has lost power.
    MoveDead,
    ClientPort,
    PeerPort,
    MetricsPort,
    Setting,
    Restart,
    PowerCut,
    CutOff,
}

/// Members, most of the time.
const USUAL_MAX: usize = 5;

impl Kind {
    pub const ALL: &[Self] = <Self as strum::VariantArray>::VARIANTS;

    pub fn name(self) -> &'static str {
        match self {
            Kind::AddOne => "add a member",
            Kind::AddTwo => "add two members",
            Kind::RemoveOne => "remove a member",
            Kind::RemoveLeader => "remove the leader",
            Kind::RemoveTwo => "remove two members",
            Kind::RemoveDead => "remove a dead member",
            Kind::ReplaceWiped => "replace a wiped member",
            Kind::ReplaceLost => "replace a lost member",
            Kind::Move => "move a member",
            Kind::MoveDead => "move a dead member",
            Kind::ClientPort => "change the client port",
            Kind::PeerPort => "change the peer port",
            Kind::MetricsPort => "change the metrics port",
            Kind::Setting => "change a setting",
            Kind::Restart => "restart a member",
            Kind::PowerCut => "power cut",
            Kind::CutOff => "cut off",
        }
    }

    /// Whether a cluster can take it without losing its quorum for good. Only whole majorities are bet on: a dead member
    /// is taken out by those that stay.
    pub fn is_legal(self, members: usize, may_be_many: bool) -> bool {
        let most = if may_be_many { HOSTS } else { USUAL_MAX };
        match self {
            Kind::AddOne => members < most,
            Kind::AddTwo => members + 2 <= most,
            Kind::RemoveOne | Kind::RemoveLeader => members >= 2,
            Kind::RemoveTwo | Kind::RemoveDead | Kind::ReplaceWiped | Kind::ReplaceLost => members >= 3,
            Kind::Move => (2..HOSTS).contains(&members),
            Kind::MoveDead => (3..HOSTS).contains(&members),
            Kind::ClientPort
            | Kind::PeerPort
            | Kind::MetricsPort
            | Kind::Setting
            | Kind::Restart
            | Kind::PowerCut
            | Kind::CutOff => true,
        }
    }
}

/// The next transition: one of those that there were least of, mostly, so that a short walk sees many kinds.
pub fn choose(walk: &mut Walk) -> Kind {
    let members = walk.members().len();
    let may_be_many = walk.random.once_in(5);
    let legal = asked_for().into_iter().filter(|kind| kind.is_legal(members, may_be_many));
    let counted: Vec<(usize, Kind)> = legal.map(|kind| (walk.report.count(kind.name()), kind)).collect();
    if counted.is_empty() {
        return if members < HOSTS { Kind::AddOne } else { Kind::RemoveOne };
    }
    let least = counted.iter().map(|(count, _)| *count).min().unwrap_or_default();
    let any = walk.random.once_in(4);
    let kinds: Vec<Kind> = counted.iter().filter(|(count, _)| any || *count == least).map(|(_, kind)| *kind).collect();
    *walk.random.pick(&kinds)
}

/// All, or those of which QUORATE_WALK_KINDS has a part of the name, separated by commas.
fn asked_for() -> Vec<Kind> {
    let asked = std::env::var("QUORATE_WALK_KINDS").unwrap_or_default();
    let is_asked = |kind: &Kind| asked.split(',').any(|part| kind.name().contains(part.trim()));
    Kind::ALL.iter().copied().filter(is_asked).collect()
}
