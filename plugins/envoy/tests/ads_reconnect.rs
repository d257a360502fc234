//! Envoys that come, go, come back, and a server that does (trap 7), on real Envoys.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod ads_support;

use std::net::SocketAddr;

use ads_support::envoy::Envoy;
use ads_support::resources::{cluster, extension, header_filter, listener, listener_with_extension, scope};
use ads_support::server::Ads;
use ads_support::{equal, eventually, http};
use catalyst_envoy::ads::Changes;
use catalyst_envoy::config::XdsAddress;
use catalyst_envoy::resource::{Resource, ResourceKey, ResourceKind, fingerprint_of};
use catalyst_plugin::{PlaneEvent, Verdict};

struct World {
    dir: tempfile::TempDir,
    service: SocketAddr,
    ingress: SocketAddr,
}

impl World {
    async fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            service: http::service("orders").await,
            ingress: http::free_address().await,
        }
    }

    /// Some services behind one listener, with a filter by ECDS.
    fn table(&self, names: &[&str]) -> Vec<Resource> {
        let services = names
            .iter()
            .flat_map(|name| [cluster(name, self.service), scope(&format!("{name}.acme"), name)]);
        let fixed = [
            extension("mark", &header_filter("x-mark", "one")),
            listener_with_extension("ingress", self.ingress, "mark"),
        ];
        services.chain(fixed).collect()
    }

    async fn status(&self, name: &str) -> u16 {
        http::status(self.ingress, &format!("{name}.acme")).await
    }

    /// Waits for the listener of a fresh Envoy, which opens a little after it is acknowledged.
    async fn opens(&self, name: &str) {
        eventually("the listener", async || equal(self.status(name).await, 200)).await;
    }
}

async fn start(world: &World, names: &[&str]) -> (Ads, Envoy) {
    let ads = Ads::start(world.dir.path()).await;
    ads.apply(Changes::table(world.table(names))).await;
    let envoy = Envoy::start("a", &ads.address).await;
    ads.programmed(&world.table(names)).await;
    world.opens(names[0]).await;
    (ads, envoy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_server_with_the_same_table_resends_nothing() {
    let world = World::new().await;
    let (ads, envoy) = start(&world, &["a", "b"]).await;
    let before = envoy.updates().await;
    let ads = Ads::start_at(&ads.stop()).await;
    ads.apply(Changes::table(world.table(&["a", "b"]))).await;
    ads.programmed(&world.table(&["a", "b"])).await;
    assert_eq!(ads.report().sent(), 0, "{:?}", ads.report().totals);
    assert_eq!(envoy.updates().await, before);
    assert_eq!(world.status("a").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_server_sends_the_difference_and_removes_what_is_gone() {
    let world = World::new().await;
    let (ads, envoy) = start(&world, &["a", "b"]).await;
    let ads = Ads::start_at(&ads.stop()).await;
    ads.apply(Changes::table(world.table(&["b", "c"]))).await;
    ads.programmed(&world.table(&["b", "c"])).await;
    eventually("the removals", async || {
        equal(envoy.clusters().await, vec!["b".into(), "c".into()])?;
        equal(envoy.scopes().await, vec!["b.acme".into(), "c.acme".into()])
    })
    .await;
    let totals = ads.report().totals;
    assert_eq!(totals[&ResourceKind::Cluster].resources, 1);
    assert_eq!(totals[&ResourceKind::ScopedRoute].resources, 1);
    assert_eq!(ads.sent(ResourceKind::Listener) + ads.sent(ResourceKind::Extension), 0);
    assert_eq!(
        (
            world.status("a").await,
            world.status("b").await,
            world.status("c").await
        ),
        (404, 200, 200)
    );
}

/// While the table is not settled what an Envoy brought along stays, and what is new comes.
#[tokio::test(flavor = "multi_thread")]
async fn an_unsettled_table_adds_but_neither_changes_nor_removes() {
    let world = World::new().await;
    let (ads, envoy) = start(&world, &["a", "b"]).await;
    let ads = Ads::start_at(&ads.stop()).await;
    // `a` is not known yet, `b` has moved, `c` is new.
    let mut table = world.table(&["b", "c"]);
    table.retain(|resource| resource.key != scope("b.acme", "b").key);
    table.push(scope("b.acme", "c"));
    ads.apply_settled(Changes::table(table.clone()), false).await;
    eventually("the new one", async || equal(world.status("c").await, 200)).await;
    let held = ads.verdicts(&[scope("b.acme", "c").key]);
    assert!(
        matches!(held.get("b.acme"), Some(Verdict::Pending(why)) if why.contains("settled")),
        "{held:?}"
    );
    assert_eq!((world.status("a").await, world.status("b").await), (200, 200));
    assert_eq!(
        (ads.sent(ResourceKind::Cluster), ads.sent(ResourceKind::ScopedRoute)),
        (1, 1)
    );
    assert_eq!(ads.report().totals.values().map(|kind| kind.removed).sum::<u64>(), 0);

    ads.apply_settled(Changes::default(), true).await;
    ads.programmed(&table).await;
    eventually("the removals", async || {
        equal(envoy.scopes().await, vec!["b.acme".into(), "c.acme".into()])
    })
    .await;
    assert_eq!(ads.sent(ResourceKind::ScopedRoute), 2);
}

/// What was added in the meantime is not held: it came from this table.
#[tokio::test(flavor = "multi_thread")]
async fn an_unsettled_table_may_change_what_it_added_itself() {
    let world = World::new().await;
    let (ads, _envoy) = start(&world, &["a"]).await;
    let ads = Ads::start_at(&ads.stop()).await;
    ads.apply_settled(Changes::table(world.table(&["a", "b"])), false).await;
    eventually("the new one", async || equal(world.status("b").await, 200)).await;
    let verdicts = ads
        .apply_settled(Changes::remove([scope("b.acme", "b").key]), false)
        .await;
    assert!(verdicts.is_empty());
    eventually("it goes", async || equal(world.status("b").await, 404)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_table_changes_nothing() {
    let world = World::new().await;
    let (ads, envoy) = start(&world, &["a"]).await;
    let before = envoy.updates().await;
    let ads = Ads::start_at(&ads.stop()).await;
    ads.wait_for_envoys(1).await;
    // It knows what the Envoy holds, and says nothing.
    let wanted: Vec<_> = world
        .table(&["a"])
        .into_iter()
        .map(|resource| (resource.key, resource.version))
        .collect();
    eventually("all kinds are asked for", async || {
        equal(ads.server.held().len(), wanted.len())
    })
    .await;
    for (key, version) in wanted {
        assert_eq!(ads.server.held()[&key], fingerprint_of(&version), "{key}");
    }
    assert_eq!(ads.report().totals.values().map(|kind| kind.responses).sum::<u64>(), 0);
    assert_eq!(envoy.updates().await, before);
    assert_eq!(world.status("a").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_envoy_gets_everything() {
    let world = World::new().await;
    let (ads, envoy) = start(&world, &["a", "b"]).await;
    envoy.signal("KILL").await;
    drain_until_disconnected(&ads).await;
    let keys: Vec<_> = world
        .table(&["a", "b"])
        .into_iter()
        .map(|resource| resource.key)
        .collect();
    let without = ads.verdicts(&keys);
    assert!(
        without
            .values()
            .all(|verdict| *verdict == Verdict::Pending("no Envoy connected".into())),
        "{without:?}"
    );
    let _envoy = Envoy::start("a", &ads.address).await;
    // The loop hears of what the Envoy lacks when its listeners open before it hears that an Envoy is there.
    let PlaneEvent::Verdicts(news) = ads.next_event().await else {
        panic!("no verdicts first")
    };
    let told = |key: &ResourceKey| news.iter().any(|(of, _)| of == key);
    let mut scopes = keys.iter().filter(|key| key.kind == ResourceKind::ScopedRoute);
    assert!(scopes.all(told), "{news:?}");
    assert!(matches!(ads.next_event().await, PlaneEvent::Connected(true)));
    ads.programmed(&world.table(&["a", "b"])).await;
    world.opens("b").await;
}

async fn drain_until_disconnected(ads: &Ads) {
    loop {
        if let PlaneEvent::Connected(false) = ads.next_event().await {
            return;
        }
    }
}

/// A stopped process keeps its socket open: only the probe finds out.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_envoy_is_given_up_and_comes_back() {
    let world = World::new().await;
    let (ads, envoy) = start(&world, &["a"]).await;
    envoy.signal("STOP").await;
    drain_until_disconnected(&ads).await;
    assert!(ads.report().envoys.is_empty());
    let changed = world.table(&["a", "b"]);
    ads.apply(Changes::table(changed.clone())).await;
    envoy.signal("CONT").await;
    ads.programmed(&changed).await;
    assert_eq!((world.status("a").await, world.status("b").await), (200, 200));
}

/// Two Envoys: programmed means in both.
#[tokio::test(flavor = "multi_thread")]
async fn a_resource_is_programmed_once_every_envoy_has_it() {
    let world = World::new().await;
    let (ads, first) = start(&world, &["a"]).await;
    let second = Envoy::start("b", &ads.address).await;
    ads.wait_for_envoys(2).await;
    eventually("the second one has it", async || {
        equal(second.clusters().await, vec!["a".into()])
    })
    .await;
    eventually(
        "it has confirmed all that the first one has, its listener too",
        async || {
            let report = ads.report();
            equal(report.envoys[1].resources, report.envoys[0].resources)
        },
    )
    .await;
    let key = cluster("a", world.service).key;
    assert!(ads.verdicts(&[key]).is_empty(), "both have it");
    second.signal("STOP").await;
    let extra = cluster("b", world.service);
    let round = ads.server.update(Changes::upsert([extra.clone()]), true);
    eventually("the first one has it", async || {
        equal(first.clusters().await, vec!["a".into(), "b".into()])
    })
    .await;
    eventually("only the second one is waited for", async || {
        match ads.verdicts(std::slice::from_ref(&extra.key)).get("b") {
            Some(Verdict::Pending(why)) if why.contains("Envoy b") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    second.signal("CONT").await;
    ads.server.wait(round, ads_support::PATIENCE).await;
    assert!(ads.verdicts(&[extra.key]).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn tcp_serves_as_well_as_a_unix_socket() {
    let world = World::new().await;
    let ads = Ads::start_at(&XdsAddress::Tcp(http::free_address().await)).await;
    ads.apply(Changes::table(world.table(&["a"]))).await;
    let _envoy = Envoy::start("a", &ads.address).await;
    ads.programmed(&world.table(&["a"])).await;
    world.opens("a").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_is_private_and_replaces_a_stale_one_but_no_live_one() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("xds.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let address = XdsAddress::Unix(path.clone());
    let server = catalyst_envoy::ads::AdsServer::bind(&address).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let error = catalyst_envoy::ads::AdsServer::bind(&address)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("xds.sock") && error.contains("another process"),
        "{error}"
    );
    drop(server);
    let file = dir.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    assert!(
        catalyst_envoy::ads::AdsServer::bind(&XdsAddress::Unix(file.clone()))
            .await
            .is_err()
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}

/// A listener of its own per Envoy is not needed to see that a plain one works.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_listener_is_replaced() {
    let world = World::new().await;
    let (ads, envoy) = start(&world, &["a"]).await;
    let verdicts = ads.apply(Changes::upsert([listener("ingress", world.ingress)])).await;
    assert!(verdicts.is_empty(), "{verdicts:?}");
    eventually("the new listener", async || {
        equal(envoy.stat("listener_manager.listener_modified").await, 1)
    })
    .await;
    eventually("it serves without the extension", async || {
        let answer = http::get(world.ingress, "a.acme", "/")
            .await
            .map_err(|error| error.to_string())?;
        equal((answer.status, answer.head.contains("x-mark")), (200, false))
    })
    .await;
}
