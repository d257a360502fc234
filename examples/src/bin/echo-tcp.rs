//! A TCP service.

use std::net::SocketAddr;
use std::process::ExitCode;

use catalyst_examples::{echo_tcp, runtime};
use clap::Parser;

const EXAMPLE: &str = "\
Example:
  echo-tcp --listen 127.0.0.1:4105 --name one
  curl telnet://127.0.0.1:4105";

/// Sends every line back as "NAME: line".
#[derive(Parser)]
#[command(
    version,
    after_help = EXAMPLE
)]
struct Args {
    /// Address and port to serve on; port 0 picks a free one.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:4105")]
    listen: SocketAddr,
    /// What it calls itself in its answers.
    #[arg(long, default_value = "echo-tcp")]
    name: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    runtime::exit_code(run(Args::parse()).await)
}

async fn run(args: Args) -> anyhow::Result<()> {
    let listener = runtime::listen("echo-tcp", args.listen).await?;
    echo_tcp::serve(listener, &args.name).await
}
