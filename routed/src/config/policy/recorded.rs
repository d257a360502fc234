//! Routes written down to try policies with: as tests of the configuration spell them, or as catalystctl prints them.

use serde_json::{Map, Value};

use super::super::types::Config;
use super::tests::TestRoute;

/// The most routes at a time.
const MAX_ROUTES: usize = 1000;
/// The longest text in bytes.
const MAX_BYTES: usize = 4 << 20;
/// What `show routes` and `show route` print as JSON and no policy reads.
const SHOWN: [&str; 18] = [
    "family",
    "table",
    "best",
    "selected",
    "origin_as",
    "origin_node",
    "next_hop",
    "age_s",
    "stale",
    "data_planes",
    "reason",
    "path",
    "endpoints",
    "weight",
    "draining",
    "local_address",
    "offered_by",
    "community_names",
];

/// A route that was written down.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The route.
    pub route: TestRoute,
    /// The peer that it was learned from.
    pub learned_from: Option<String>,
}

impl Config {
    /// Reads a route, or a list of them, in JSON.
    ///
    /// # Errors
    /// What is wrong, in one line.
    pub fn recorded_routes(&self, json: &str) -> Result<Vec<Recorded>, String> {
        if json.len() > MAX_BYTES {
            return Err(format!("the routes have more than {MAX_BYTES} bytes"));
        }
        let value: Value = serde_json::from_str(json).map_err(|error| format!("the routes are not JSON: {error}"))?;
        let list = match value {
            Value::Array(list) => list,
            one @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => vec![one],
        };
        if list.len() > MAX_ROUTES {
            return Err(format!("at most {MAX_ROUTES} routes at a time, found {}", list.len()));
        }
        let routes = list.into_iter().enumerate();
        routes
            .map(|(index, value)| {
                self.recorded(value)
                    .map_err(|error| format!("route [{index}]: {error}"))
            })
            .collect()
    }

    fn recorded(&self, value: Value) -> Result<Recorded, String> {
        let Value::Object(mut object) = value else {
            return Err("expected an object".to_owned());
        };
        let learned_from = reduce(&mut object);
        let route: TestRoute = serde_json::from_value(Value::Object(object)).map_err(|error| error.to_string())?;
        for community in &route.communities {
            if self.community(&community.0).is_none() {
                let name = community.to_string();
                return Err(format!(
                    "no community is called {name:?} (by number: 65001:100 or 65001:1:2)"
                ));
            }
        }
        Ok(Recorded { route, learned_from })
    }
}

/// Leaves of a printed route what a test says of one; returns the peer.
fn reduce(object: &mut Map<String, Value>) -> Option<String> {
    object.retain(|key, value| !value.is_null() && !SHOWN.contains(&key.as_str()));
    if let Some(organisation) = object.remove("origin_org") {
        object.entry("origin_organisation").or_insert(organisation);
    }
    let learned_from = object.remove("learned_from");
    learned_from.and_then(|peer| peer.as_str().map(str::to_owned))
}
