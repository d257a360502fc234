//! What may be wrong with a set of schemas.

use std::fmt;

/// Why schemas do not compose. The codes are stable; [`ErrorCode::as_str`] is what users see and scripts match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ErrorCode {
    /// A schema does not parse.
    InvalidSyntax,
    /// A schema, its nesting, or the number of services is beyond what is read.
    LimitExceeded,
    /// Two services have one name.
    DuplicateService,
    /// A federation directive, version or construct that this composer does not support yet.
    Unsupported,
    /// One service defines a name twice.
    DuplicateDefinition,
    /// A field, argument, member or interface names a type that its service does not define.
    UnknownType,
    /// `@key`, `@requires` or `@provides` names fields that do not exist, or has no `fields`.
    InvalidFieldSet,
    /// `@external` on a field that no other service resolves.
    ExternalMissingOnBase,
    /// One name is an object here and, say, an enum there.
    TypeKindMismatch,
    /// One field has types that do not fit in two services.
    FieldTypeMismatch,
    /// One field has different arguments in two services.
    FieldArgumentMismatch,
    /// Two services resolve one field and not all of them mark it `@shareable`.
    InvalidFieldSharing,
    /// A type that several services share, without `@key`, has not the same fields, values or members in all.
    ValueTypeMismatch,
    /// A service outside federation has a type of the same name as another service's, but with other content.
    TypeConflict,
    /// An entity can be reached in one service from which no `@key` leads to a field of another.
    Unsatisfiable,
    /// No service has a query field.
    NoQueries,
    /// The merged schema is not valid GraphQL, an object that lacks a field of its interface for one.
    InvalidGraphql,
}

impl ErrorCode {
    /// The stable spelling, `FIELD_TYPE_MISMATCH`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidSyntax => "INVALID_SYNTAX",
            Self::LimitExceeded => "LIMIT_EXCEEDED",
            Self::DuplicateService => "DUPLICATE_SERVICE",
            Self::Unsupported => "UNSUPPORTED",
            Self::DuplicateDefinition => "DUPLICATE_DEFINITION",
            Self::UnknownType => "UNKNOWN_TYPE",
            Self::InvalidFieldSet => "INVALID_FIELD_SET",
            Self::ExternalMissingOnBase => "EXTERNAL_MISSING_ON_BASE",
            Self::TypeKindMismatch => "TYPE_KIND_MISMATCH",
            Self::FieldTypeMismatch => "FIELD_TYPE_MISMATCH",
            Self::FieldArgumentMismatch => "FIELD_ARGUMENT_MISMATCH",
            Self::InvalidFieldSharing => "INVALID_FIELD_SHARING",
            Self::ValueTypeMismatch => "VALUE_TYPE_MISMATCH",
            Self::TypeConflict => "TYPE_CONFLICT",
            Self::Unsatisfiable => "UNSATISFIABLE",
            Self::NoQueries => "NO_QUERIES",
            Self::InvalidGraphql => "INVALID_GRAPHQL",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One conflict. Its display is one line: the code, then a sentence that names every place involved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct CompositionError {
    /// The kind of conflict.
    pub code: ErrorCode,
    /// The services involved, the one to look at first in front; empty if none is to blame.
    pub services: Vec<String>,
    /// The type that conflicts.
    pub type_name: Option<String>,
    /// The field, enum value or input field of that type.
    pub field: Option<String>,
    /// One sentence.
    pub message: String,
}

impl CompositionError {
    pub(crate) fn new(code: ErrorCode, service: &str, message: impl Into<String>) -> Self {
        let services = vec![service.to_owned()];
        Self {
            code,
            services,
            type_name: None,
            field: None,
            message: message.into(),
        }
    }

    pub(crate) fn and_service(mut self, service: &str) -> Self {
        self.services.push(service.to_owned());
        self
    }

    pub(crate) fn on_type(mut self, name: &str) -> Self {
        self.type_name = Some(name.to_owned());
        self
    }

    pub(crate) fn on_field(mut self, type_name: &str, field: &str) -> Self {
        self.field = Some(field.to_owned());
        self.on_type(type_name)
    }
}

/// Collects errors, so that a user sees all of one stage at once.
#[derive(Debug, Default)]
pub(crate) struct Errors(Vec<CompositionError>);

impl Errors {
    /// More than this many help nobody and would let one hostile schema fill a log.
    const MAX: usize = 100;

    pub(crate) fn push(&mut self, error: CompositionError) {
        if self.0.len() < Self::MAX {
            self.0.push(error);
        }
    }

    pub(crate) fn stop_if_any(&mut self) -> Result<(), Vec<CompositionError>> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(std::mem::take(&mut self.0))
        }
    }
}
