//! The subgraph that owns products: a Federation v2 entity with `upc` as its key.

use async_graphql::{EmptyMutation, EmptySubscription, ID, Object, Schema, SimpleObject};
use async_graphql_axum::GraphQL;
use axum::Router;
use axum::routing::post_service;

/// Something for sale.
#[derive(Debug, Clone, SimpleObject)]
pub struct Product {
    /// Universal product code: the key that other subgraphs refer to it by.
    upc: ID,
    /// What it is called.
    name: String,
    /// In cents.
    price: i32,
}

const CATALOGUE: [(&str, &str, i32); 4] = [
    ("1", "Table", 89_900),
    ("2", "Couch", 129_900),
    ("3", "Chair", 5_400),
    ("4", "Lamp", 3_250),
];

fn catalogue() -> impl Iterator<Item = Product> {
    CATALOGUE.iter().map(|(upc, name, price)| Product {
        upc: ID::from(*upc),
        name: (*name).to_owned(),
        price: *price,
    })
}

/// The root fields of this subgraph.
#[derive(Debug)]
pub struct Query;

#[Object]
impl Query {
    /// The products that sell best, the best one first.
    async fn top_products(
        &self,
        #[graphql(default = 3, validator(minimum = 0, maximum = 100))] first: i32,
    ) -> Vec<Product> {
        catalogue().take(usize::try_from(first).unwrap_or(0)).collect()
    }

    /// One product, or null.
    async fn product(&self, upc: ID) -> Option<Product> {
        catalogue().find(|product| product.upc == upc)
    }

    #[graphql(entity)]
    async fn product_by_upc(&self, upc: ID) -> Option<Product> {
        catalogue().find(|product| product.upc == upc)
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
