//! The demo as an operator: it sets the split and reads it back through the admin RPCs, like anybody else.

use tonic::transport::Channel;

use crate::cli::client::AdminPort;
use crate::cli::failure::Failure;
use crate::proto::v1::admin_service_client::AdminServiceClient;
use crate::proto::v1::{
    ChangeTerms, GetModelRequest, GetModelResponse, GetTrafficPolicyRequest,
    GetTrafficPolicyResponse, SetTrafficPolicyRequest, Share, TrafficPolicy, share,
};

/// An operator of one model.
#[derive(Debug)]
pub(super) struct Operator {
    client: AdminServiceClient<Channel>,
    port: AdminPort,
    model: String,
    /// The revision that this operator made last.
    own: u64,
}

impl Operator {
    /// # Errors
    /// Where the admin port cannot be reached.
    pub(super) async fn new(port: AdminPort, model: &str) -> Result<Self, Failure> {
        Ok(Self {
            client: port.connect().await?,
            port,
            model: model.to_owned(),
            own: 0,
        })
    }

    /// # Errors
    /// What the gateway says.
    pub(super) async fn model(&mut self) -> Result<GetModelResponse, Failure> {
        let request = GetModelRequest {
            model: self.model.clone(),
        };
        let request = self.port.patience.request(request);
        self.port.answer(self.client.get_model(request)).await
    }

    /// The policy in force and what was counted under it.
    ///
    /// # Errors
    /// What the gateway says.
    pub(super) async fn policy(&mut self) -> Result<GetTrafficPolicyResponse, Failure> {
        let request = GetTrafficPolicyRequest {
            model: self.model.clone(),
        };
        let request = self.port.patience.request(request);
        self.port
            .answer(self.client.get_traffic_policy(request))
            .await
    }

    /// Sets the split that the replay begins with.
    ///
    /// # Errors
    /// What the gateway says.
    pub(super) async fn begin(&mut self, split: &[(u64, u32)]) -> Result<(), Failure> {
        let in_force = self.policy().await?.revision;
        self.set(split, in_force).await
    }

    /// Moves the split on, unless somebody else has moved it: then it is theirs, and this tells `false`.
    ///
    /// # Errors
    /// What the gateway says.
    pub(super) async fn move_on(&mut self, split: &[(u64, u32)]) -> Result<bool, Failure> {
        if self.policy().await?.revision != self.own {
            return Ok(false);
        }
        self.set(split, self.own).await.map(|()| true)
    }

    async fn set(&mut self, split: &[(u64, u32)], expected_revision: u64) -> Result<(), Failure> {
        let share = |&(version, basis_points)| Share {
            target: Some(share::Target::Version(version)),
            basis_points,
        };
        let request = SetTrafficPolicyRequest {
            model: self.model.clone(),
            policy: Some(TrafficPolicy {
                split: split.iter().map(share).collect(),
                ..TrafficPolicy::default()
            }),
            terms: Some(ChangeTerms {
                expected_revision: Some(expected_revision),
                ..ChangeTerms::default()
            }),
        };
        let request = self.port.patience.request(request);
        let changed = self.port.answer(self.client.set_traffic_policy(request));
        self.own = changed.await?.revision;
        Ok(())
    }
}
