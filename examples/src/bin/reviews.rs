//! The GraphQL subgraph that owns reviews.

use std::net::SocketAddr;
use std::process::ExitCode;

use catalyst_examples::{reviews, runtime};
use clap::Parser;

const EXAMPLE: &str = "\
Example:
  reviews --listen 127.0.0.1:4102
  curl http://127.0.0.1:4102/graphql -H 'content-type: application/json' \\
    -d '{\"query\":\"{ latestReviews { body author rating } }\"}'";

/// The reviews subgraph (GraphQL, Federation v2) at /graphql; adds reviews to the products of the products subgraph.
#[derive(Parser)]
#[command(
    version,
    after_help = EXAMPLE
)]
struct Args {
    /// Address and port to serve on; port 0 picks a free one.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:4102")]
    listen: SocketAddr,
}

#[tokio::main]
async fn main() -> ExitCode {
    runtime::exit_code(run(Args::parse()).await)
}

async fn run(args: Args) -> anyhow::Result<()> {
    let listener = runtime::listen("reviews", args.listen).await?;
    runtime::serve_http(listener, reviews::router()).await
}
