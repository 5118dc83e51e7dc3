//! quorate keeps etcd clusters in the state that their cluster.toml declares: a plan is shown, and then applied step by step.
//!
//! There is no state file. The live hosts and the live cluster are the state:
//!
//! ```text
//! cluster.toml ── parse, validate ──► Desired                                   pure
//! ssh + etcd API ── look at all hosts at once, perhaps in part ──► Observed     shell
//! loop: next(Desired, Observed) → step ; Observed := effect(step)   ►   Plan    pure
//! Plan ── render ──► text, markdown, JSON                                       pure
//! apply, per step: look → is it approved? → readiness → perform → look until done   shell
//! ```
//!
//! # Where things stand
//!
//! ```text
//! src/shell/            what touches the world: cli · command/ (a file a verb) · apply · live/ (ssh, etcd, pki …)
//! src/core/render/      a plan as people and programs read it
//! src/core/planner/     the rules in order, the fixed point, and the way from an action to its capability
//! src/core/capability/  one file a capability: when it acts, whether it may, what follows
//! src/core/cluster/     what facts mean: membership, situation, trust, versions; and what etcd and systemd do next
//! src/core/plan/        the words: actions, steps, reasons, risks
//! src/core/content/     the text of files on hosts, and where they lie
//! src/core/desired/     what cluster.toml declares; desired/read/ is its reader, which the types know nothing of
//! src/core/observed/    what was seen
//! src/core/*.rs         the ground: names, codes, guards
//! ```
//!
//! Each uses only those below it, and no two files use each other: `tests/offline/floors.rs` reads it from the code.
//!
//! # What always holds
//!
//! 1. *The preview is what is done.* The [`core::plan::action::Action`] values that a plan prints are the ones that apply performs.
//! 2. *Recovery is planning again.* Nothing is written down to decide from; every step may be cut off anywhere.
//! 3. *A quorum that exists is kept*, before, during and after every step, unless the user allowed an outage.
//! 4. *What was not seen is not acted on.* A fact is known, or unknown with its cause; unknown is never absent.
//! 5. *One member at a time.* No step restarts two members that serve.
//! 6. *Nothing is lost.* Data directories and keys are moved aside; a member whose data is gone is not started.
//! 7. *What changes by itself is not a change.* The leader, revisions, sizes and serials are in no plan's identity.
//! 8. *Members come and go one at a time.* A failed one goes before its replacement comes, one that is well goes last.
//! 9. *Nobody is shut out by mistake.* Authentication goes on when root and every declared user are there.
//!
//! The `laws` test module checks 2 to 6, 8 and 9 on every combination of host states, and breaks each [`core::guard::Guard`]
//! to see that a law misses it.

//! # Words of our own
//!
//! All others are etcd's, systemd's and TLS'.
//!
//! - *look*: one gathering of all facts; *observed*: what it brought
//! - *margin*: how many more voters may fail before quorum is lost
//! - *guard*: a condition that keeps quorum or data; *law*: what every plan keeps; *mutant*: a guard broken to see a law fail
//! - *allowance*: a dangerous step that the operator named with `--allow`
//! - *standing*: what a declared host is to the member list; *newcomer*: one that is to join
//! - *former*: a machine whose member has left, or is to leave; *departure*: the record of one on the other hosts
//! - *adopted*: a service that somebody else has set up, of which quorate keeps what is declared
//! - *new-data marker*: the file with which etcd may start with an empty data directory
//! - *drill*: a test restore; *lab*: the hosts of the tests; *seam*: where another implementation may take over

pub mod core;
pub mod shell;

#[cfg(test)]
mod laws;
