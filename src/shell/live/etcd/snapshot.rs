//! The database of a member as a stream, piece by piece.

use std::time::Duration;

use etcd_client::SnapshotStreaming;

use super::{Fault, Member};
use crate::core::observed::Cause;

/// What a member sends, in pieces of 32 KiB.
pub struct Snapshot<'a> {
    member: &'a Member,
    pieces: SnapshotStreaming,
}

/// One piece.
pub struct Piece {
    pub bytes: Vec<u8>,
    /// How much of the database is still to come; its SHA-256 is not counted.
    pub remaining: u64,
}

/// Before the first piece etcd ends what it has begun to write to the database, and on a slow disk takes its time.
const PIECE_DEADLINE: Duration = Duration::from_secs(60);

impl Member {
    /// The database as it is now. Only the whole of it can be had, and only of a member that is no learner.
    ///
    /// # Errors
    /// When the member refuses, or does not answer in time.
    pub async fn snapshot(&self) -> Result<Snapshot<'_>, Cause> {
        let mut client = self.client.maintenance_client();
        let begun = async { client.snapshot().await.map_err(Fault::of_client_owned) };
        let pieces = self.ask("for a snapshot", PIECE_DEADLINE, begun).await?;
        Ok(Snapshot { member: self, pieces })
    }
}

impl Snapshot<'_> {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// When the connection is lost, the member gives up, or no piece comes in time.
    pub async fn next(&mut self) -> Result<Option<Piece>, Cause> {
        let pieces = &mut self.pieces;
        let next = async { pieces.message().await.map_err(Fault::of_client_owned) };
        let piece = self.member.ask("for the next piece of a snapshot", PIECE_DEADLINE, next).await?;
        Ok(piece.map(|piece| Piece { bytes: piece.blob().to_vec(), remaining: piece.remaining_bytes() }))
    }
}
