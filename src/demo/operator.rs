//! The demo as an operator: it sets the split and reads it back through the admin RPCs, like anybody else.

use tonic::transport::Channel;

use crate::client::AdminPort;
use crate::client::Failure;
use crate::proto::v1::admin_service_client::AdminServiceClient;
use crate::proto::v1::{
    ChangeTerms, CompareVersionsRequest, GetModelRequest, GetModelResponse, GetOutcomesRequest,
    GetTrafficPolicyRequest, GetTrafficPolicyResponse, PairedComparison, SetLabelRequest,
    SetTrafficPolicyRequest, Shadow, Share, TrafficPolicy, VersionOutcomes, shadow, share,
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

    /// How good the versions were, by the truths that were reported.
    ///
    /// # Errors
    /// What the gateway says.
    pub(super) async fn outcomes(&mut self) -> Result<Vec<VersionOutcomes>, Failure> {
        let request = GetOutcomesRequest {
            model: self.model.clone(),
        };
        let request = self.port.patience.request(request);
        let answer = self.port.answer(self.client.get_outcomes(request));
        Ok(answer.await?.versions)
    }

    /// What `shadow` answered beside each of `primaries`, since both are loaded.
    pub(super) async fn pairs(
        &mut self,
        primaries: impl Iterator<Item = u64>,
        shadow: u64,
    ) -> Vec<PairedComparison> {
        let mut pairs = Vec::new();
        for primary in primaries {
            let request = CompareVersionsRequest {
                model: self.model.clone(),
                baseline: primary,
                candidate: shadow,
                ..CompareVersionsRequest::default()
            };
            let request = self.port.patience.request(request);
            let answer = self.port.answer(self.client.compare_versions(request));
            // You may have sent one of the two away meanwhile: then there is nothing to compare.
            pairs.extend(answer.await.into_iter().flat_map(|answer| answer.paired));
        }
        pairs.retain(|pair| pair.shadow == shadow);
        pairs
    }

    /// Sets the labels, the split and the shadow of all traffic that the replay begins with.
    ///
    /// # Errors
    /// What the gateway says.
    pub(super) async fn begin(
        &mut self,
        labels: &[(&str, u64)],
        split: &[(&str, u32)],
        shadow: u64,
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
        let in_force = self.policy().await?;
        let mut policy = in_force.policy.unwrap_or_default();
        policy.shadows = vec![Shadow {
            target: Some(shadow::Target::Version(shadow)),
            basis_points: 10_000,
            ..Shadow::default()
        }];
        self.set(with_split(policy, split), in_force.revision).await
    }

    /// Moves the split on, unless somebody else has moved it: then it is theirs, and this tells `false`.
    ///
    /// # Errors
    /// What the gateway says.
    pub(super) async fn move_on(&mut self, split: &[(&str, u32)]) -> Result<bool, Failure> {
        let in_force = self.policy().await?;
        if in_force.revision != self.own {
            return Ok(false);
        }
        let policy = in_force.policy.unwrap_or_default();
        let moved = self.set(with_split(policy, split), self.own);
        moved.await.map(|()| true)
    }

    async fn set(&mut self, policy: TrafficPolicy, expected_revision: u64) -> Result<(), Failure> {
        let request = SetTrafficPolicyRequest {
            model: self.model.clone(),
            policy: Some(policy),
            terms: Some(terms(Some(expected_revision))),
        };
        let request = self.port.patience.request(request);
        let changed = self.port.answer(self.client.set_traffic_policy(request));
        self.own = changed.await?.revision;
        Ok(())
    }
}

/// The same policy with another split: its shadows, its fallback and all else stay.
fn with_split(policy: TrafficPolicy, split: &[(&str, u32)]) -> TrafficPolicy {
    let share = |&(label, basis_points): &(&str, u32)| Share {
        target: Some(share::Target::Label(label.to_owned())),
        basis_points,
    };
    TrafficPolicy {
        split: split.iter().map(share).collect(),
        ..policy
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::{Fallback, fallback};

    #[test]
    fn moving_the_split_keeps_everything_else() {
        let policy = TrafficPolicy {
            shadows: vec![Shadow {
                target: Some(shadow::Target::Version(3)),
                basis_points: 10_000,
                ..Shadow::default()
            }],
            fallback: Some(Fallback {
                target: Some(fallback::Target::Label("stable".into())),
                within_ms: Some(50),
            }),
            salt: "salt".into(),
            ..with_split(TrafficPolicy::default(), &[("stable", 10_000)])
        };
        let moved = with_split(policy.clone(), &[("canary", 10_000)]);
        assert_ne!(moved.split, policy.split);
        let split = policy.split.clone();
        assert_eq!(TrafficPolicy { split, ..moved }, policy);
    }
}
