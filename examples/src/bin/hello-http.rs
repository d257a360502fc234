//! A plain HTTP service.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use catalyst_examples::hello_http::{self, Hello};
use catalyst_examples::runtime;
use clap::Parser;

const EXAMPLE: &str = "\
Example:
  hello-http --listen 127.0.0.1:4103 --name one --delay 50ms
  curl http://127.0.0.1:4103/any/path";

/// Answers every request with JSON: its name, and the path, Host and x-catalyst-via headers that it saw. /status/NNN
/// answers with that status.
#[derive(Parser)]
#[command(
    version,
    after_help = EXAMPLE
)]
struct Args {
    /// Address and port to serve on; port 0 picks a free one.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:4103")]
    listen: SocketAddr,
    /// What it calls itself in its answers.
    #[arg(long, default_value = "hello-http")]
    name: String,
    /// How long to wait before each answer, such as 250ms or 2s.
    #[arg(long, default_value = "0ms", value_parser = hello_http::parse_delay)]
    delay: Duration,
}

#[tokio::main]
async fn main() -> ExitCode {
    runtime::exit_code(run(Args::parse()).await)
}

async fn run(args: Args) -> anyhow::Result<()> {
    let listener = runtime::listen("hello-http", args.listen).await?;
    runtime::serve_http(
        listener,
        hello_http::router(Hello {
            name: args.name.into(),
            delay: args.delay,
        }),
    )
    .await
}
