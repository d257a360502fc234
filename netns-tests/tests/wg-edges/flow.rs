//! The flow of the source document: a query at A, a field of it from a service at B, and nothing but WireGuard between.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use catalyst_netns_tests::{Client, LONG, Namespace, Process, poll, scenario};
use serde_json::{Value, json};

use crate::lab::{Lab, ORDERS, SERVICE, SERVICE_6, TUNNEL_B, TUNNEL_B_6, tunnel};

/// The name of the service with the field.
const PRODUCTS: &str = "products.beta";
/// Edge A on its own network: where the client asks.
const INGRESS: ([u8; 4], u16) = ([10, 1, 0, 1], 8080);
/// Where edge A tells its metrics.
const METRICS: &str = "127.0.0.1:9179";
const REQUESTS: usize = 2000;
/// One of so many is a query; the others are for a name. (A gateway that is not optimised, on an emulated processor, is slow.)
const QUERIES: usize = 10;
/// Connections that they come by, each request after the answer to the one before.
const WORKERS: usize = 4;
/// What the service knows.
const CATALOGUE: usize = 4;

#[test]
fn wg_edges_a_query_is_answered_through_the_tunnel() -> Result<()> {
    scenario(|network| {
        let mut lab = Lab::new(network)?;
        let _products = offer_products(&mut lab)?;
        lab.a.config["metrics"] = json!({ "listen": METRICS });
        lab.start()?;
        poll("an answer to a query", LONG, || {
            lab.client.inside(|| query(&Client::default(), CATALOGUE))
        })?;
        let shown = poll("the tunnels", LONG, || lab.a.ctl_ok(&["show", "tunnels"]))?;
        eprintln!("{shown}");
        ensure!(shown.contains("unauthenticated"), "{shown}");
        let row = tunnel(&lab.a, "beta")?;
        ensure!(row["endpoint"] == "198.51.100.1:51820", "{row}");
        check_scraped(&lab, &row)?;

        for (service, gateway, tunnel) in [
            (SERVICE.to_string(), "10.1.0.1", TUNNEL_B),
            (SERVICE_6.to_owned(), "fd00:1::1", TUNNEL_B_6),
        ] {
            lab.client.run(&format!("ping -c 5 -i 0.2 -W 20 {service}"))?;
            let hops = trace(&lab.client, &service)?;
            ensure!(hops == [gateway, tunnel, &service], "{hops:?}");
        }
        lab.a.wait_programmed(ORDERS)?;
        poll("an answer by name", LONG, || lab.a.check_answered_by(ORDERS, "service"))?;

        lab.check_sealed()?;
        let (wireguard, errors) = (lab.seen.wireguard, lab.seen.errors);
        let start = Instant::now();
        ask(&lab.client)?;
        lab.check_sealed()?;
        let seen = &lab.seen;
        eprintln!("after {REQUESTS} requests in {:?}: {seen}", start.elapsed());
        // Each has a question and an answer; Envoy puts those into one packet that are there at one time.
        ensure!(
            seen.wireguard >= wireguard + 2 * REQUESTS / WORKERS,
            "{wireguard}, then {seen}"
        );
        ensure!(seen.errors == errors && seen.peering > 0, "{errors}, then {seen}");

        // The capture sees what is in the clear.
        lab.internet.run("ping -c 1 -W 20 192.0.2.1")?;
        poll("a ping in the clear", LONG, || {
            ensure!(lab.look()?.clear.len() == 2, "{}", lab.seen);
            Ok(())
        })
    })
}

/// A gateway at edge A, whose clients are on its network, and at B the service that answers.
fn offer_products(lab: &mut Lab) -> Result<Process> {
    let plugins = &mut lab.a.config["plugins"];
    plugins["envoy"]["ingress"] = json!("0.0.0.0:8080");
    plugins["graphql"] = json!({ "control": "unix:gateway.sock", "gateway": "127.0.0.1:8083" });
    let listen = format!("{SERVICE}:4101");
    let endpoint = json!({ "url": format!("http://{listen}") });
    lab.b
        .offer(PRODUCTS, json!({ "protocol": "http:graphql", "endpoints": [endpoint] }));
    let program = catalyst_netns_tests::binary("products")?;
    lab.service
        .start(lab.b.folder(), "products", &program, &["--listen", &listen])
}

/// Metrics say of the tunnel what `show tunnels` said in `row`, or what came after.
fn check_scraped(lab: &Lab, row: &Value) -> Result<()> {
    let scraped = lab
        .edge_a()?
        .inside(|| Client::default().get(METRICS.parse()?, METRICS, "/metrics"))?;
    ensure!(scraped.status == 200, "{scraped:?}");
    let value = |metric: &str| -> Result<u64> {
        let series = format!("catalyst_tunnel_{metric}{{peer=\"beta\",organisation=\"beta\",device=\"wg-beta\"}} ");
        let found = scraped.body.lines().find_map(|line| line.strip_prefix(&series));
        let value = found.with_context(|| format!("no {series}in {}", scraped.body))?;
        value.parse().with_context(|| format!("{series}{value}"))
    };
    ensure!(value("up")? == 1, "{}", scraped.body);
    for (metric, key) in [
        ("received_bytes_total", "received_bytes"),
        ("sent_bytes_total", "sent_bytes"),
    ] {
        let before = row[key].as_u64().with_context(|| format!("{key} of {row}"))?;
        ensure!(
            before > 0 && value(metric)? >= before,
            "{metric} after {before}: {}",
            scraped.body
        );
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let shook = value("last_handshake_timestamp_seconds")?;
    // To the nearest second.
    ensure!((now - 180..=now + 1).contains(&shook), "{shook}, now {now}");
    let info = "catalyst_tunnel_info{peer=\"beta\",organisation=\"beta\",device=\"wg-beta\",state=\"up\",\
                endpoint=\"198.51.100.1:51820\",";
    ensure!(scraped.body.contains(info), "no {info} in {}", scraped.body);
    Ok(())
}

/// The hops on the way to an address, itself included.
fn trace(from: &Namespace, address: &str) -> Result<Vec<String>> {
    let said = from.run(&format!("traceroute -n -q 1 -w 20 -m 5 {address}"))?;
    let lines = said.lines().skip(1);
    lines
        .map(|line| Ok(line.split_whitespace().nth(1).context(said.clone())?.to_owned()))
        .collect()
}

fn ask(client: &Namespace) -> Result<()> {
    let asked = AtomicUsize::new(0);
    let work = || -> Result<()> {
        let client = Client::default();
        loop {
            let turn = asked.fetch_add(1, Ordering::Relaxed);
            if turn >= REQUESTS {
                return Ok(());
            }
            if turn.is_multiple_of(QUERIES) {
                // The gateway asks once for equal questions at one time.
                query(&client, 1 + turn / QUERIES % CATALOGUE)?;
            } else {
                let answer = client.get(INGRESS.into(), ORDERS, "/")?;
                ensure!(answer.status == 200, "{answer:?}");
            }
        }
    };
    client.inside(|| {
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
            let mut outcomes = workers.into_iter().map(|worker| worker.join());
            outcomes.try_for_each(|outcome| outcome.unwrap_or_else(|_| bail!("a worker panicked")))
        })
    })
}

/// Asks for so many products.
fn query(client: &Client, count: usize) -> Result<()> {
    let body = json!({ "query": format!("{{ topProducts(first: {count}) {{ name price }} }}") });
    let address = SocketAddr::from(INGRESS);
    let answer = client.post(address, &address.to_string(), "/graphql", &body.to_string())?;
    let said = answer.json()?;
    let products = said["data"]["topProducts"].as_array().map_or(0, Vec::len);
    let first = &said["data"]["topProducts"][0]["name"];
    ensure!(
        products == count && first == "Table" && said["errors"] == Value::Null,
        "{answer:?}"
    );
    Ok(())
}
