//! A gateway without loader, so that its shadow can be a version that the loader would refuse.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::Arc,
    thread,
    time::Duration,
};

use taper::api::Predictor;
use taper::api::grpc::{Admission, Predictions};
use taper::error::ForwardError;
use taper::insight::metrics::Telemetry;
use taper::model::{Batch, Manifest, Model, Outputs, Version};
use taper::priority::set_latency_sensitive;
use taper::serving::Pipeline;
use taper::serving::admission::{AdmissionControl, Limits};
use taper::serving::batch::Pool;
use taper::serving::route::{RawPolicy, RawShadow};
use taper::serving::shadow::{ShadowPool, ShadowPoolSettings};
use tokio::runtime;

use crate::common::{self, MODEL};
use crate::listen;
use crate::live_snapshot;

/// Behaviour of the shadow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// There is no shadow.
    NoShadow,
    /// It answers.
    Sound,
    /// It takes a hundred times as long.
    Slow,
    /// It never answers.
    Hangs,
    /// It panics.
    Panics,
    /// It answers NaN.
    NotANumber,
}

impl Fault {
    pub(crate) const ALL: [(Self, &str); 6] = [
        (Self::NoShadow, "no shadow"),
        (Self::Sound, "sound"),
        (Self::Slow, "100x slower"),
        (Self::Hangs, "hangs"),
        (Self::Panics, "panics"),
        (Self::NotANumber, "NaN"),
    ];

    pub(crate) fn named(name: &str) -> Self {
        let mut all = Self::ALL.into_iter();
        all.find(|(_, own)| *own == name).expect("a fault").0
    }
}

/// Version 3 with a fault.
struct Faulty {
    version: Version,
    fault: Fault,
}

impl Model for Faulty {
    fn cost_per_row(&self) -> usize {
        self.version.cost_per_row()
    }

    fn forward(&self, rows: &Batch) -> Result<Outputs, ForwardError> {
        match self.fault {
            Fault::NoShadow | Fault::Sound => {}
            Fault::Slow => (1..100).try_for_each(|_| self.version.forward(rows).map(drop))?,
            Fault::Hangs => loop {
                thread::park();
            },
            Fault::Panics => panic!("a shadow that panics"),
            Fault::NotANumber => {
                let columns = self.version.forward(rows)?.scores.columns();
                return Outputs::scores(vec![f32::NAN; rows.len() * columns], columns);
            }
        }
        self.version
            .forward(rows)
            .map(|pass| Outputs::Scores(pass.scores))
    }
}

/// Serves versions 1 and 2 at 50/50 until stdin ends, with version 3 as a shadow of all traffic that has `fault`.
pub(crate) fn serve(fault: Fault) {
    // Printing thousands of panics would measure the terminal.
    std::panic::set_hook(Box::new(|_| {}));
    let telemetry = Telemetry::new().expect("metrics");
    let (one, two) = (common::version(1), common::version(2));
    let manifest = Manifest::read(&common::registry().join(MODEL).join("3")).expect("a manifest");
    let faulty = Faulty {
        version: common::version(3),
        fault,
    };
    let versions = [one, two, Version::new(manifest, Box::new(faulty))];
    let shadow = RawShadow {
        target: 3.into(),
        basis_points: 10_000,
        ..RawShadow::default()
    };
    let policy = RawPolicy {
        split: vec![(1.into(), 5_000), (2.into(), 5_000)],
        shadows: if fault == Fault::NoShadow {
            Vec::new()
        } else {
            vec![shadow]
        },
        ..RawPolicy::default()
    };
    let live = live_snapshot::live(&telemetry, MODEL, versions, policy);
    let limits = Limits {
        max_in_flight: 1_024,
        max_in_flight_bytes: 1 << 30,
    };
    let admission = AdmissionControl::new(limits, Arc::clone(&telemetry));
    let shadows = ShadowPool::start(ShadowPoolSettings::default(), None).expect("threads");
    let pool = Pool::start().expect("threads");
    let pipeline = Pipeline::new(live, Arc::clone(&telemetry), pool).with_shadows(shadows);
    let predictions = Predictions::new(Predictor::new(Arc::new(pipeline), Arc::clone(&admission)));
    let predictions = predictions.into_service(16 << 20);
    let service = Admission::new(predictions, admission, Arc::clone(&telemetry));
    let http = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = http.local_addr().expect("bound");
    let shared = Arc::clone(&telemetry);
    thread::spawn(move || serve_metrics(&http, &shared));
    thread::spawn(move || {
        loop {
            thread::park_timeout(Duration::from_secs(1));
            telemetry.upkeep();
        }
    });
    // Like a thread of the data port.
    set_latency_sensitive();
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    listen::serve(&runtime.expect("a runtime"), move |mut server| {
        println!("http   http://{address}");
        server.add_service(service)
    });
}

/// Answers every HTTP request with the metrics.
fn serve_metrics(http: &TcpListener, telemetry: &Telemetry) {
    for stream in http.incoming().flatten() {
        let lines = BufReader::new(&stream).lines().map_while(Result::ok);
        // Up to the end of the request's headers.
        lines.take_while(|line| !line.is_empty()).for_each(drop);
        let answer = format!("HTTP/1.0 200 OK\r\n\r\n{}", telemetry.render());
        let _ = (&stream).write_all(answer.as_bytes());
    }
}
