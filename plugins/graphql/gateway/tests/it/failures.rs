//! What a broken service may do to the others: nothing.

use crate::services::{products, reviews, reviews_with_other_money, weather};
use crate::support::{Behaviour, Egress, Gateway, execute, subgraph};
use async_graphql::{EmptyMutation, EmptySubscription, Object, Schema};
use catalyst_proto::gateway::v1::state::Graph;
use catalyst_proto::gateway::v1::subgraph_state::Phase;
use catalyst_proto::gateway::v1::{State, SubgraphState};
use http::StatusCode;
use serde_json::{Value, json};

fn find<'a>(state: &'a State, name: &str) -> &'a SubgraphState {
    state
        .subgraphs
        .iter()
        .find(|s| s.name == name)
        .expect("the service is known")
}

#[tokio::test]
async fn bad_schema_keeps_the_last_good_graph_and_names_the_field() {
    let (gateway, egress) = (
        Gateway::start(&["--refresh-interval", "50ms"]).await,
        Egress::start().await,
    );
    egress.set("products", products());
    egress.set("reviews", reviews());
    gateway.add(&egress, &["products", "reviews"]).await;
    let good = gateway.until_serving(&["products", "reviews"]).await;

    egress.set("reviews", reviews_with_other_money());
    let state = gateway
        .until("reviews is rejected", |state| state.graph() == Graph::Degraded)
        .await;
    assert_eq!(state.generation, good.generation);
    assert_eq!(state.errors.len(), 1, "{state:?}");
    let expected = "FIELD_TYPE_MISMATCH: Money.cents is String! in \"reviews\" and Int! in \"products\"";
    assert_eq!(state.errors[0], expected);
    assert_eq!(find(&state, "reviews").phase(), Phase::Rejected);
    assert_eq!(
        find(&state, "reviews").reason,
        format!("{expected} (its last good schema serves on)")
    );
    assert_eq!(find(&state, "products").phase(), Phase::Serving);
    assert_eq!(gateway.health().await["errors"], json!([expected]));
    let (_, answer) = gateway.query("{ products { reviews { body } } }").await;
    assert!(answer.get("errors").is_none(), "{answer}");

    egress.set("reviews", reviews());
    gateway.until_serving(&["products", "reviews"]).await;
}

#[tokio::test]
async fn newcomer_that_conflicts_stays_out() {
    let (gateway, egress) = (Gateway::start(&[]).await, Egress::start().await);
    egress.set("products", products());
    egress.set("a-reviews", reviews_with_other_money());
    gateway.add(&egress, &["products"]).await;
    gateway.until_serving(&["products"]).await;
    gateway.add(&egress, &["a-reviews"]).await;
    let state = gateway
        .until("the newcomer is rejected", |state| !state.errors.is_empty())
        .await;
    assert_eq!((state.graph(), state.generation), (Graph::Degraded, 1));
    assert_eq!(find(&state, "a-reviews").phase(), Phase::Rejected);
    assert_eq!(find(&state, "products").phase(), Phase::Serving);
    gateway.withdraw(&["a-reviews"]).await;
    let state = gateway.until_serving(&["products"]).await;
    assert!(state.errors.is_empty());
}

/// The answer to a query over both services while `reviews` behaves like this.
async fn partial(behaviour: Behaviour) -> Value {
    let (gateway, egress) = (
        Gateway::start(&["--request-timeout", "300ms"]).await,
        Egress::start().await,
    );
    egress.set("products", products());
    egress.set("reviews", reviews());
    gateway.add(&egress, &["products", "reviews"]).await;
    gateway.until_serving(&["products", "reviews"]).await;
    egress.set("reviews", behaviour);
    let (status, answer) = gateway.query("{ products { name } refund { cents } }").await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["data"]["products"][0]["name"], "product 1", "{answer}");
    assert_eq!(answer["data"]["refund"], Value::Null, "{answer}");
    let address = egress.address.to_string();
    assert!(!answer.to_string().contains(&address), "{answer}");
    assert!(
        !answer.to_string().contains(&egress.address.ip().to_string()),
        "{answer}"
    );
    let errors = answer["errors"].as_array().expect("errors");
    assert_eq!(errors[0]["extensions"]["service"], "reviews", "{answer}");
    errors[0].clone()
}

#[tokio::test]
async fn unavailable_service_is_partial_data() {
    let error = partial(Behaviour::Unavailable).await;
    assert_eq!(
        error["message"],
        "service \"reviews\" is not available: answered 503 and no GraphQL"
    );
}

#[tokio::test]
async fn broken_answer_is_partial_data() {
    let error = partial(Behaviour::Break).await;
    assert_eq!(
        error["message"],
        "service \"reviews\" is not available: its answer broke off"
    );
}

#[tokio::test]
async fn silence_is_partial_data() {
    let error = partial(Behaviour::Hang).await;
    assert_eq!(
        error["message"],
        "service \"reviews\" is not available: no answer in time"
    );
}

#[tokio::test]
async fn egress_that_is_gone_is_partial_data() {
    let (gateway, egress, other) = (Gateway::start(&[]).await, Egress::start().await, Egress::start().await);
    egress.set("products", products());
    other.set("reviews", reviews());
    gateway
        .apply(vec![subgraph("products", &egress), subgraph("reviews", &other)], &[])
        .await
        .expect("set");
    gateway.until_serving(&["products", "reviews"]).await;
    // Moved to where nobody listens, the service keeps its place in the graph.
    let mut gone = subgraph("reviews", &other);
    gone.egress = crate::support::free_address().to_string();
    gateway.apply(vec![gone.clone()], &[]).await.expect("set");
    let state = gateway
        .until("reviews is waited for", |state| state.graph() == Graph::Degraded)
        .await;
    let reason = "no connection to the egress listener (its last good schema serves on)";
    assert_eq!(find(&state, "reviews").reason, reason);
    let (_, answer) = gateway.query("{ products { name } refund { cents } }").await;
    assert_eq!(answer["data"]["products"][0]["name"], "product 1", "{answer}");
    assert_eq!(
        answer["errors"][0]["message"], "service \"reviews\" is not available: no connection",
        "{answer}"
    );
    assert!(!answer.to_string().contains(&gone.egress), "{answer}");
}

#[tokio::test]
async fn error_of_a_service_is_told() {
    let (gateway, egress) = (Gateway::start(&[]).await, Egress::start().await);
    egress.set("weather", weather());
    gateway.add(&egress, &["weather"]).await;
    gateway.until_serving(&["weather"]).await;
    let (_, answer) = gateway.query("{ broken weather { place } }").await;
    assert_eq!(answer["errors"][0]["message"], "the sensor is wet", "{answer}");
    assert_eq!(answer["errors"][0]["extensions"]["service"], "weather", "{answer}");
}

struct Endless;

#[Object(name = "Query")]
impl Endless {
    /// Its own name for a type that products owns, in a service that knows no federation.
    async fn product(&self) -> Other {
        Other
    }
}

struct Other;

#[Object(name = "Product")]
impl Other {
    async fn colour(&self) -> &str {
        "red"
    }
}

#[tokio::test]
async fn plain_service_with_another_type_of_the_same_name_is_refused() {
    let (gateway, egress) = (Gateway::start(&[]).await, Egress::start().await);
    egress.set("products", products());
    egress.set("paint", execute(Schema::new(Endless, EmptyMutation, EmptySubscription)));
    gateway.add(&egress, &["products"]).await;
    gateway.until_serving(&["products"]).await;
    gateway.add(&egress, &["paint"]).await;
    let state = gateway
        .until("paint is rejected", |state| !state.errors.is_empty())
        .await;
    let reason = &find(&state, "paint").reason;
    assert!(
        reason.starts_with("TYPE_CONFLICT: Product is an entity in \"products\""),
        "{reason}"
    );
    assert!(reason.contains("\"paint\""), "{reason}");
}
