//! What facts mean, for every capability alike; and what etcd and systemd do next, as effects predict it.
//!
//! - who belongs to it, and how well: [`quorum`], [`quorum_lost`], [`alarms`], [`sameness`], [`standing`], [`situation`],
//!   [`departed`], [`lost`], [`joining`], [`succession`], [`source`], [`connections`]
//! - what runs and may run: [`version`], [`upgrade`], [`process`], [`staged`], [`bare`], [`setup`], [`first_start`], [`next_start`],
//!   [`turn`]
//! - what the database may fill: [`quota`]; what is free on disks: [`room`]; who else runs an etcd: [`others`], in which ways: [`layouts`],
//!   [`adoption`], [`adopted`]; who else is at work: [`locked`]; what a
//!   check-up means: [`checkup`]
//! - who trusts whom: [`trust`], [`leaf`]; how far a rotation is: [`rotation`]; whom its end would shut out: [`clients`]
//! - snapshots: [`snapshot`], [`saved`], [`insurance`], [`restoration`]; what shows a cluster that is gone: [`former_life`]
//! - [`view`]: all of that for a rule; [`risk`]: what a step may cost; [`model`]: what an action brings about
//! - [`outline`]: a look in lines that can be compared; [`overview`]: what its headline says

pub mod adoption;
pub mod adopted;
pub mod alarms;
pub mod bare;
pub mod changed;
pub mod checkup;
pub mod clients;
pub mod connections;
pub mod crash;
pub mod departed;
pub mod first_start;
pub mod former_life;
pub mod image;
pub mod insurance;
pub mod joining;
pub mod layouts;
pub mod leaf;
pub mod locked;
pub mod lost;
pub mod model;
pub mod named;
pub mod next_start;
pub mod others;
pub mod outline;
pub mod overview;
pub mod process;
pub mod quorum;
pub mod quorum_lost;
pub mod quota;
pub mod restart;
pub mod restoration;
pub mod risk;
pub mod room;
pub mod rotation;
pub mod sameness;
pub mod saved;
pub mod setup;
pub mod sighting;
pub mod situation;
pub mod snapshot;
pub mod source;
pub mod staged;
pub mod standing;
pub mod succession;
pub mod timing;
pub mod trust;
pub mod turn;
pub mod upgrade;
pub mod version;
pub mod view;
