//! An underlay that takes less than the tunnel's packets.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};

use anyhow::{Context, Result, bail, ensure};
use catalyst_netns_tests::{LONG, Namespace, poll, scenario};

use crate::lab::{Lab, SERVICE, SERVICE_6};

/// Of the underlay.
const MTU: u32 = 1280;
/// Of the tunnel, by default.
const TUNNEL_MTU: u32 = 1420;
const PORT: u16 = 4200;
const MEGABYTE: usize = 1 << 20;

#[test]
fn wg_edges_packets_of_full_size_pass_a_narrow_underlay() -> Result<()> {
    scenario(|network| {
        let mut lab = Lab::new(network)?;
        let edge_b = lab.b.namespace.clone().context("edge B has a namespace")?;
        for (end, link) in [
            (lab.edge_a()?, "wan-a"),
            (&lab.internet, "wan-a"),
            (&lab.internet, "wan-b"),
            (&*edge_b, "wan-b"),
        ] {
            end.run(&format!("ip link set {link} mtu {MTU}"))?;
        }
        lab.start()?;
        for (edge, device) in [(lab.edge_a()?, "wg-beta"), (&*edge_b, "wg-acme")] {
            let link = edge.run(&format!("ip -oneline link show dev {device}"))?;
            ensure!(link.contains(&format!(" mtu {TUNNEL_MTU} ")), "{link}");
        }
        let whole = lab.look()?.fragments;
        // IP and ICMP headers.
        for (address, headers) in [(SERVICE.to_string(), 20 + 8), (SERVICE_6.to_owned(), 40 + 8)] {
            let ping = |size: u32| format!("ping -c 3 -i 0.2 -W 20 -M do -s {} {address}", size - headers);
            lab.client.run(&ping(TUNNEL_MTU))?;
            let said = lab.client.say(&ping(TUNNEL_MTU + 1))?;
            ensure!(
                said.contains(&format!("mtu={TUNNEL_MTU}")) || said.contains(&format!("mtu = {TUNNEL_MTU}")),
                "{said}"
            );
        }
        // Three questions and three answers of two fragments each, in either family.
        let pinged = lab.look()?.fragments;
        ensure!(pinged - whole >= 24, "{whole}, then {}", lab.seen);
        for address in [IpAddr::V4(SERVICE), SERVICE_6.parse()?] {
            echo_a_megabyte(&lab, address).with_context(|| format!("with {address}"))?;
        }
        let segments = 4 * MEGABYTE / usize::try_from(TUNNEL_MTU)?;
        let sent = lab.look()?.fragments - pinged;
        eprintln!("{sent} fragments of 4 MiB; {}", lab.seen);
        ensure!(sent >= 2 * segments, "{segments} full segments: {}", lab.seen);
        lab.check_sealed()
    })
}

/// From the client to the service and back, by TCP.
fn echo_a_megabyte(lab: &Lab, address: IpAddr) -> Result<()> {
    let address = SocketAddr::new(address, PORT);
    let listener = lab.service.inside(|| Ok(TcpListener::bind(address)?))?;
    std::thread::scope(|scope| {
        let server = scope.spawn(move || serve(&listener));
        call(&lab.client, address)?;
        server.join().unwrap_or_else(|_| bail!("the server panicked"))
    })
}

/// Sends back what it is sent, once it has all of it.
fn serve(listener: &TcpListener) -> Result<()> {
    listener.set_nonblocking(true)?;
    let (mut stream, _) = poll("a caller", LONG, || Ok(listener.accept()?))?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(LONG))?;
    let mut all = Vec::new();
    stream.read_to_end(&mut all)?;
    Ok(stream.write_all(&all)?)
}

fn call(client: &Namespace, address: SocketAddr) -> Result<()> {
    let mut stream = client.inside(|| Ok(TcpStream::connect_timeout(&address, LONG)?))?;
    stream.set_read_timeout(Some(LONG))?;
    let sent: Vec<u8> = (0..MEGABYTE).map(|at| (at % 251).to_le_bytes()[0]).collect();
    stream.write_all(&sent)?;
    stream.shutdown(Shutdown::Write)?;
    let mut received = Vec::new();
    stream.read_to_end(&mut received)?;
    ensure!(received == sent, "{} of {MEGABYTE} bytes, or others", received.len());
    Ok(())
}
