//! The flights as traffic: one `Predict` each, at a steady rate, whether or not the one before has been answered.

use std::{collections::BTreeSet, time::Duration};

use tokio::{
    task::JoinSet,
    time::{self, Instant, MissedTickBehavior},
};
use tonic::{Status, transport::Channel};

use super::{
    flights::Flights,
    labels::Labels,
    opening::Opening,
    operator::Operator,
    plan::Plan,
    quality::Verdicts,
    tally::{Board, Seen},
    view::{Scene, Screen},
};
use crate::app::Addresses;
use crate::client::wire;
use crate::client::{AdminPort, DataPort};
use crate::client::{Failure, code_name};
use crate::proto::v1::prediction_service_client::PredictionServiceClient;
use crate::proto::v1::{
    GetModelResponse, PredictRequest, PredictResponse, TensorSignature, VersionState,
};
use crate::terminal::Signals;
use crate::terminal::output::Reader;

/// Flights that wait for an answer at one time; past that the replay waits too.
const IN_FLIGHT: usize = 256;

/// One run of the demo.
#[derive(Debug)]
pub(super) struct Replay<'a> {
    flights: &'a Flights,
    plan: Plan,
    client: PredictionServiceClient<Channel>,
    operator: Operator,
    model: GetModelResponse,
    subject: Subject,
    board: Board,
    labels: Labels,
    screen: Screen,
    /// Flights sent.
    sent: usize,
    begin: Instant,
}

impl<'a> Replay<'a> {
    /// Connects, and sets the labels and the split that the plan begins with.
    ///
    /// # Errors
    /// Where the gateway cannot be reached, or holds no such model.
    pub(super) async fn new(
        addresses: Addresses,
        model: &str,
        flights: &'a Flights,
        plan: Plan,
    ) -> Result<Self, Failure> {
        let client = DataPort::at(addresses.data).connect().await?;
        let mut operator = Operator::new(AdminPort::at(addresses.admin), model).await?;
        operator
            .begin(&Plan::LABELS, &Plan::CAREFUL, Plan::SHADOW)
            .await?;
        let model = operator.model().await?;
        Ok(Self {
            flights,
            plan,
            client,
            operator,
            subject: Subject::of(&model)?,
            model,
            board: Board::default(),
            labels: Labels::default(),
            screen: Screen::of_stdout(),
            sent: 0,
            begin: Instant::now(),
        })
    }

    /// What to tell before it begins.
    pub(super) fn opening<'b>(&'b self, program: &'b str, addresses: Addresses) -> Opening<'b> {
        Opening {
            program,
            addresses,
            model: &self.model,
            flights: self.flights.len(),
            row: self.flights.row(0, &self.subject.inputs),
            plan: self.plan,
        }
    }

    /// Sends the flights and shows what comes back, until the plan or a signal ends it, or nobody reads on.
    ///
    /// # Errors
    /// Where a flight got no answer, or the operator's calls failed.
    pub(super) async fn run(&mut self, signals: &mut Signals) -> Result<(), Failure> {
        let mut running = JoinSet::new();
        self.begin = Instant::now();
        self.board.tick(self.begin.elapsed());
        let mut pace = Pace::new(self.plan.per_second);
        let period = self.screen.period();
        let mut draw = time::interval_at(self.begin + period, period);
        draw.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let more = self.plan.has(self.sent);
            if !more && running.is_empty() {
                break;
            }
            tokio::select! {
                () = pace.due(), if more && running.len() < IN_FLIGHT => {
                    if self.sent == self.plan.move_before && self.move_split().await? == Reader::Gone {
                        break;
                    }
                    let question = self.subject.question(&self.model.model, self.flights, self.at());
                    running.spawn(ask(self.client.clone(), question));
                    self.sent += 1;
                }
                Some(done) = running.join_next() => match done {
                    Ok(Ok((seen, id, truth))) => {
                        self.board.record(seen);
                        self.labels.add(Instant::now(), id, truth);
                    }
                    Ok(Err(status)) => self.board.fail(code_name(status.code())),
                    Err(_) => self.board.fail("PANIC"),
                },
                _ = draw.tick() => {
                    self.labels.report(&mut self.client, Instant::now()).await?;
                    self.board.tick(self.begin.elapsed());
                    if self.draw(Screen::draw).await? == Reader::Gone {
                        break;
                    }
                }
                _ = signals.next() => break,
            }
        }
        self.board.close(self.begin.elapsed());
        if self.labels.any() {
            time::sleep(Labels::DELAY).await;
            self.labels.report(&mut self.client, Instant::now()).await?;
        }
        let _ = self.draw(Screen::end).await?;
        match self.board.failed() {
            0 => Ok(()),
            failed => Err(Failure::new(format!("{failed} flights got no answer"))),
        }
    }

    /// The flight that is next.
    fn at(&self) -> usize {
        self.sent * self.plan.stride
    }

    async fn move_split(&mut self) -> Result<Reader, Failure> {
        self.board.tick(self.begin.elapsed());
        let _ = self.draw(Screen::draw).await?;
        let moved = self.operator.move_on(&Plan::EVEN).await?;
        self.screen.tell(if moved {
            "the split moves: version 1 from 95% to 50%, version 2 from 5% to 50%"
        } else {
            "you have moved the split: the demo leaves it to you"
        })
    }

    async fn draw(
        &mut self,
        how: fn(&Screen, &Scene<'_>) -> Result<Reader, Failure>,
    ) -> Result<Reader, Failure> {
        let policy = self.operator.policy().await?;
        // A version has a row for each share, by its number or by a label.
        let primaries: BTreeSet<_> = policy.counted.iter().map(|row| row.version).collect();
        let verdicts = Verdicts {
            outcomes: self.operator.outcomes().await?,
            pairs: self
                .operator
                .pairs(primaries.into_iter(), Plan::SHADOW)
                .await,
        };
        let scene = Scene {
            policy: &policy,
            verdicts: &verdicts,
            board: &self.board,
            classes: &self.subject.classes,
            date: self
                .flights
                .date(self.at().saturating_sub(self.plan.stride)),
            elapsed: self.begin.elapsed(),
        };
        how(&self.screen, &scene)
    }
}

/// What the model takes and gives.
#[derive(Debug)]
struct Subject {
    inputs: Vec<TensorSignature>,
    /// On time, late.
    classes: [String; 2],
}

impl Subject {
    /// From the highest READY version: versions under one policy take and give the same.
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

    fn question(&self, model: &str, flights: &Flights, at: usize) -> Question {
        let late = flights.was_late(at);
        Question {
            request: PredictRequest {
                model: model.to_owned(),
                rows: vec![wire::row(flights.row(at, &self.inputs))],
                ..PredictRequest::default()
            },
            late,
            truth: self.classes[usize::from(late)].clone(),
        }
    }
}

/// When the next flight is due.
#[derive(Debug)]
struct Pace {
    next: Instant,
    period: Duration,
}

impl Pace {
    /// So far behind, a replay does not catch up: the machine was asleep, or the rate is more than it can do.
    const LATEST: Duration = Duration::from_millis(250);

    fn new(per_second: u32) -> Self {
        Self {
            next: Instant::now(),
            period: Duration::from_secs(1) / per_second,
        }
    }

    /// Waits until a flight is due. Loses none when it is dropped before.
    async fn due(&mut self) {
        time::sleep_until(self.next).await;
        self.next += self.period;
        let now = Instant::now();
        if now > self.next + Self::LATEST {
            self.next = now;
        }
    }
}

/// What goes out for one flight, and what came true.
#[derive(Debug)]
struct Question {
    request: PredictRequest,
    /// Whether the flight was late.
    late: bool,
    /// The class that came true.
    truth: String,
}

/// Asks the gateway about one flight: what it said, the id of the answer, and the class that came true.
async fn ask(
    mut client: PredictionServiceClient<Channel>,
    question: Question,
) -> Result<(Seen, String, String), Status> {
    let sent = Instant::now();
    let answer = client.predict(question.request).await?.into_inner();
    let id = answer.response_id.clone();
    let seen = seen(answer, sent.elapsed(), question.late, &question.truth)?;
    Ok((seen, id, question.truth))
}

fn seen(
    answer: PredictResponse,
    latency: Duration,
    late: bool,
    truth: &str,
) -> Result<Seen, Status> {
    let score = answer
        .outputs
        .first()
        .map(wire::fp32)
        .and_then(|values| values.first().copied());
    let class = answer.top_classes.into_iter().next().map(|top| top.label);
    let (Some(score), Some(class)) = (score, class) else {
        return Err(Status::internal(
            "the answer holds no probability or no class",
        ));
    };
    Ok(Seen {
        version: answer.version,
        latency,
        right: class == truth,
        class,
        score,
        late,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::{Tensor, TopClass};

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
            "a minute asleep is not made up for: {took} ms"
        );
    }

    #[test]
    fn an_answer_is_held_against_what_came_true() {
        let answer = |label: &str, values: &[f32]| PredictResponse {
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
        let right = seen(answer("late", &[0.75]), Duration::ZERO, true, "late").unwrap();
        assert!(right.right && right.late && right.version == 2, "{right:?}");
        let wrong = seen(answer("on time", &[0.25]), Duration::ZERO, true, "late").unwrap();
        assert!(!wrong.right, "{wrong:?}");
        assert!(seen(answer("late", &[]), Duration::ZERO, true, "late").is_err());
    }
}
