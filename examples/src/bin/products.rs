//! The GraphQL subgraph that owns products.

use std::net::SocketAddr;

use catalyst_examples::{products, runtime};
use clap::Parser;

/// The products subgraph (GraphQL, Federation v2) at /graphql.
#[derive(Parser)]
#[command(
    version,
    after_help = "Example:\n  products --listen 127.0.0.1:4101\n  \
    curl -H 'content-type: application/json' -d '{\"query\":\"{ topProducts { upc name price } }\"}' \
    http://127.0.0.1:4101/graphql"
)]
struct Args {
    /// Address and port to serve on; port 0 picks a free one.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:4101")]
    listen: SocketAddr,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let listener = runtime::listen("products", args.listen).await?;
    runtime::serve_http(listener, products::router()).await
}
