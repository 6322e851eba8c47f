//! The demo as an operator: sets the split and reads results through the admin RPCs, as any other operator does.

use std::collections::BTreeSet;

use crate::client::v1::{
    ChangeTerms, CompareVersionsRequest, GetModelRequest, GetModelResponse, GetOutcomesRequest,
    GetTrafficPolicyRequest, GetTrafficPolicyResponse, PairedComparison, SetLabelRequest,
    SetTrafficPolicyRequest, Shadow, Share, TrafficPolicy, VersionOutcomes, shadow, share,
};
use crate::client::{AdminClient, AdminPort, Failure};

/// An operator of one model.
#[derive(Debug)]
pub(super) struct Operator {
    client: AdminClient,
    port: AdminPort,
    model: String,
    /// The last revision that this operator made.
    own_revision: u64,
}

impl Operator {
    /// Connects to the admin port.
    ///
    /// # Errors
    /// Returns an error if it cannot be reached.
    pub(super) async fn new(port: AdminPort, model: &str) -> Result<Self, Failure> {
        Ok(Self {
            client: port.connect().await?,
            port,
            model: model.to_owned(),
            own_revision: 0,
        })
    }

    /// Returns the model with its versions.
    ///
    /// # Errors
    /// Returns the refusal of the gateway.
    pub(super) async fn model(&mut self) -> Result<GetModelResponse, Failure> {
        let request = GetModelRequest {
            model: self.model.clone(),
        };
        self.port.call_on(&mut self.client, request).await
    }

    /// Returns the policy in force, and the requests counted under it.
    ///
    /// # Errors
    /// Returns the refusal of the gateway.
    pub(super) async fn policy(&mut self) -> Result<GetTrafficPolicyResponse, Failure> {
        let request = GetTrafficPolicyRequest {
            model: self.model.clone(),
        };
        self.port.call_on(&mut self.client, request).await
    }

    /// Returns how well the predictions of each version agree with the reported outcomes.
    ///
    /// # Errors
    /// Returns the refusal of the gateway.
    pub(super) async fn outcomes(&mut self) -> Result<Vec<VersionOutcomes>, Failure> {
        let request = GetOutcomesRequest {
            model: self.model.clone(),
        };
        let response = self.port.call_on(&mut self.client, request).await?;
        Ok(response.versions)
    }

    /// Returns the comparisons of each of `shadows` with each of `primaries`, since both are loaded.
    pub(super) async fn pairs(
        &mut self,
        primaries: &BTreeSet<u64>,
        shadows: &[u64],
    ) -> Vec<PairedComparison> {
        let mut pairs = Vec::new();
        for &shadow in shadows {
            for &primary in primaries {
                let request = CompareVersionsRequest {
                    model: self.model.clone(),
                    baseline: primary,
                    candidate: shadow,
                    ..CompareVersionsRequest::default()
                };
                let response = self.port.call_on(&mut self.client, request).await;
                // An error means that somebody unloaded one of the two versions: then there is nothing to compare.
                let compared = response.into_iter().flat_map(|response| response.paired);
                pairs.extend(compared.filter(|pair| pair.shadow == shadow));
            }
        }
        pairs
    }

    /// Sets the labels, the split and the shadows with which the replay begins. Each shadow gets copies of all traffic.
    ///
    /// # Errors
    /// Returns the refusal of the gateway.
    pub(super) async fn begin(
        &mut self,
        labels: &[(&str, u64)],
        split: &[(&str, u32)],
        shadows: &[u64],
    ) -> Result<(), Failure> {
        for &(label, version) in labels {
            let request = SetLabelRequest {
                model: self.model.clone(),
                label: label.to_owned(),
                version,
                terms: Some(terms(None)),
            };
            self.port.call_on(&mut self.client, request).await?;
        }
        let in_force = self.policy().await?;
        let mut policy = in_force.policy.unwrap_or_default();
        let all = |&version: &u64| Shadow {
            target: Some(shadow::Target::Version(version)),
            basis_points: 10_000,
            ..Shadow::default()
        };
        policy.shadows = shadows.iter().map(all).collect();
        self.set(with_split(policy, split), in_force.revision).await
    }

    /// Sets the next split and returns `true`. Returns `false` if somebody else has changed the policy, and leaves it alone.
    ///
    /// # Errors
    /// Returns the refusal of the gateway.
    pub(super) async fn move_on(&mut self, split: &[(&str, u32)]) -> Result<bool, Failure> {
        let in_force = self.policy().await?;
        if in_force.revision != self.own_revision {
            return Ok(false);
        }
        let policy = in_force.policy.unwrap_or_default();
        let moved = self.set(with_split(policy, split), self.own_revision);
        moved.await.map(|()| true)
    }

    async fn set(&mut self, policy: TrafficPolicy, expected_revision: u64) -> Result<(), Failure> {
        let request = SetTrafficPolicyRequest {
            model: self.model.clone(),
            policy: Some(policy),
            terms: Some(terms(Some(expected_revision))),
        };
        let response = self.port.call_on(&mut self.client, request).await?;
        self.own_revision = response.revision;
        Ok(())
    }
}

/// Returns `policy` with another split.
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

/// Returns the terms of this operator's changes.
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
    use crate::client::v1::{Fallback, fallback};

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
