//! The member list as a quorum knows it, and whether authentication is on: what etcd-client cannot ask for.
//!
//! etcd-client 0.21.1 always asks for the member's own list, which lags behind right after a change. The messages are
//! those of etcd's rpc.proto; 3.4 does not know the question's field and answers from its own list.

use prost::Message;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

#[derive(Clone, PartialEq, Message)]
struct MemberListRequest {
    #[prost(bool, tag = "1")]
    linearizable: bool,
}

#[derive(Clone, PartialEq, Message)]
struct MemberListResponse {
    #[prost(message, repeated, tag = "2")]
    members: Vec<Member>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Member {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(string, repeated, tag = "3")]
    pub peer_urls: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    pub client_urls: Vec<String>,
    #[prost(bool, tag = "5")]
    pub is_learner: bool,
}

#[derive(Clone, PartialEq, Message)]
struct AuthStatusRequest {}

#[derive(Clone, PartialEq, Message)]
pub struct AuthStatus {
    #[prost(bool, tag = "2")]
    pub enabled: bool,
    /// It grows with every change of a user or role.
    #[prost(uint64, tag = "3")]
    pub revision: u64,
}

/// Whether authentication is on; unimplemented before 3.5.
pub async fn auth_status(channel: Channel) -> Result<AuthStatus, Status> {
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
    let path = PathAndQuery::from_static("/etcdserverpb.Auth/AuthStatus");
    let codec = ProstCodec::<AuthStatusRequest, AuthStatus>::default();
    Ok(grpc.unary(Request::new(AuthStatusRequest {}), path, codec).await?.into_inner())
}

/// The list as a quorum knows it, or (not `linearizable`) as this member alone does.
pub async fn member_list(channel: Channel, linearizable: bool) -> Result<Vec<Member>, Status> {
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
    let mut request = Request::new(MemberListRequest { linearizable });
    if linearizable {
        // etcd's own header: a member without a leader refuses at once, instead of waiting seven seconds for one.
        request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
    }
    let path = PathAndQuery::from_static("/etcdserverpb.Cluster/MemberList");
    let codec = ProstCodec::<MemberListRequest, MemberListResponse>::default();
    Ok(grpc.unary(request, path, codec).await?.into_inner().members)
}
