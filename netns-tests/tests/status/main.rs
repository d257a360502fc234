//! See README.md beside this file.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use anyhow::{Context, Result, ensure};
use catalyst_netns_tests::{Client, Example, LONG, Network, Node, Peering, peer, poll, scenario};
use serde_json::{Value, json};

const NAME: &str = "orders.acme";

/// Where A's Envoy is configured to listen.
fn at(a: &Node, listener: &[&str]) -> Result<SocketAddr> {
    let envoy = &a.config["plugins"]["envoy"];
    let address = listener.iter().fold(envoy, |value, key| &value[key]);
    Ok(address.as_str().context("an address")?.parse()?)
}

/// A, which offers a service, with its Envoy started while somebody else has the port of one of its listeners.
fn a_and_b(
    network: &mut Network,
    taken: &[&str],
    further: impl FnOnce(&mut Node),
) -> Result<(Node, Node, TcpListener)> {
    let mut a = network.node("a", 65001, "acme")?.with_envoy();
    let mut b = network.node("b", 65002, "acme")?.with_envoy();
    peer(&mut a, &mut b, Peering::Both);
    a.run_and_offer(Example::Http, NAME)?;
    further(&mut a);
    let holder = TcpListener::bind(at(&a, taken)?)?;
    a.start()?;
    b.start()?;
    Ok((a, b, holder))
}

/// Waits until the status of `name` in A's Envoy holds these words.
fn wait_status(a: &Node, name: &str, words: &[&str]) -> Result<()> {
    poll(&format!("{name} {words:?} at {}", a.name), LONG, || {
        let route = a.selected(name)?;
        let status = route["data_planes"]["envoy"].as_str().context("a status")?;
        ensure!(words.iter().all(|word| status.contains(word)), "{status}");
        Ok(())
    })
}

/// # Errors
/// `show plugins` does not list exactly this as refused because its port is taken, for programs and for people.
fn check_refused(a: &Node, resource: &str) -> Result<()> {
    let shown = a.ctl_json(&["show", "plugins"])?;
    let refused = shown[0]["refused"].as_object().context("refused")?;
    let reason = refused.get(resource).and_then(Value::as_str);
    ensure!(
        refused.len() == 1 && reason.is_some_and(|reason| reason.contains("in use")),
        "{shown:#}"
    );
    let text = a.ctl_ok(&["show", "plugins"])?;
    ensure!(text.contains(resource) && text.contains("in use"), "{text}");
    Ok(())
}

/// The port is free again: Envoy opens it.
fn check_recovers(a: &Node, b: &Node, holder: TcpListener) -> Result<()> {
    drop(holder);
    a.wait_programmed(NAME)?;
    ensure!(a.get(NAME, "/")?.status == 200 && a.get_ingress(NAME, "/")?.status == 200);
    ensure!(a.ctl_json(&["show", "plugins"])?[0]["refused"] == json!({}));
    poll("orders at B", LONG, || b.check_answered_by(NAME, "orders.acme@a"))
}

#[test]
fn without_ingress_or_egress_nothing_is_programmed_and_peers_come_in() -> Result<()> {
    for taken in ["ingress", "egress"] {
        scenario(|network| {
            let (a, b, holder) = a_and_b(network, &[taken], |_| ())?;
            wait_status(
                &a,
                NAME,
                &["pending", &format!("listener {taken} is not open"), "in use"],
            )?;
            check_refused(&a, &format!("listener {taken}"))?;
            let answer = if taken == "ingress" {
                a.get(NAME, "/")?
            } else {
                a.get_ingress(NAME, "/")?
            };
            ensure!(answer.status == 200, "the other listener answers: {answer:?}");
            poll("orders at B", LONG, || b.check_answered_by(NAME, "orders.acme@a"))?;
            // What comes later stands on the same listener.
            a.add_service("later.acme", &a.config["services"][NAME])?;
            wait_status(&a, "later.acme", &["pending", "in use"])?;
            check_recovers(&a, &b, holder)?;
            a.wait_programmed("later.acme")
        })?;
    }
    Ok(())
}

/// Who has the port of ingress may answer as well as any service: it is not believed, and `reach` says what to do.
#[test]
fn a_stranger_on_the_port_of_ingress_is_not_taken_for_envoy() -> Result<()> {
    scenario(|network| {
        let (mut a, b, holder) = a_and_b(network, &["ingress"], |_| ())?;
        wait_status(&a, NAME, &["pending", "in use"])?;
        let stranger = std::thread::spawn(move || answer_all(&holder));
        let answer = a.get_ingress(NAME, "/")?;
        ensure!(answer.status == 200 && answer.body == "hi", "{answer:?}");
        let told = a.ctl(&["reach", NAME])?;
        let text = String::from_utf8_lossy(&told.stdout).replace("\n                  ", " ");
        for says in [
            "programmed      FAILED: pending: listener ingress is not open",
            "free the port (ss -ltnp says who has it): it is tried again every few seconds",
            "listener        FAILED: plugins.envoy.ingress: something that is not our Envoy answers at",
        ] {
            ensure!(text.contains(says), "{says:?} is not in {text}");
        }
        ensure!(
            told.status.code() == Some(1) && !text.contains("the service answers"),
            "{text}"
        );
        let _ = Client::default().get(a.ingress(), "bye", "/bye");
        stranger
            .join()
            .map_err(|_| anyhow::anyhow!("the stranger panicked"))??;
        a.kill_envoy()?;
        a.start_envoy()?;
        a.wait_programmed(NAME)?;
        drop(b);
        a.ctl_ok(&["reach", NAME]).map(drop)
    })
}

/// A server that knows one answer, until it is told goodbye.
fn answer_all(listener: &TcpListener) -> Result<()> {
    loop {
        let (mut stream, _) = listener.accept()?;
        let mut request = [0; 1024];
        let read = stream.read(&mut request)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi")?;
        if request[..read].starts_with(b"GET /bye ") {
            return Ok(());
        }
    }
}

#[test]
fn where_peers_cannot_come_in_they_are_not_sent() -> Result<()> {
    scenario(|network| {
        let (a, b, holder) = a_and_b(network, &["peer_listener"], |_| ())?;
        wait_status(&a, NAME, &["rejected", "listener peer is not open", "in use"])?;
        check_refused(&a, "listener peer")?;
        b.wait_gone(NAME)?;
        let why = a.ctl_ok(&["show", "route", NAME, "--why"])?;
        ensure!(why.contains("in use"), "{why}");
        check_recovers(&a, &b, holder)
    })
}

#[test]
fn a_listener_for_others_concerns_what_they_may_reach() -> Result<()> {
    scenario(|network| {
        let mut gamma = network.node("gamma", 65003, "gamma")?;
        let (a, b, holder) = a_and_b(network, &["peer_listeners", "gamma"], |a| {
            peer(a, &mut gamma, Peering::Both);
            a.offer("inner.acme", a.config["services"][NAME].clone());
            a.config["peers"]["gamma"]["export"] = json!("orders");
            let orders = json!([{ "match": { "name": NAME }, "then": "accept" }]);
            a.config["policies"] = json!({ "orders": { "statements": orders } });
        })?;
        wait_status(&a, NAME, &["pending", "listener peer:gamma is not open", "in use"])?;
        check_refused(&a, "listener peer:gamma")?;
        a.wait_programmed("inner.acme")?;
        ensure!(a.get("inner.acme", "/")?.status == 200 && a.get(NAME, "/")?.status == 200);
        poll("orders at B", LONG, || b.check_answered_by(NAME, "orders.acme@a"))?;
        drop(holder);
        Ok(())
    })
}

#[test]
fn peers_whose_listener_is_closed_are_told_of_no_names_until_it_opens() -> Result<()> {
    scenario(|network| {
        let mut gamma = network.node("gamma", 65003, "gamma")?.with_envoy();
        let (a, b, holder) = a_and_b(network, &["peer_listeners", "gamma"], |a| {
            peer(a, &mut gamma, Peering::Both);
        })?;
        gamma.start()?;
        a.wait_established("gamma")?;
        poll("orders at B", LONG, || b.check_answered_by(NAME, "orders.acme@a"))?;
        wait_status(&a, NAME, &["pending", "listener peer:gamma is not open", "in use"])?;
        poll("what gamma is told", LONG, || {
            let shown = a.peer("gamma")?;
            let why = shown["listener_closed"].as_str().unwrap_or_default();
            ensure!(why.contains("in use") && shown["advertised"] == 0, "{shown:#}");
            Ok(())
        })?;
        ensure!(gamma.selected(NAME).is_err(), "gamma is sent to a closed door");
        ensure!(a.ctl_ok(&["show", "peers"])?.contains("listener closed"));
        let why = a.ctl_ok(&["show", "route", NAME, "--why"])?;
        ensure!(
            why.contains("has the listener of the peer's organisation closed"),
            "{why}"
        );
        let reach = String::from_utf8_lossy(&a.ctl(&["reach", NAME, "--from", "gamma"])?.stdout).into_owned();
        ensure!(
            reach.contains("export          FAILED: to gamma: envoy has the listener"),
            "{reach}"
        );

        drop(holder);
        poll("orders at gamma", LONG, || {
            gamma.check_answered_by(NAME, "orders.acme@a")
        })?;
        a.wait_programmed(NAME)?;
        let shown = a.peer("gamma")?;
        ensure!(
            shown["listener_closed"].is_null() && shown["established_count"] == 1,
            "{shown:#}"
        );
        Ok(())
    })
}

#[test]
fn a_tcp_service_whose_port_is_taken_is_rejected_alone() -> Result<()> {
    scenario(|network| {
        let mut a = network.node("a", 65001, "acme")?.with_envoy();
        let mut b = network.node("b", 65002, "acme")?.with_envoy();
        peer(&mut a, &mut b, Peering::Both);
        a.run_and_offer(Example::Http, NAME)?;
        a.run_and_offer(Example::Tcp, "echo.acme")?;
        a.config["plugins"]["envoy"]["tcp_ports"] = json!("20000-20000");
        let holder = TcpListener::bind((a.ip, 20000))?;
        a.start()?;
        b.start()?;
        wait_status(&a, "echo.acme", &["rejected", "in use"])?;
        check_refused(&a, "listener tcp/echo.acme")?;
        a.wait_programmed(NAME)?;
        poll("orders at B", LONG, || b.check_answered_by(NAME, "orders.acme@a"))?;
        ensure!(b.selected("echo.acme").is_err(), "B is told of what does not answer");
        drop(holder);
        a.wait_programmed("echo.acme")?;
        b.wait_programmed("echo.acme")?;
        let said = catalyst_netns_tests::echo(b.tcp_address("echo.acme")?, "hello")?;
        ensure!(said == "echo.acme@a: hello", "{said}");
        Ok(())
    })
}

#[test]
fn without_an_envoy_nothing_is_programmed() -> Result<()> {
    scenario(|network| {
        let mut a = network.node("a", 65001, "acme")?.with_envoy().hold_time("3s");
        let mut b = network.node("b", 65002, "acme")?.with_envoy();
        peer(&mut a, &mut b, Peering::Both);
        a.run_and_offer(Example::Http, NAME)?;
        a.start()?;
        b.start()?;
        b.wait_programmed(NAME)?;
        a.kill_envoy()?;
        wait_status(&a, NAME, &["pending", "not connected"])?;
        let shown = a.ctl_json(&["show", "plugins"])?;
        ensure!(shown[0]["connected"] == false && shown[0]["programmed"] == 0, "{shown}");
        ensure!(
            Client::default().get(a.ingress(), NAME, "/").is_err(),
            "somebody answers"
        );
        b.wait_gone(NAME)?;
        poll("404 at B", LONG, || {
            let answer = b.get(NAME, "/")?;
            ensure!(answer.status == 404, "{answer:?}");
            Ok(())
        })?;
        a.start_envoy()?;
        poll("orders at B", LONG, || b.check_answered_by(NAME, "orders.acme@a"))
    })
}
