//! Why a command failed, in one line, and the exit code that says so.

use std::fmt;
use std::io;

use tonic::{Code, Status};

/// A command is done, or it failed.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The daemon, or this program, says no.
    Refused(String),
    /// What was asked for makes no sense.
    Usage(String),
    /// No daemon answers there.
    Unreachable(String),
    /// Nobody reads the output any more.
    ReaderGone,
}

impl Failure {
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::Refused(message.into())
    }

    /// What an error of a call means to people.
    pub(crate) fn from_status(status: &Status, addr: &str) -> Self {
        match status.code() {
            Code::Unavailable | Code::Cancelled | Code::Unknown | Code::DeadlineExceeded => Self::Unreachable(format!(
                "the daemon at {addr} does not answer: {}",
                one_line(status.message())
            )),
            Code::Unimplemented => Self::Refused(format!(
                "what listens at {addr} does not know this command: is it an older catalyst-routed?"
            )),
            Code::Ok
            | Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::ResourceExhausted
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::OutOfRange
            | Code::Internal
            | Code::DataLoss
            | Code::Unauthenticated => Self::Refused(one_line(status.message())),
        }
    }

    /// The exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::ReaderGone => 0,
            Self::Refused(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
        }
    }
}

fn one_line(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join("; ")
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(message) | Self::Usage(message) | Self::Unreachable(message) => f.write_str(message),
            Self::ReaderGone => f.write_str("the reader of the output has gone"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::ReaderGone;
        }
        Self::Refused(format!("cannot write: {error}"))
    }
}
