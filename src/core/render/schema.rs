//! The JSON Schemas of cluster.toml and of what quorate prints for programs. Checked in under `schema/`, and printed by
//! `quorate schema`.

use crate::core::render::pretty;
use schemars::{JsonSchema, schema_for};

use super::json::Document;
use crate::core::render::event::Record;

/// The documents that have a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Subject {
    /// cluster.toml, for editors.
    Cluster,
    /// `plan --format json`, and saved plans.
    Plan,
    /// Each line of `apply --json`.
    Events,
    /// `status --json`.
    Status,
    /// `status --from-live --json`.
    FromLive,
    /// `doctor --json`.
    Doctor,
    /// `certs list --json`.
    Certs,
    /// `backup run --json`.
    BackupRun,
    /// `backup verify --json`.
    BackupVerify,
    /// `backup list --json`.
    BackupList,
}

impl Subject {
    /// Its file under `schema/`.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Cluster => "cluster.schema.json",
            Self::Plan => "plan.schema.json",
            Self::Events => "events.schema.json",
            Self::FromLive => "from-live.schema.json",
            Self::Doctor => "doctor.schema.json",
            Self::Status => "status.schema.json",
            Self::Certs => "certs.schema.json",
            Self::BackupRun => "backup-run.schema.json",
            Self::BackupVerify => "backup-verify.schema.json",
            Self::BackupList => "backup-list.schema.json",
        }
    }
}

/// The schema as text, with a newline at its end.
pub fn schema(subject: Subject) -> String {
    match subject {
        Subject::Cluster => super::cluster_schema::text(),
        Subject::Plan => text::<Document>(),
        Subject::Events => text::<Record>(),
        Subject::FromLive => text::<super::found::Document>(),
        Subject::Doctor => text::<super::doctor::Document>(),
        Subject::Status => text::<super::status::Document>(),
        Subject::Certs => text::<super::certificates::Document>(),
        Subject::BackupRun => text::<super::backup::Taken>(),
        Subject::BackupVerify => text::<super::backup::Verified>(),
        Subject::BackupList => text::<super::backup::Document>(),
    }
}

fn text<T: JsonSchema>() -> String {
    pretty(&schema_for!(T))
}
