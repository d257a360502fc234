//! A data plane of its own in few lines: keeps a file with one line per route, `DESTINATION ADDRESS...`, as a proxy's map
//! file or a name server's hosts file would have it. docs/plugins.md tells more.

use std::fs;
use std::net::SocketAddr;
use std::process::ExitCode;

use catalyst_examples::runtime;
use catalyst_external::{Client, Selected, Target};
use clap::Parser;

/// Keeps a file with a line per route: where traffic for it goes, or `discard` for a wildcard below which a name that
/// nobody offers is to be refused.
#[derive(Parser)]
#[command(
    version,
    after_help = "Example:\n  routes-file unix:/run/catalyst/plane-hosts.sock hosts routes"
)]
struct Args {
    /// The socket of the plane: plugins.external.PLANE.listen, by default unix:/run/catalyst/plane-PLANE.sock.
    address: String,
    /// The name of the plane, in plugins.external.
    plane: String,
    /// The file.
    file: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    runtime::exit_code(run(Args::parse()).await)
}

async fn run(Args { address, plane, file }: Args) -> anyhow::Result<()> {
    let mut client = Client::new(&address, &plane)?;
    loop {
        let text: String = client.next().await?.routes().map(line).collect();
        // Whole or not at all: whoever reads it sees the old table or the new one.
        let written = fs::write(format!("{file}.new"), text).and_then(|()| fs::rename(format!("{file}.new"), &file));
        match written {
            Ok(()) => client.serves_all().await,
            Err(error) => client.serves_none(&error.to_string()).await,
        }
    }
}

fn line(route: &Selected) -> String {
    let addresses: Vec<String> = match route.target() {
        Target::Local(endpoints) => endpoints.iter().map(|at| format!("{}:{}", at.host, at.port)).collect(),
        Target::Remote(hops) => hops.iter().map(|hop| next_hop(hop.address)).collect(),
        Target::Discard => vec!["discard".to_owned()],
    };
    format!("{} {}\n", route.destination(), addresses.join(" "))
}

/// A node without Envoy names no port.
fn next_hop(address: SocketAddr) -> String {
    if address.port() == 0 {
        address.ip().to_string()
    } else {
        address.to_string()
    }
}
