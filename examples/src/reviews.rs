//! The subgraph that owns reviews and adds them to the products of another subgraph.

use async_graphql::{ComplexObject, EmptyMutation, EmptySubscription, ID, Object, Schema, SimpleObject};
use async_graphql_axum::GraphQL;
use axum::Router;
use axum::routing::post_service;

/// What somebody thinks of a product.
#[derive(Debug, Clone, SimpleObject)]
pub struct Review {
    id: ID,
    /// The text.
    body: String,
    /// Who wrote it.
    author: String,
    /// One to five.
    rating: i32,
    /// What it is about.
    product: Product,
}

/// A product, of which this subgraph knows the key alone.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct Product {
    /// Its key.
    upc: ID,
}

#[ComplexObject]
impl Product {
    /// Everything that was said about it, the newest first.
    async fn reviews(&self) -> Vec<Review> {
        newest_first().filter(|review| review.product.upc == self.upc).collect()
    }
}

/// (id, product, rating, author, body), the oldest first.
const REVIEWS: [(&str, &str, i32, &str, &str); 5] = [
    ("1", "1", 5, "Ada", "Love it!"),
    ("2", "1", 4, "Alan", "Too expensive."),
    ("3", "2", 2, "Grace", "Could be better."),
    ("4", "3", 5, "Edsger", "Prefer something else? No."),
    ("5", "3", 3, "Barbara", "It is a chair."),
];

fn newest_first() -> impl Iterator<Item = Review> {
    REVIEWS.iter().rev().map(|(id, upc, rating, author, body)| Review {
        id: ID::from(*id),
        body: (*body).to_owned(),
        author: (*author).to_owned(),
        rating: *rating,
        product: Product { upc: ID::from(*upc) },
    })
}

/// The root fields of this subgraph.
#[derive(Debug)]
pub struct Query;

#[Object]
impl Query {
    /// The newest reviews of all products, the newest first.
    async fn latest_reviews(
        &self,
        #[graphql(default = 3, validator(minimum = 0, maximum = 100))] first: i32,
    ) -> Vec<Review> {
        newest_first().take(usize::try_from(first).unwrap_or(0)).collect()
    }

    #[graphql(entity)]
    async fn product_by_upc(&self, upc: ID) -> Product {
        Product { upc }
    }
}

/// The schema of this subgraph.
#[must_use]
pub fn schema() -> Schema<Query, EmptyMutation, EmptySubscription> {
    Schema::build(Query, EmptyMutation, EmptySubscription)
        .enable_federation()
        .finish()
}

/// Serves the subgraph at `/graphql`.
pub fn router() -> Router {
    Router::new().route("/graphql", post_service(GraphQL::new(schema())))
}
