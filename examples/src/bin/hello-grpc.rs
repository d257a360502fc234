//! A gRPC service.

use std::net::SocketAddr;
use std::process::ExitCode;

use catalyst_examples::{hello_grpc, runtime};
use clap::Parser;

const EXAMPLE: &str = "\
Example:
  hello-grpc --listen 127.0.0.1:4104 --name one
  grpcurl -plaintext -import-path examples/proto \\
    -proto catalyst/example/v1/greeter.proto -d '{\"name\":\"Ada\"}' \\
    127.0.0.1:4104 catalyst.example.v1.Greeter/SayHello";

/// Serves catalyst.example.v1.Greeter (SayHello, and SayHellos as a stream) over HTTP/2 without TLS.
#[derive(Parser)]
#[command(
    version,
    after_help = EXAMPLE
)]
struct Args {
    /// Address and port to serve on; port 0 picks a free one.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:4104")]
    listen: SocketAddr,
    /// What it calls itself in its answers.
    #[arg(long, default_value = "hello-grpc")]
    name: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    runtime::exit_code(run(Args::parse()).await)
}

async fn run(args: Args) -> anyhow::Result<()> {
    let listener = runtime::listen("hello-grpc", args.listen).await?;
    hello_grpc::serve(listener, &args.name).await
}
