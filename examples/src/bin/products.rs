//! The GraphQL subgraph that owns products.

use std::net::SocketAddr;
use std::process::ExitCode;

use catalyst_examples::{products, runtime};
use clap::Parser;

const EXAMPLE: &str = "\
Example:
  products --listen 127.0.0.1:4101
  curl http://127.0.0.1:4101/graphql -H 'content-type: application/json' \\
    -d '{\"query\":\"{ topProducts { upc name price } }\"}'";

/// The products subgraph (GraphQL, Federation v2) at /graphql.
#[derive(Parser)]
#[command(
    version,
    after_help = EXAMPLE
)]
struct Args {
    /// Address and port to serve on; port 0 picks a free one.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:4101")]
    listen: SocketAddr,
}

#[tokio::main]
async fn main() -> ExitCode {
    runtime::exit_code(run(Args::parse()).await)
}

async fn run(args: Args) -> anyhow::Result<()> {
    let listener = runtime::listen("products", args.listen).await?;
    runtime::serve_http(listener, products::router()).await
}
