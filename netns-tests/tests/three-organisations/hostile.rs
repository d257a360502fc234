//! C is the test: it says on the wire what a catalyst-routed never would.

use anyhow::{Result, ensure};
use catalyst_netns_tests::{LONG, Network, Node, Peering, RawPeer, peer, poll, scenario};
use serde_json::{Value, json};

/// The code of RFC 9234 of a customer.
const CUSTOMER: u8 = 3;

/// B with a session to C, and C as the test speaks for it. `more` is configured of C at B.
fn meet(network: &mut Network, role: Option<u8>, more: &Value) -> Result<(Node, RawPeer)> {
    let mut b = network.node("beta", 65002, "beta")?;
    let mut c = network.node("gamma", 65003, "gamma")?;
    peer(&mut b, &mut c, Peering::FirstDials);
    for (key, value) in more.as_object().into_iter().flatten() {
        b.config["peers"]["gamma"][key] = value.clone();
    }
    b.config["node"]["domains"] = json!(["beta"]);
    b.start()?;
    let hostile = RawPeer::accept(&c, role)?;
    b.wait_established("gamma")?;
    Ok((b, hostile))
}

fn wait_for(b: &Node, what: &str, look: impl Fn(&Value) -> bool) -> Result<Value> {
    poll(what, LONG, || {
        let shown = b.peer("gamma")?;
        ensure!(look(&shown), "{shown:#}");
        Ok(shown)
    })
}

/// Waits until B has `name` from C and uses it.
fn wait_selected(b: &Node, name: &str) -> Result<()> {
    poll(&format!("{name} in use"), LONG, || b.selected(name).map(drop))
}

/// # Errors
/// B does not count so many, with this reason, in JSON or for people; or the session has suffered.
fn check_withdrawn(b: &Node, count: u64, why: &str) -> Result<()> {
    let shown = wait_for(b, &format!("{count} treated as withdrawn"), |shown| {
        shown["treated_as_withdraw"] == count
    })?;
    ensure!(shown["treated_as_withdraw_reason"] == why, "{shown:#}");
    ensure!(
        shown["state"] == "Established" && shown["established_count"] == 1,
        "{shown:#}"
    );
    let text = b.ctl_ok(&["show", "peer", "gamma"])?;
    let names = if count == 1 { "name" } else { "names" };
    let line = format!("{count} {names} treated as withdrawn, the last one: {why}");
    ensure!(text.contains(&line), "{line:?} is not in\n{text}");
    Ok(())
}

#[test]
fn what_breaks_a_rule_is_treated_as_withdrawn_and_counted() -> Result<()> {
    scenario(|network| {
        let allowed = json!({ "allowed_names": ["gamma", "*.gamma"], "allowed_prefixes": ["10.3.0.0/16"] });
        let (b, mut hostile) = meet(network, None, &allowed)?;
        let honest = hostile.attrs();
        let names = ["one.gamma", "two.gamma", "three.gamma"];
        hostile.announce(&names, &honest)?;
        names.iter().try_for_each(|name| wait_selected(&b, name))?;

        hostile.announce(&["bank.delta"], &honest)?;
        check_withdrawn(&b, 1, "the name is not within the peer's allowed_names")?;
        for question in [&["show", "route", "bank.delta", "--why"][..], &["reach", "bank.delta"]] {
            let said = b.ctl(question)?;
            let said = [said.stdout, said.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            let why = "is refused: the name is not within the peer's allowed_names";
            ensure!(said.contains(why), "{question:?}: {said}");
        }

        let mut elsewhere = honest.clone();
        elsewhere.next_hop.set_ip(b.ip.into());
        hostile.announce(&["one.gamma"], &elsewhere)?;
        let why = format!("next hop {} is neither the peer's address nor allowed", b.ip);
        check_withdrawn(&b, 2, &why)?;
        b.wait_gone("one.gamma")?;

        let mut borrowed = honest.clone();
        borrowed.as_path = vec![65009, 65003];
        hostile.announce(&["two.gamma", "four.gamma"], &borrowed)?;
        check_withdrawn(&b, 4, "the leftmost AS of AS_PATH is not 65003")?;
        b.wait_gone("two.gamma")?;
        borrowed.as_path = Vec::new();
        hostile.announce(&["five.gamma"], &borrowed)?;
        check_withdrawn(&b, 5, "the leftmost AS of AS_PATH is not 65003")?;

        hostile.announce_prefix("10.3.7.0/24", &honest)?;
        wait_selected(&b, "10.3.7.0/24")?;
        hostile.announce_prefix("10.4.0.0/16", &honest)?;
        check_withdrawn(&b, 6, "10.4.0.0/16 is not within the peer's allowed_prefixes")?;

        // Only what broke a rule is gone, and what is right is taken as before.
        hostile.announce(&["one.gamma"], &honest)?;
        wait_selected(&b, "one.gamma")?;
        let mut held: Vec<String> = b.routes()?.iter().map(|route| route["name"].to_string()).collect();
        held.sort();
        ensure!(
            held == ["\"10.3.7.0/24\"", "\"one.gamma\"", "\"three.gamma\""],
            "{held:?}"
        );
        hostile.withdraw(&["three.gamma"])?;
        b.wait_gone("three.gamma")
    })
}

#[test]
fn a_hijack_is_counted_and_never_used() -> Result<()> {
    scenario(|network| {
        let (b, mut hostile) = meet(network, None, &json!({}))?;
        let honest = hostile.attrs();
        hostile.announce(&["pay.beta", "beta", "*.beta"], &honest)?;
        hostile.announce(&["own.gamma"], &honest)?;
        wait_selected(&b, "own.gamma")?;
        let shown = b.peer("gamma")?;
        ensure!(shown["hijacks"] == 3 && shown["rejected"] == 3, "{shown:#}");
        ensure!(shown["treated_as_withdraw"] == 0, "{shown:#}");
        for route in b.routes()? {
            ensure!(route["selected"] == (route["name"] == "own.gamma"), "{route}");
        }
        // To say it again makes it no other one.
        hostile.announce(&["pay.beta"], &honest)?;
        hostile.withdraw(&["own.gamma"])?;
        b.wait_gone("own.gamma")?;
        ensure!(b.peer("gamma")?["hijacks"] == 3, "{}", b.peer("gamma")?);
        let text = b.ctl_ok(&["show", "peer", "gamma"])?;
        ensure!(
            text.contains("3 paths to our own domains, prefixes or tunnel addresses, refused"),
            "{text}"
        );
        Ok(())
    })
}

/// The customer passes on what its other provider (AS 65009) has marked for customers only (RFC 9234).
#[test]
fn a_leak_by_a_customer_is_counted_and_never_used() -> Result<()> {
    scenario(|network| {
        let (b, mut hostile) = meet(network, Some(CUSTOMER), &json!({ "role": "provider" }))?;
        let honest = hostile.attrs();
        let mut leaked = honest.clone();
        leaked.as_path = vec![65003, 65009];
        leaked.only_to_customer = Some(65009);
        hostile.announce(&["shop.delta"], &leaked)?;
        hostile.announce(&["own.gamma"], &honest)?;
        wait_selected(&b, "own.gamma")?;
        let shown = b.peer("gamma")?;
        ensure!(shown["leaks"] == 1 && shown["treated_as_withdraw"] == 0, "{shown:#}");
        ensure!(b.selected("shop.delta").is_err(), "a leak is in use");
        let text = b.ctl_ok(&["show", "peer", "gamma"])?;
        ensure!(text.contains("1 path against ONLY_TO_CUSTOMER, refused"), "{text}");
        let why = b.ctl_ok(&["show", "route", "shop.delta", "--why"])?;
        ensure!(why.contains("a route leak"), "{why}");
        Ok(())
    })
}
