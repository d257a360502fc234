//! The schema of a service that knows no federation: by introspection.

use cynic::QueryBuilder as _;
use cynic_introspection::IntrospectionQuery;
use serde_json::Value;

/// The body of the request.
pub(crate) fn request() -> Value {
    serde_json::json!({ "query": IntrospectionQuery::build(()).query })
}

/// The schema in the answer.
///
/// # Errors
/// What the service said, or why its answer is no schema.
pub(crate) fn sdl(answer: Value) -> Result<String, String> {
    let answer: cynic::GraphQlResponse<IntrospectionQuery> =
        serde_json::from_value(answer).map_err(|error| format!("its introspection is not readable: {error}"))?;
    let Some(data) = answer.data else {
        let said = answer
            .errors
            .unwrap_or_default()
            .into_iter()
            .next()
            .map(|error| error.message);
        return Err(format!(
            "it refuses introspection: {}",
            said.unwrap_or_else(|| "no data".to_owned())
        ));
    };
    let schema = data
        .into_schema()
        .map_err(|error| format!("its introspection is not a schema: {error}"))?;
    Ok(schema.to_sdl())
}
