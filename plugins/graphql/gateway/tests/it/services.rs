//! The services of the tests.

use crate::support::{Behaviour, execute};
use async_graphql::{Context, EmptyMutation, EmptySubscription, Enum, ID, Object, Schema, SimpleObject};
use http::HeaderMap;

/// `products`: Query.products, Query.whoami, Mutation.rename.
pub(crate) fn products() -> Behaviour {
    let schema = Schema::build(ProductsQuery, ProductsMutation, EmptySubscription)
        .enable_federation()
        .finish();
    execute(schema)
}

struct ProductsQuery;
struct ProductsMutation;

#[derive(SimpleObject)]
#[graphql(name = "Product")]
struct ProductOfProducts {
    id: ID,
    name: String,
    price: Money,
}

#[derive(SimpleObject)]
#[graphql(shareable)]
struct Money {
    cents: i32,
    currency: Currency,
}

#[derive(Enum, Copy, Clone, PartialEq, Eq)]
enum Currency {
    Eur,
}

fn product(id: &str) -> ProductOfProducts {
    ProductOfProducts {
        id: id.into(),
        name: format!("product {id}"),
        price: Money {
            cents: 100,
            currency: Currency::Eur,
        },
    }
}

#[Object(name = "Query")]
impl ProductsQuery {
    async fn products(&self) -> Vec<ProductOfProducts> {
        ["1", "2"].map(product).into()
    }

    /// The headers that came along.
    async fn whoami(&self, context: &Context<'_>) -> String {
        let headers = context.data_unchecked::<HeaderMap>();
        let show = |name: &str| {
            headers
                .get(name)
                .and_then(|v| v.to_str().ok())
                .unwrap_or("none")
                .to_owned()
        };
        format!("{} {} {}", show("authorization"), show("cookie"), show("x-other"))
    }

    #[graphql(entity)]
    async fn find(&self, id: ID) -> ProductOfProducts {
        product(&id)
    }
}

#[Object(name = "Mutation")]
impl ProductsMutation {
    async fn rename(&self, name: String) -> String {
        name
    }
}

/// `reviews`: Product.reviews, Query.refund.
pub(crate) fn reviews() -> Behaviour {
    let schema = Schema::build(ReviewsQuery, EmptyMutation, EmptySubscription)
        .enable_federation()
        .finish();
    execute(schema)
}

struct ReviewsQuery;

#[derive(SimpleObject)]
struct Review {
    body: String,
}

struct ProductOfReviews {
    id: ID,
}

#[Object(name = "Product")]
impl ProductOfReviews {
    async fn id(&self) -> &ID {
        &self.id
    }

    async fn reviews(&self) -> Vec<Review> {
        vec![Review {
            body: format!("review of {}", self.id.as_str()),
        }]
    }
}

#[Object(name = "Query")]
impl ReviewsQuery {
    async fn refund(&self) -> Option<Money> {
        Some(Money {
            cents: 5,
            currency: Currency::Eur,
        })
    }

    #[graphql(entity)]
    async fn find(&self, id: ID) -> ProductOfReviews {
        ProductOfReviews { id }
    }
}

/// `reviews` again, with a field more.
pub(crate) fn reviews_with_count() -> Behaviour {
    let schema = Schema::build(CountQuery, EmptyMutation, EmptySubscription)
        .enable_federation()
        .finish();
    execute(schema)
}

struct CountQuery;

#[Object(name = "Query")]
impl CountQuery {
    async fn refund(&self) -> Option<Money> {
        Some(Money {
            cents: 5,
            currency: Currency::Eur,
        })
    }

    async fn count(&self) -> i32 {
        42
    }

    #[graphql(entity)]
    async fn find(&self, id: ID) -> ProductOfReviews {
        ProductOfReviews { id }
    }
}

/// `reviews` with another idea of Money.cents.
pub(crate) fn reviews_with_other_money() -> Behaviour {
    let schema = Schema::build(OtherMoneyQuery, EmptyMutation, EmptySubscription)
        .enable_federation()
        .finish();
    execute(schema)
}

struct OtherMoneyQuery;

#[derive(SimpleObject)]
#[graphql(name = "Money", shareable)]
struct OtherMoney {
    cents: String,
    currency: Currency,
}

#[Object(name = "Query")]
impl OtherMoneyQuery {
    async fn refund(&self) -> Option<OtherMoney> {
        Some(OtherMoney {
            cents: "5".into(),
            currency: Currency::Eur,
        })
    }

    #[graphql(entity)]
    async fn find(&self, id: ID) -> ProductOfReviews {
        ProductOfReviews { id }
    }
}

/// `weather`: knows no federation.
pub(crate) fn weather() -> Behaviour {
    execute(Schema::new(WeatherQuery, EmptyMutation, EmptySubscription))
}

struct WeatherQuery;

#[derive(SimpleObject)]
struct Report {
    place: String,
    degrees: f64,
}

#[Object(name = "WeatherQuery")]
impl WeatherQuery {
    async fn weather(&self, #[graphql(default_with = "\"here\".to_string()")] place: String) -> Report {
        Report { place, degrees: 21.5 }
    }

    async fn broken(&self) -> async_graphql::Result<i32> {
        Err("the sensor is wet".into())
    }
}
