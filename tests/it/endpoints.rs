//! Compares the endpoint table with the responses of the ports.

use std::net::SocketAddr;

use http::uri::PathAndQuery;
use taper::api::all_endpoints;
use taper::api::endpoints::Port;
use taper::proto::v1;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt;

use crate::harness::{TestGateway, connect};
use crate::tiny;

/// Calls `path` with one empty message and returns the error, if there is one.
async fn call(channel: &Channel, path: &str) -> Option<Status> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.expect("connected");
    let path = PathAndQuery::try_from(path).expect("a path");
    let codec = ProstCodec::<(), ()>::default();
    let responses = client.server_streaming(Request::new(()), path, codec).await;
    match responses {
        Ok(responses) => responses.into_inner().message().await.err(),
        Err(status) => Some(status),
    }
}

/// Returns true if no service or method has the path. Handlers that refuse a call give a reason.
fn is_unknown(status: &Status) -> bool {
    status.code() == Code::Unimplemented && status.get_details_error_info().is_none()
}

#[tokio::test]
async fn every_rpc_with_a_row_is_served_on_its_port() {
    let gateway = TestGateway::start("", |root| tiny::publish(root, "m", 1)).await;
    let data = connect(gateway.addresses().data).await;
    let admin = connect(gateway.addresses().admin).await;
    let mut called = 0;
    for endpoint in all_endpoints() {
        let channel = match endpoint.port {
            Port::Data => &data,
            Port::Admin => &admin,
            Port::Http => continue,
        };
        let status = call(channel, &endpoint.path).await;
        let unknown = status.filter(is_unknown);
        assert!(unknown.is_none(), "{endpoint:?}: {unknown:?}");
        called += 1;
    }
    assert!(called > 50, "only {called} calls");
    for path in ["/taper.v1.AdminService/Undo", "/taper.v1.Unknown/Do"] {
        let status = call(&data, path).await.expect("not on the data port");
        assert!(is_unknown(&status), "{path}: {status:?}");
    }
    gateway.drain().await;
}

#[tokio::test]
async fn a_client_without_a_name_is_recorded_by_its_address() {
    let mut gateway = TestGateway::start("", |root| tiny::publish(root, "m", 1)).await;
    gateway
        .set_split("m", &[(1, 10_000)], 0)
        .await
        .expect("changed");
    let request = v1::ListRevisionsRequest {
        model: "m".into(),
        ..Default::default()
    };
    let listed = gateway.admin.list_revisions(request).await.expect("listed");
    let actor = &listed.into_inner().revisions[0].actor;
    let address: SocketAddr = actor.parse().expect("an address");
    assert!(address.ip().is_loopback(), "{address}");
    assert_ne!(address.port(), gateway.addresses().admin.port());
    gateway.drain().await;
}
