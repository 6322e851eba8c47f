//! Signals: the two that ask the process to end, and those that a gateway must survive.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Receives SIGINT and SIGTERM. From its creation on, neither ends the process by itself.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Installs the handlers.
    ///
    /// # Errors
    /// Returns an error if the system refuses them.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: handler(SignalKind::interrupt())?,
            terminate: handler(SignalKind::terminate())?,
        })
    }

    /// Waits for the next signal and returns its name. Cancel-safe: no signal is lost.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

/// A signal that asks a gateway for something. Without a handler each would end the process at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// SIGHUP: read again what can be read again.
    Reload,
    /// SIGUSR1: report the state.
    Report,
    /// SIGUSR2, which has no meaning.
    Nothing,
}

/// Receives SIGHUP, SIGUSR1 and SIGUSR2. From its creation on, none of them ends the process.
#[derive(Debug)]
pub struct Notices {
    hangup: Signal,
    first: Signal,
    second: Signal,
}

impl Notices {
    /// Installs the handlers.
    ///
    /// # Errors
    /// Returns an error if the system refuses them.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            hangup: handler(SignalKind::hangup())?,
            first: handler(SignalKind::user_defined1())?,
            second: handler(SignalKind::user_defined2())?,
        })
    }

    /// Waits for the next signal. Cancel-safe: no signal is lost.
    pub async fn next(&mut self) -> Notice {
        tokio::select! {
            _ = self.hangup.recv() => Notice::Reload,
            _ = self.first.recv() => Notice::Report,
            _ = self.second.recv() => Notice::Nothing,
        }
    }
}

fn handler(kind: SignalKind) -> io::Result<Signal> {
    signal(kind).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen for signals: {error}"))
    })
}
