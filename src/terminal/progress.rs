//! Progress bars on stderr, and text on stdout that is redrawn in place.

use std::io::{self, IsTerminal};

use indicatif::{ProgressDrawTarget, ProgressStyle};

use super::output::{self, Reader};
use super::table::terminal_width;

pub use indicatif::ProgressBar;

/// Returns a progress bar on stderr with this template of `indicatif`. Draws nothing if stderr is not a terminal.
#[must_use]
pub fn bar(template: &str) -> ProgressBar {
    styled(ProgressBar::no_length(), template)
}

/// Sets the template. One that cannot be parsed leaves the default style, which shows the message too.
fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Text on stdout that is redrawn in place on a terminal, and printed line by line elsewhere.
#[derive(Debug)]
pub enum Screen {
    /// Stdout is a terminal.
    Terminal(ProgressBar),
    /// Stdout is a file or a pipe.
    Lines,
}

impl Screen {
    /// Returns the screen for stdout.
    #[must_use]
    pub fn for_stdout() -> Self {
        if !io::stdout().is_terminal() {
            return Self::Lines;
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
        Self::Terminal(styled(bar, "{msg}"))
    }

    /// Draws `text`, which gets the width of the terminal in characters; without a terminal prints `line`.
    ///
    /// # Errors
    /// Returns an error if stdout cannot be written.
    pub fn draw(
        &self,
        text: impl FnOnce(usize) -> String,
        line: impl FnOnce() -> String,
    ) -> io::Result<Reader> {
        match self {
            Self::Terminal(bar) => {
                bar.set_message(text(terminal_width()));
                bar.tick();
                Ok(Reader::Present)
            }
            Self::Lines => output::print_to_reader(&line()),
        }
    }

    /// Prints `line` above the drawn text.
    ///
    /// # Errors
    /// Returns an error if stdout cannot be written.
    pub fn print(&self, line: &str) -> io::Result<Reader> {
        match self {
            Self::Terminal(bar) => {
                bar.println(line);
                Ok(Reader::Present)
            }
            Self::Lines => output::print_to_reader(line),
        }
    }

    /// Replaces the drawn text with `text`, which stays on the terminal.
    ///
    /// # Errors
    /// Returns an error if stdout cannot be written.
    pub fn finish(&self, text: impl FnOnce(usize) -> String) -> io::Result<Reader> {
        if let Self::Terminal(bar) = self {
            bar.finish_and_clear();
        }
        output::print_to_reader(&text(terminal_width()))
    }
}
