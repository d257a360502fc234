//! A data plane of its own in thirty lines: keeps a file with one line per route, `DESTINATION ADDRESS...`, as a proxy's map
//! file or a name server's hosts file would have it. docs/plugins.md tells more.

use std::fs;

use catalyst_external::{Client, Selected, Target};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, plane, file] = &arguments[..] else {
        anyhow::bail!("usage: routes-file unix:/run/catalyst/plane-NAME.sock NAME FILE");
    };
    let mut client = Client::new(address, plane)?;
    loop {
        let text: String = client.next().await?.routes().map(line).collect();
        // Whole or not at all: whoever reads it sees the old table or the new one.
        let written = fs::write(format!("{file}.new"), text).and_then(|()| fs::rename(format!("{file}.new"), file));
        match written {
            Ok(()) => client.serves_all().await,
            Err(error) => client.serves_none(&error.to_string()).await,
        }
    }
}

fn line(route: &Selected) -> String {
    let addresses: Vec<String> = match route.target() {
        Target::Local(endpoints) => endpoints.iter().map(|at| format!("{}:{}", at.host, at.port)).collect(),
        Target::Remote(hops) => hops.iter().map(|hop| hop.address.to_string()).collect(),
        Target::Discard => Vec::new(),
    };
    format!("{} {}\n", route.destination(), addresses.join(" "))
}
