//! Sends the flights as traffic: one `Predict` each, at a steady rate, whether or not earlier ones are answered.

use std::{collections::BTreeSet, time::Duration};

use super::{
    flights::Flights,
    opening::Opening,
    operator::Operator,
    outcomes::PendingOutcomes,
    plan::Plan,
    quality::QualityFigures,
    results::{Prediction, Results},
    view::{self, Scene},
};
use crate::app::Addresses;
use crate::client::v1::{
    GetModelResponse, GetTrafficPolicyResponse, PredictRequest, PredictResponse, TensorSignature,
    VersionState,
};
use crate::client::{AdminPort, DataClient, DataPort, Failure, message};
use crate::terminal::{Signals, output::Reader, progress::Screen};
use tokio::{
    task::JoinSet,
    time::{self, Instant, MissedTickBehavior},
};

/// Most requests in flight. The replay waits while there are as many.
const MAX_IN_FLIGHT: usize = 256;

/// One run of the demo.
#[derive(Debug)]
pub(super) struct Replay<'a> {
    flights: &'a Flights,
    plan: Plan,
    port: DataPort,
    client: DataClient,
    operator: Operator,
    model: GetModelResponse,
    interface: ModelInterface,
    results: Results,
    outcomes: PendingOutcomes,
    screen: Screen,
    /// Flights sent.
    sent: usize,
    begin: Instant,
}

impl<'a> Replay<'a> {
    /// Connects, and sets the labels and the split that the plan begins with.
    ///
    /// # Errors
    /// Returns an error if the gateway cannot be reached, or has no such model.
    pub(super) async fn new(
        addresses: Addresses,
        model: &str,
        flights: &'a Flights,
        plan: Plan,
    ) -> Result<Self, Failure> {
        let port = DataPort::at(addresses.data);
        let client = port.connect().await?;
        let mut operator = Operator::new(AdminPort::at(addresses.admin), model).await?;
        operator
            .begin(&Plan::LABELS, &Plan::CAREFUL, &Plan::SHADOWS)
            .await?;
        let model = operator.model().await?;
        Ok(Self {
            flights,
            plan,
            port,
            client,
            operator,
            interface: ModelInterface::of(&model)?,
            model,
            results: Results::default(),
            outcomes: PendingOutcomes::default(),
            screen: Screen::for_stdout(),
            sent: 0,
            begin: Instant::now(),
        })
    }

    /// Returns the text to print before the replay begins.
    pub(super) fn opening<'b>(&'b self, program: &'b str, addresses: Addresses) -> Opening<'b> {
        Opening {
            program,
            addresses,
            model: &self.model,
            flights: self.flights.len(),
            row: self.flights.row(0, &self.interface.inputs),
            plan: self.plan,
        }
    }

    /// Sends the flights and shows the results, until the plan or a signal ends the replay, or stdout has no reader.
    ///
    /// # Errors
    /// Returns an error if a flight got no response, or a call of the operator failed.
    pub(super) async fn run(&mut self, signals: &mut Signals) -> Result<(), Failure> {
        self.begin = Instant::now();
        self.results.tick(self.begin.elapsed());
        self.send_flights(signals).await?;
        self.results.close(self.begin.elapsed());
        if !self.outcomes.is_empty() {
            time::sleep(PendingOutcomes::DELAY).await;
            self.report_outcomes().await?;
        }
        let figures = self.read_figures().await?;
        let scene = self.scene(&figures);
        let _ = self.screen.finish(|width| view::live(&scene, width))?;
        match self.results.failed() {
            0 => Ok(()),
            failed => Err(Failure::new(format!("{failed} flights got no response"))),
        }
    }

    async fn send_flights(&mut self, signals: &mut Signals) -> Result<(), Failure> {
        let mut running = JoinSet::new();
        let mut pace = Pace::new(self.plan.per_second);
        let period = view::period(&self.screen);
        let mut draw = time::interval_at(self.begin + period, period);
        draw.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let more = self.plan.has(self.sent);
            if !more && running.is_empty() {
                return Ok(());
            }
            tokio::select! {
                () = pace.due(), if more && running.len() < MAX_IN_FLIGHT => {
                    if self.sent == self.plan.move_before && self.move_split().await? == Reader::Gone {
                        return Ok(());
                    }
                    let flight = self.interface.flight(&self.model.model, self.flights, self.next_flight());
                    running.spawn(predict(self.port.clone(), self.client.clone(), flight));
                    self.sent += 1;
                }
                Some(done) = running.join_next() => match done {
                    Ok(Ok(answered)) => {
                        self.results.record(answered.prediction);
                        self.outcomes.add(Instant::now(), answered.response_id, answered.class);
                    }
                    Ok(Err(code)) => self.results.fail(code),
                    Err(_) => self.results.fail("PANIC"),
                },
                _ = draw.tick() => {
                    self.report_outcomes().await?;
                    self.results.tick(self.begin.elapsed());
                    if self.draw().await? == Reader::Gone {
                        return Ok(());
                    }
                }
                _ = signals.next() => return Ok(()),
            }
        }
    }

    async fn report_outcomes(&mut self) -> Result<(), Failure> {
        let reported = self
            .outcomes
            .report(&self.port, &mut self.client, Instant::now());
        reported.await
    }

    /// Returns the place of the flight that is sent next.
    fn next_flight(&self) -> usize {
        self.sent * self.plan.stride
    }

    async fn move_split(&mut self) -> Result<Reader, Failure> {
        self.results.tick(self.begin.elapsed());
        let _ = self.draw().await?;
        let moved = self.operator.move_on(&Plan::EVEN).await?;
        let line = if moved {
            "the split moves: version 1 from 95% to 50%, version 2 from 5% to 50%"
        } else {
            "you have changed the policy: the demo leaves the split alone"
        };
        Ok(self.screen.print(line)?)
    }

    async fn draw(&mut self) -> Result<Reader, Failure> {
        let figures = self.read_figures().await?;
        let scene = self.scene(&figures);
        let drawn = self
            .screen
            .draw(|width| view::live(&scene, width), || view::line(&scene));
        Ok(drawn?)
    }

    async fn read_figures(&mut self) -> Result<Figures, Failure> {
        let policy = self.operator.policy().await?;
        // A version has one row for each share that names it, by number or by label.
        let primaries: BTreeSet<_> = policy.counted.iter().map(|row| row.version).collect();
        let quality = QualityFigures {
            outcomes: self.operator.outcomes().await?,
            pairs: self.operator.pairs(&primaries, &Plan::SHADOWS).await,
        };
        Ok(Figures { policy, quality })
    }

    fn scene<'b>(&'b self, figures: &'b Figures) -> Scene<'b> {
        let last = self.next_flight().saturating_sub(self.plan.stride);
        Scene {
            policy: &figures.policy,
            quality: &figures.quality,
            results: &self.results,
            classes: &self.interface.classes,
            date: self.flights.date(last),
            elapsed: self.begin.elapsed(),
        }
    }
}

/// What the gateway reports about the model.
#[derive(Debug)]
struct Figures {
    policy: GetTrafficPolicyResponse,
    quality: QualityFigures,
}

/// Inputs and classes of the model.
#[derive(Debug)]
struct ModelInterface {
    inputs: Vec<TensorSignature>,
    /// The class of flights on time, and that of late flights.
    classes: [String; 2],
}

impl ModelInterface {
    /// Returns those of the highest READY version. Versions under one policy have the same.
    fn of(model: &GetModelResponse) -> Result<Self, Failure> {
        let mut versions = model.versions.iter().rev();
        let ready = versions.find(|version| version.state() == VersionState::Ready);
        match ready.map(|version| (version, version.classes.as_slice())) {
            Some((version, [on_time, late])) => Ok(Self {
                inputs: version.inputs.clone(),
                classes: [on_time.clone(), late.clone()],
            }),
            _ => Err(Failure::new(format!(
                "`{}` has no READY version with two classes",
                model.model
            ))),
        }
    }

    fn flight(&self, model: &str, flights: &Flights, at: usize) -> FlightRequest {
        let late = flights.was_late(at);
        FlightRequest {
            request: PredictRequest {
                model: model.to_owned(),
                rows: vec![message::row(flights.row(at, &self.inputs))],
                ..PredictRequest::default()
            },
            late,
            class: self.classes[usize::from(late)].clone(),
        }
    }
}

/// The times at which flights are due.
#[derive(Debug)]
struct Pace {
    next: Instant,
    period: Duration,
}

impl Pace {
    /// A replay that is further behind does not catch up: the machine was asleep, or it cannot reach the rate.
    const LATEST: Duration = Duration::from_millis(250);

    fn new(per_second: u32) -> Self {
        Self {
            next: Instant::now(),
            period: Duration::from_secs(1) / per_second,
        }
    }

    /// Waits until a flight is due. Cancel-safe: no flight is lost.
    async fn due(&mut self) {
        time::sleep_until(self.next).await;
        self.next += self.period;
        let now = Instant::now();
        if now > self.next + Self::LATEST {
            self.next = now;
        }
    }
}

/// The request for one flight, and its outcome.
#[derive(Debug)]
struct FlightRequest {
    request: PredictRequest,
    /// Whether the flight was late.
    late: bool,
    /// The actual class.
    class: String,
}

/// A flight that got a response.
#[derive(Debug)]
struct AnsweredFlight {
    prediction: Prediction,
    response_id: String,
    /// The actual class.
    class: String,
}

/// Requests a prediction for one flight.
///
/// # Errors
/// Returns the name of the gRPC code of a failure.
async fn predict(
    port: DataPort,
    mut client: DataClient,
    flight: FlightRequest,
) -> Result<AnsweredFlight, &'static str> {
    let sent = Instant::now();
    let response = port.send_on(&mut client, flight.request).await?;
    let response_id = response.response_id.clone();
    let latency = sent.elapsed();
    let prediction = prediction(response, latency, flight.late, &flight.class);
    Ok(AnsweredFlight {
        prediction: prediction.ok_or("INTERNAL")?,
        response_id,
        class: flight.class,
    })
}

/// Returns the prediction in a response; `None` if there is no probability or no class in it.
fn prediction(
    response: PredictResponse,
    latency: Duration,
    late: bool,
    actual: &str,
) -> Option<Prediction> {
    let output = response.outputs.first()?;
    let score = message::fp32(output).first().copied()?;
    let class = response.top_classes.into_iter().next()?.label;
    Some(Prediction {
        version: response.version,
        latency,
        correct: class == actual,
        class,
        score,
        late,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::v1::{Tensor, TopClass};

    #[tokio::test(start_paused = true)]
    async fn a_steady_pace_neither_drifts_nor_bursts() {
        let begin = Instant::now();
        let mut pace = Pace::new(400);
        for _ in 0..=400 {
            pace.due().await;
        }
        assert_eq!(
            begin.elapsed().as_millis(),
            1_000,
            "400 flights take a second"
        );
        time::advance(Duration::from_secs(60)).await;
        let awake = Instant::now();
        for _ in 0..=100 {
            pace.due().await;
        }
        let took = awake.elapsed().as_millis();
        assert!(
            (240..=260).contains(&took),
            "the replay does not catch up on a minute: {took} ms"
        );
    }

    #[test]
    fn a_prediction_is_compared_with_the_actual_class() {
        let response = |label: &str, values: &[f32]| PredictResponse {
            version: 2,
            outputs: vec![Tensor {
                fp32_values: values.to_vec(),
                ..Tensor::default()
            }],
            top_classes: vec![TopClass {
                label: label.into(),
                probability: 0.75,
            }],
            ..PredictResponse::default()
        };
        let correct = prediction(response("late", &[0.75]), Duration::ZERO, true, "late").unwrap();
        assert!(
            correct.correct && correct.late && correct.version == 2,
            "{correct:?}"
        );
        let wrong = prediction(response("on time", &[0.25]), Duration::ZERO, true, "late").unwrap();
        assert!(!wrong.correct, "{wrong:?}");
        assert!(prediction(response("late", &[]), Duration::ZERO, true, "late").is_none());
    }
}
