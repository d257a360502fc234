//! The harness itself: what every topology relies on, shown without Catalyst.

use std::path::Path;

use anyhow::{Result, bail, ensure};
use catalyst_netns_tests::{Client, Example, Load, Names, echo, greet, scenario};

#[test]
fn examples_answer_the_clients() -> Result<()> {
    scenario(|network| {
        let mut node = network.node("a", 65001, "acme")?;
        let http = node.run(Example::Http, "one")?;
        let answer = Client::default().get(http, "orders.acme", "/x")?.json()?;
        ensure!(answer["host"] == "orders.acme" && answer["name"] == "one", "{answer}");
        let grpc = node.run(Example::Grpc, "two")?;
        assert_eq!(greet(grpc, "greeter.acme")?, "two");
        let tcp = node.run(Example::Tcp, "three")?;
        assert_eq!(echo(tcp, "hello")?, "three: hello");
        Ok(())
    })
}

#[test]
fn networks_do_not_share_addresses_and_clean_up() -> Result<()> {
    let mut folder = None;
    scenario(|one| {
        scenario(|two| {
            let (a, b) = (one.node("a", 1, "acme")?, two.node("a", 1, "acme")?);
            assert_ne!(a.ip.octets()[..3], b.ip.octets()[..3]);
            folder = Some(b.folder().to_owned());
            Ok(())
        })
    })?;
    assert!(!folder.is_some_and(|folder| Path::exists(&folder)));
    Ok(())
}

#[test]
fn a_failed_test_keeps_its_folder() {
    let mut folder = None;
    let result = scenario(|network| {
        folder = Some(network.node("a", 1, "acme")?.folder().to_owned());
        bail!("on purpose")
    });
    assert!(result.is_err());
    let folder = folder.expect("a node");
    assert!(folder.is_dir());
    std::fs::remove_dir_all(folder.parent().expect("the folder of the network")).expect("removed");
}

#[test]
fn load_counts_what_fails() -> Result<()> {
    scenario(|network| {
        let mut node = network.node("a", 65001, "acme")?;
        let address = node.run(Example::Http, "one")?;
        let names = Names::default();
        names.open("one.acme");
        let picked = names.clone();
        let load = Load::start(2, address, move |turn| picked.pick(turn));
        load.wait_for_more(50)?;
        names.close("one.acme")?;
        drop(node);
        names.open("one.acme");
        load.wait_for_more(2)?;
        let tally = load.finish()?;
        ensure!(
            tally.sent >= 52 && tally.failed >= 2 && tally.failed <= tally.sent - 50,
            "{tally:?}"
        );
        assert!(tally.check_all_good(1).is_err());
        Ok(())
    })
}
