//! The GraphQL subgraph that owns reviews.

use std::net::SocketAddr;

use catalyst_examples::{reviews, runtime};
use clap::Parser;

/// The reviews subgraph (GraphQL, Federation v2) at /graphql; adds reviews to the products of the products subgraph.
#[derive(Parser)]
#[command(
    version,
    after_help = "Example:\n  reviews --listen 127.0.0.1:4102\n  \
    curl -H 'content-type: application/json' -d '{\"query\":\"{ latestReviews { body author rating } }\"}' \
    http://127.0.0.1:4102/graphql"
)]
struct Args {
    /// Address and port to serve on; port 0 picks a free one.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:4102")]
    listen: SocketAddr,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let listener = runtime::listen("reviews", args.listen).await?;
    runtime::serve_http(listener, reviews::router()).await
}
