//! The text that the demo prints first: models and addresses, and commands to try in a second terminal.

use serde_json::{Map, Value};

use super::plan::Plan;
use crate::app::Addresses;
use crate::client::v1::GetModelResponse;
use crate::client::{AdminPort, DataPort};

use crate::terminal::table::thousands;

/// Everything that the text mentions.
#[derive(Debug)]
pub(super) struct Opening<'a> {
    /// How the binary was called.
    pub(super) program: &'a str,
    pub(super) addresses: Addresses,
    pub(super) model: &'a GetModelResponse,
    /// Number of flights.
    pub(super) flights: usize,
    /// The inputs of one flight.
    pub(super) row: Map<String, Value>,
    pub(super) plan: Plan,
}

impl Opening<'_> {
    pub(super) fn text(self) -> String {
        let Self {
            program,
            addresses,
            plan,
            ..
        } = self;
        let name = &self.model.model;
        let versions = self.model.versions.iter();
        let versions: Vec<_> = versions
            .map(|version| format!("  version {}  {}", version.version, version.description))
            .collect();
        let sent = match plan.most {
            Some(most) => format!(
                "{} of them, {} per second, then a summary",
                thousands(most as u64),
                plan.per_second
            ),
            None => format!("{} per second, repeated until Ctrl-C", plan.per_second),
        };
        let data = DataPort::at(addresses.data).address_flag();
        let admin = AdminPort::at(addresses.admin).address_flag();
        format!(
            "{} real flights out of New York, July to December 2013, in order of time: {sent}\n\
             \n{addresses}\n\
             \n{name}: will the flight be at least 15 minutes late?\n{}\n\
             \nThe split begins at 95% stable, 5% canary, and moves to 50/50; versions 3 and 4 get copies of all requests. In a second terminal:\n\
             \n  {program} models {name}{admin}\
             \n  {program} split get {name}{admin}\
             \n  {program} split set {name} stable=20% canary=70% 3=10%{admin}\
             \n  {program} promote canary{admin}\
             \n  {program} undo{admin}\
             \n  {program} history{admin}\
             \n  {program} stats{admin}\
             \n  {program} drift{admin}\
             \n  {program} compare 1 3{admin}\
             \n  {program} compare 2 4{admin}\
             \n  {program} predict {name}{data} --row '{}'\
             \n  curl -s http://{}/metrics | grep taper_requests_total\n",
            thousands(self.flights as u64),
            versions.join("\n"),
            Value::Object(self.row),
            addresses.http,
        )
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use serde_json::json;

    use super::*;
    use crate::client::v1::VersionStatus;

    fn text(base: u16, once: bool) -> String {
        let address = |offset| SocketAddr::from(([127, 0, 0, 1], base + offset));
        let model = GetModelResponse {
            model: "flight-delay".into(),
            versions: vec![VersionStatus {
                version: 1,
                description: "logistic regression on the schedule".into(),
                ..VersionStatus::default()
            }],
            ..GetModelResponse::default()
        };
        let Value::Object(row) = json!({"carrier": "UA", "temp": 37.9}) else {
            panic!("an object");
        };
        Opening {
            program: "taper",
            addresses: Addresses {
                http: address(0),
                data: address(1),
                admin: address(2),
            },
            model: &model,
            flights: 24_000,
            row,
            plan: Plan::new(once, None, 24_000),
        }
        .text()
    }

    #[test]
    fn on_the_default_ports_no_address_is_needed() {
        insta::assert_snapshot!(text(8000, true), @r#"
        24,000 real flights out of New York, July to December 2013, in order of time: 2,000 of them, 1000 per second, then a summary

        data   grpc://127.0.0.1:8001   taper.v1, Open Inference Protocol, TensorFlow Serving, health, reflection
        admin  grpc://127.0.0.1:8002   models, traffic policies
        http   http://127.0.0.1:8000   /v1 /v2 /openapi.json /metrics /healthz /readyz

        flight-delay: will the flight be at least 15 minutes late?
          version 1  logistic regression on the schedule

        The split begins at 95% stable, 5% canary, and moves to 50/50; versions 3 and 4 get copies of all requests. In a second terminal:

          taper models flight-delay
          taper split get flight-delay
          taper split set flight-delay stable=20% canary=70% 3=10%
          taper promote canary
          taper undo
          taper history
          taper stats
          taper drift
          taper compare 1 3
          taper compare 2 4
          taper predict flight-delay --row '{"carrier":"UA","temp":37.9}'
          curl -s http://127.0.0.1:8000/metrics | grep taper_requests_total
        "#);
    }

    #[test]
    fn on_other_ports_every_command_has_the_address() {
        let text = text(9000, false);
        for wanted in [
            "taper models flight-delay --address http://127.0.0.1:9002\n",
            "taper split get flight-delay --address http://127.0.0.1:9002\n",
            "stable=20% canary=70% 3=10% --address http://127.0.0.1:9002\n",
            "taper promote canary --address http://127.0.0.1:9002\n",
            "taper predict flight-delay --address http://127.0.0.1:9001 --row",
            "curl -s http://127.0.0.1:9000/metrics",
            "500 per second, repeated until Ctrl-C",
        ] {
            assert!(text.contains(wanted), "{wanted:?} is missing in\n{text}");
        }
    }
}
