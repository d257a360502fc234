//! Where answers go.

use std::io::{self, BufWriter, Stdout, Write};

use clap::ValueEnum;
use serde::Serialize;

use crate::failure::{Failure, Outcome};

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people, as wide as the terminal, but no less than 100 columns.
    Table,
    /// For programs.
    Json,
}

/// Standard output.
pub(crate) struct Output {
    pub(crate) format: Format,
    writer: BufWriter<Stdout>,
}

impl Output {
    pub(crate) fn stdout(format: Format) -> Self {
        Self {
            format,
            writer: BufWriter::new(io::stdout()),
        }
    }

    /// A line, or several.
    pub(crate) fn line(&mut self, text: &str) -> Outcome {
        writeln!(self.writer, "{text}")?;
        Ok(())
    }

    /// A value as JSON over several lines.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Outcome {
        serde_json::to_writer_pretty(&mut self.writer, value).map_err(io::Error::from)?;
        self.line("")
    }

    /// A value as JSON on one line, seen at once.
    pub(crate) fn json_line(&mut self, value: &impl Serialize) -> Outcome {
        serde_json::to_writer(&mut self.writer, value).map_err(io::Error::from)?;
        self.line("")
    }

    /// Brings everything to the reader.
    pub(crate) fn flush(&mut self) -> Outcome {
        self.writer.flush().map_err(Failure::from)
    }
}
