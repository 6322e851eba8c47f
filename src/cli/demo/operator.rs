//! The demo as an operator: it sets the split and reads it back through the admin RPCs, like anybody else.

use tonic::transport::Channel;

use crate::cli::client::AdminPort;
use crate::cli::failure::Failure;
use crate::proto::v1::admin_service_client::AdminServiceClient;
use crate::proto::v1::{
    ChangeTerms, GetModelRequest, GetModelResponse, GetTrafficPolicyRequest,
    GetTrafficPolicyResponse, SetLabelRequest, SetTrafficPolicyRequest, Share, TrafficPolicy,
    share,
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

    /// Sets the labels and the split that the replay begins with.
    ///
    /// # Errors
    /// What the gateway says.
    pub(super) async fn begin(
        &mut self,
        labels: &[(&str, u64)],
        split: &[(&str, u32)],
    ) -> Result<(), Failure> {
        for &(label, version) in labels {
            let request = self.port.patience.request(SetLabelRequest {
                model: self.model.clone(),
                label: label.to_owned(),
                version,
                terms: Some(terms(None)),
            });
            self.port.answer(self.client.set_label(request)).await?;
        }
        let in_force = self.policy().await?.revision;
        self.set(split, in_force).await
    }

    /// Moves the split on, unless somebody else has moved it: then it is theirs, and this tells `false`.
    ///
    /// # Errors
    /// What the gateway says.
    pub(super) async fn move_on(&mut self, split: &[(&str, u32)]) -> Result<bool, Failure> {
        if self.policy().await?.revision != self.own {
            return Ok(false);
        }
        self.set(split, self.own).await.map(|()| true)
    }

    async fn set(&mut self, split: &[(&str, u32)], expected_revision: u64) -> Result<(), Failure> {
        let share = |&(label, basis_points): &(&str, u32)| Share {
            target: Some(share::Target::Label(label.to_owned())),
            basis_points,
        };
        let request = SetTrafficPolicyRequest {
            model: self.model.clone(),
            policy: Some(TrafficPolicy {
                split: split.iter().map(share).collect(),
                ..TrafficPolicy::default()
            }),
            terms: Some(terms(Some(expected_revision))),
        };
        let request = self.port.patience.request(request);
        let changed = self.port.answer(self.client.set_traffic_policy(request));
        self.own = changed.await?.revision;
        Ok(())
    }
}

/// What the history says of this operator's changes.
fn terms(expected_revision: Option<u64>) -> ChangeTerms {
    ChangeTerms {
        expected_revision,
        actor: "demo".into(),
        ..ChangeTerms::default()
    }
}
