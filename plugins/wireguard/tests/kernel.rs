//! The plane on a real kernel with WireGuard, each test in namespaces of its own. Needs root, wireguard-tools, nftables
//! and iproute2; run by `cargo xtask test` in a guest where this machine's kernel has no WireGuard. The test program
//! `userspace` runs them all with a program in place of the kernel's WireGuard.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

#[path = "support/mod.rs"]
pub(crate) mod support;
#[path = "support/kernel.rs"]
pub(crate) mod world;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use catalyst_plugin::{PlaneStatus, Prefix, PrefixRoute};
use catalyst_wireguard::{PrivateKey, PublicKey, TunnelState, WireguardConfig};
use support::{announced, config, peer, prefix, prefixes, tunnel, via};
use world::{Run, isolated, sh, shown, succeeds, until};

/// Two peers on one device, one on another; they announce their tunnels.
pub(crate) fn three_peers() -> (WireguardConfig, Vec<Arc<PrefixRoute>>) {
    let mut config = config();
    let mut routes = Vec::new();
    for (name, organisation, number) in [("b1", "b", 1_u8), ("b2", "b", 2), ("c1", "c", 3)] {
        let (v4, v6) = (format!("10.255.9.{number}/32"), format!("fd00:9::{number}/128"));
        config.peers.insert(
            name.into(),
            peer(organisation, &[&v4, &v6], &["10.2.0.0/16", "2001:db8:2::/48"]),
        );
        let tunnel = tunnel(number, 1, &[&v4, &v6]);
        routes.push(announced(&v4, tunnel.clone()));
        routes.push(announced(&v6, tunnel));
        routes.push(via(
            prefix(&format!("10.2.{number}.0/24")),
            &format!("10.255.9.{number}"),
        ));
        routes.push(via(
            prefix(&format!("2001:db8:2:{number}::/64")),
            &format!("fd00:9::{number}"),
        ));
    }
    (config, routes)
}

/// The name of a test of this module, as the test program knows it.
fn name(test: &str) -> String {
    let module = module_path!().split_once("::").map(|(_, module)| format!("{module}::"));
    module.unwrap_or_default() + test
}

fn wg_key(number: u8) -> String {
    PublicKey([number; 32]).to_string()
}

#[test]
fn a_restart_finds_everything_in_place_and_writes_nothing() {
    isolated(
        &name("a_restart_finds_everything_in_place_and_writes_nothing"),
        || async {
            let (config, routes) = three_peers();
            let run = Run::start(config.clone(), routes.clone()).await;
            let before = shown();
            println!("{before}");
            for part in [
                "10.2.1.0/24 dev wg-b proto 179 scope link src 10.255.1.1 metric 100",
                "unreachable 10.2.0.0/16 proto 179 metric 4294967294",
                "2001:db8:2:3::/64 dev wg-c proto 179 src fd00:2::1 metric 100",
                "1790:\tfrom all lookup 1790 proto 179",
                "alias catalyst:1790:b",
                "mtu 1420",
                "ip daddr @guarded4 oifname != @devices counter  drop",
            ] {
                assert!(before.contains(part), "{part:?} is missing");
            }
            assert!(
                run.statuses.values().all(|status| *status == PlaneStatus::Programmed),
                "{:?}",
                run.statuses
            );
            run.kill().await;
            sh("ip monitor all >/run/netns/monitor 2>/dev/null & echo $! >/run/netns/monitor.pid; sleep 0.5");
            let again = Run::start(config, routes).await;
            assert_eq!(again.stats.writes(), 0, "a restart asked for changes");
            assert_eq!(shown(), before);
            sh("kill $(cat /run/netns/monitor.pid)");
            assert_eq!(sh("cat /run/netns/monitor"), "", "the kernel tells of changes");
            again.kill().await;
        },
    );
}

#[test]
fn what_others_break_is_repaired() {
    isolated(&name("what_others_break_is_repaired"), || async {
        let (config, routes) = three_peers();
        let run = Run::start(config, routes).await;
        let whole = shown();
        let breaks = [
            "ip link del wg-b".to_owned(),
            "ip route flush table 1790".to_owned(),
            "ip -6 route flush table 1790".to_owned(),
            "ip rule flush; ip rule add pref 32766 lookup main; ip rule add pref 32767 lookup default".to_owned(),
            "ip -6 rule del pref 1790".to_owned(),
            "ip link set wg-c down".to_owned(),
            "ip addr del 10.255.1.1/32 dev wg-b".to_owned(),
            "ip route replace 10.2.1.0/24 dev wg-c table 1790 proto 179 metric 100".to_owned(),
            "nft delete table inet catalyst_1790".to_owned(),
            "nft flush set inet catalyst_1790 guarded4".to_owned(),
            format!("wg set wg-b peer {} remove", wg_key(1)),
            format!("wg set wg-b peer {} allowed-ips 10.2.1.0/24,10.255.9.2/32", wg_key(2)),
            format!("wg set wg-b peer {} allowed-ips 10.9.0.0/16", wg_key(77)),
            "wg set wg-c listen-port 4000".to_owned(),
            "ip link set wg-c mtu 1300".to_owned(),
        ];
        for breaking in breaks {
            let repairs = run.stats.drift_repairs();
            sh(&breaking);
            let mut now = String::new();
            // The key and the port of a device are compared when anything else is told of.
            if breaking.contains("listen-port") {
                sh("ip rule del pref 1790");
            }
            let repaired =
                |now: &str| now == whole && (run.stats.drift_repairs() > repairs || breaking.contains(&wg_key(77)));
            let deadline = std::time::Instant::now() + world::DEADLINE;
            while !repaired(&now) {
                assert!(
                    std::time::Instant::now() < deadline,
                    "after {breaking:?}, not\n{whole}\nbut\n{now}"
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
                now = shown();
            }
            println!("repaired: {breaking}");
        }
        run.kill().await;
    });
}

#[test]
fn guards_stand_when_everything_else_is_gone() {
    isolated(&name("guards_stand_when_everything_else_is_gone"), || async {
        sh(
            "ip link add up0 type veth peer name up1; ip link set up1 up; ip addr add 192.0.2.200/24 dev up0; ip link set up0 up; ip route add default via 192.0.2.254",
        );
        let (config, routes) = three_peers();
        let run = Run::start(config, routes).await;
        run.kill().await;
        sh("ip link del wg-b; ip link del wg-c");
        for target in ["10.2.1.1", "10.255.9.1"] {
            assert!(!succeeds(&format!("ip route get {target}")), "{target} has a way out");
        }
        // The last resort: no rule, no route of ours, a default route.
        sh("ip rule del pref 1790; ip route flush table 1790");
        assert!(succeeds("ip route get 10.2.1.1"));
        let sent = || sh("cat /sys/class/net/up0/statistics/tx_packets 2>/dev/null || ip -s -o link show up0");
        sh("ping -c 1 -W 1 10.2.1.1 || true");
        let counted = sh("nft list table inet catalyst_1790 | grep 'ip daddr'");
        assert!(
            !counted.contains("packets 0"),
            "nothing was dropped: {counted} {}",
            sent()
        );
    });
}

#[test]
fn what_is_not_ours_is_left_alone() {
    isolated(&name("what_is_not_ours_is_left_alone"), || async {
        // A stranger under our name, another WireGuard device, another's route in our table, an orphan of ours.
        for device in ["wg-other", "wg-old", "wg-second"] {
            sh(&world::make(device));
        }
        sh("ip link add wg-b type veth peer name stranger
            ip link set wg-other up
            ip link set wg-old alias catalyst:1790:gone; ip link set wg-old up
            ip link set wg-second alias catalyst:1791:b
            ip route add blackhole 10.77.0.0/16 table 1790
            ip route add unreachable 10.78.0.0/16 table 1790 proto 179 metric 4294967294");
        let (config, routes) = three_peers();
        let mut run = Run::start(config, routes).await;
        until("orphans are gone", || {
            !succeeds("ip link show wg-old") && !shown().contains("10.78.0.0")
        })
        .await;
        assert!(succeeds("ip link show wg-other") && succeeds("ip link show wg-second"));
        assert!(shown().contains("blackhole 10.77.0.0/16"));
        assert!(sh("ip -d link show wg-b").contains("veth"));
        let waits = |run: &Run| {
            let said = run.statuses.get(&prefix("10.2.1.0/24").into());
            matches!(said, Some(PlaneStatus::Pending(why)) if !why.is_empty())
        };
        run.reported("the routes into the stranger wait", waits).await;
        let other = run.statuses.get(&prefix("10.2.3.0/24").into());
        assert!(
            other.is_none_or(|status| *status == PlaneStatus::Programmed),
            "{other:?}"
        );
        assert!(shown().contains("unreachable 10.2.0.0/16"), "guarded all the same");
        assert!(
            !sh("ip -o addr show dev wg-b").contains("10.255"),
            "the stranger got our address"
        );
        sh("ip link del wg-b");
        until("the device is made once the name is free", || {
            shown().contains("10.2.1.0/24 dev wg-b")
        })
        .await;
        run.kill().await;
    });
}

#[test]
fn a_vanished_pre_shared_key_closes_the_tunnel() {
    isolated(&name("a_vanished_pre_shared_key_closes_the_tunnel"), || async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("psk");
        let write = |byte: u8| {
            let text = PublicKey([byte; 32]).to_string();
            sh(&format!(
                "umask 077; echo {text} >{0}.new; mv {0}.new {0}",
                path.display()
            ));
            text
        };
        let first = write(1);
        let (mut config, routes) = three_peers();
        config.keepalive = Duration::from_secs(1);
        config.peers.get_mut("b1").unwrap().preshared_key = Some(path.clone());
        let run = Run::start(config, routes).await;
        assert!(shown().contains(&first));
        let second = write(2);
        until("the new key is in place", || shown().contains(&second)).await;
        sh(&format!("rm {}", path.display()));
        until("the peer is gone", || !shown().contains(&wg_key(1))).await;
        let now = shown();
        assert!(
            now.contains("unreachable 10.255.9.1") && !now.contains("10.2.1.0/24 dev"),
            "{now}"
        );
        until("show tunnels says why", || {
            let b1 = run.stats.tunnels().into_iter().find(|row| &*row.peer == "b1").unwrap();
            matches!(b1.state, TunnelState::Guarded(why) if why.contains("No such file"))
        })
        .await;
        let third = write(3);
        until("it is back", || shown().contains(&third)).await;
        run.kill().await;
    });
}

#[test]
fn a_peer_may_have_more_addresses_than_fit_one_message() {
    isolated(&name("a_peer_may_have_more_addresses_than_fit_one_message"), || async {
        let (mut config, routes) = three_peers();
        let many: Vec<Prefix> = (0..1200_u16)
            .map(|n| Prefix::new([10, 3, n.to_be_bytes()[0], n.to_be_bytes()[1]].into(), 32).unwrap())
            .collect();
        config.peers.get_mut("b1").unwrap().static_prefixes.clone_from(&many);
        let run = Run::start(config.clone(), routes.clone()).await;
        let allowed = |key: u8| {
            let line = sh(&format!("wg show wg-b allowed-ips | grep -F {}", wg_key(key)));
            line.split_whitespace().count() - 1
        };
        assert_eq!(allowed(1), many.len() + 4);
        run.kill().await;
        let mut run = Run::start(config.clone(), routes).await;
        assert_eq!(run.stats.writes(), 0, "a peer that is told of in parts is put together");
        // One moves to another peer, and nothing else is touched.
        config
            .peers
            .get_mut("b1")
            .unwrap()
            .static_prefixes
            .truncate(many.len() - 1);
        config.peers.get_mut("b2").unwrap().static_prefixes = vec![many[many.len() - 1]];
        run.settings.set(config).await.unwrap();
        until("moved", || allowed(1) == many.len() + 3 && allowed(2) == 5).await;
        run.change(vec![(prefix("10.2.1.0/24"), None)]).await;
        assert_eq!(allowed(1), many.len() + 2, "one address was taken from the peer");
        run.kill().await;
    });
}

/// CPU time of this process, in clock ticks' worth of milliseconds (proc_pid_schedstat: nanoseconds on the CPU).
fn cpu() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let nanos = tasks.map(|task| {
        let text = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap_or_default();
        text.split_whitespace()
            .next()
            .and_then(|nanos| nanos.parse::<u64>().ok())
            .unwrap_or(0)
    });
    Duration::from_nanos(nanos.sum())
}

#[test]
fn one_change_among_a_thousand_peers_is_one_change() {
    isolated(&name("one_change_among_a_thousand_peers_is_one_change"), || async {
        let mut config = config();
        // The looks are not what is measured.
        config.keepalive = Duration::from_secs(600);
        let mut routes = Vec::new();
        for number in 0..1000_u16 {
            let [high, low] = number.to_be_bytes();
            let host = format!("10.254.{high}.{low}/32");
            config
                .peers
                .insert(format!("peer-{number}").into(), peer("b", &[&host], &["10.2.0.0/16"]));
            let mut tunnel = catalyst_plugin::Tunnel::clone(&tunnel(1, 1, &[&host]));
            tunnel.public_key = PrivateKey::from_bytes([[high + 1, low]; 16].concat().try_into().unwrap())
                .public_key()
                .0;
            routes.push(announced(&host, Arc::new(tunnel)));
        }
        let start = std::time::Instant::now();
        let mut run = Run::start(config.clone(), routes).await;
        println!(
            "1,000 peers made in {:?}, {} writes",
            start.elapsed(),
            run.stats.writes()
        );
        let mut spent = Vec::new();
        for round in 0..10 {
            let prefix = prefix(&format!("10.2.{round}.0/24"));
            let (writes, before) = (run.stats.writes(), cpu());
            run.change(vec![(prefix, Some(via(prefix, "10.254.1.7")))]).await;
            spent.push(cpu() - before);
            assert_eq!(run.stats.writes() - writes, 2, "an allowed address and a route");
        }
        spent.sort();
        println!(
            "CPU of one change among 1,000 peers: median {:?}, most {:?}",
            spent[5], spent[9]
        );
        let peers = sh("wg show wg-b peers | wc -l");
        assert_eq!(peers.trim(), "1000");
        // The device goes, and everything else goes on meanwhile.
        let ticks = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let counter = ticks.clone();
        let ticker = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(1)).await;
                counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        });
        config.tunnels.remove("b");
        config.peers.clear();
        let (start, before) = (std::time::Instant::now(), cpu());
        run.settings.set(config).await.unwrap();
        until("the device is gone", || !succeeds("ip link show wg-b")).await;
        println!(
            "device with 1,000 peers removed in {:?}, CPU {:?}; {} ticks of 1 ms meanwhile",
            start.elapsed(),
            cpu() - before,
            ticks.load(std::sync::atomic::Ordering::Relaxed)
        );
        ticker.abort();
        run.kill().await;
    });
}

/// The other end: a namespace `far` behind a veth, with WireGuard by its own tools.
fn far_end(key: &PrivateKey, ours: PublicKey, dir: &std::path::Path) {
    let file = dir.join("far.key");
    let path = file.display();
    PrivateKey::load_or_create(&file).unwrap();
    let _ = key;
    sh(&format!(
        "ip netns add far
         ip link add up0 type veth peer name up1 netns far
         ip addr add 192.0.2.200/24 dev up0; ip link set up0 up
         ip -n far addr add 192.0.2.1/24 dev up1; ip -n far link set up1 up; ip -n far link set lo up
         ip netns exec far {make}
         ip netns exec far wg set far0 listen-port 51820 private-key {path} peer {ours} allowed-ips 10.255.1.1/32
         ip -n far addr add 10.255.9.1/32 dev far0; ip -n far link set far0 up
         ip -n far route add 10.255.1.1/32 dev far0
         ip -n far addr add 10.2.1.1/32 dev lo",
        make = world::make("far0")
    ));
}

fn far_key(dir: &std::path::Path) -> [u8; 32] {
    PrivateKey::load(&dir.join("far.key")).unwrap().public_key().0
}

#[test]
fn a_tunnel_is_up_while_it_is_heard_and_no_longer() {
    isolated(&name("a_tunnel_is_up_while_it_is_heard_and_no_longer"), || async {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config();
        config.keepalive = Duration::from_secs(1);
        far_end(&config.private_key, config.private_key.public_key(), dir.path());
        config
            .peers
            .insert("b1".into(), peer("b", &["10.255.9.1/32"], &["10.2.0.0/16"]));
        let mut far = catalyst_plugin::Tunnel::clone(&tunnel(1, 1, &["10.255.9.1/32"]));
        far.public_key = far_key(dir.path());
        far.endpoint = Some(SocketAddr::from(([192, 0, 2, 1], 51820)));
        let (far, address) = (Arc::new(far), "10.255.9.1".parse().unwrap());
        let routes = vec![
            announced("10.255.9.1/32", far),
            via(prefix("10.2.1.0/24"), "10.255.9.1"),
        ];
        let mut run = Run::start(config, routes).await;
        run.reported("up", |run| run.tunnels.get(&address) == Some(&true)).await;
        sh("ping -c 1 -W 2 10.2.1.1");
        // The far end sends no keepalives of its own: its answers are what is heard.
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            run.reported("still up", |run| run.tunnels.get(&address) == Some(&true))
                .await;
        }
        let row = run.stats.tunnels().remove(0);
        println!("{row:?}");
        assert_eq!((row.state, row.authenticated), (TunnelState::Up, false));
        sh("ip -n far link set up1 down");
        let start = std::time::Instant::now();
        run.reported("down", |run| run.tunnels.get(&address) == Some(&false))
            .await;
        println!("down after {:?}", start.elapsed());
        sh("ip -n far link set up1 up");
        run.reported("up again", |run| run.tunnels.get(&address) == Some(&true))
            .await;
        // It roams, and what is announced does not pull it back.
        sh("ip -n far addr flush dev up1; ip -n far addr add 192.0.2.77/24 dev up1");
        // wireguard-go keeps to its old address until a handshake fails; by then the tunnel is down, and called anew.
        until("it is heard from there", || {
            succeeds("ip netns exec far ping -c 1 -W 1 10.255.1.1")
                && sh("wg show wg-b endpoints").contains("192.0.2.77:")
        })
        .await;
        until("it is up, and called there", || {
            run.stats.tunnels()[0].state == TunnelState::Up && sh("wg show wg-b endpoints").contains("192.0.2.77:")
        })
        .await;
        sh("ip rule del pref 1790");
        until("repaired", || shown().contains("1790:\tfrom all")).await;
        assert!(
            sh("wg show wg-b endpoints").contains("192.0.2.77:"),
            "{}",
            sh("wg show wg-b endpoints")
        );
        run.kill().await;
    });
}

#[test]
fn prefixes_of_a_hostile_peer_do_not_reach_the_kernel() {
    isolated(&name("prefixes_of_a_hostile_peer_do_not_reach_the_kernel"), || async {
        let (mut config, mut routes) = three_peers();
        config.peers.get_mut("b1").unwrap().allowed_prefixes = prefixes(&["10.2.0.0/16"]);
        let hostile = [
            "0.0.0.0/0",
            "::/0",
            "10.1.0.0/16",
            "10.1.2.3/32",
            "127.0.0.0/8",
            "192.0.2.1/32",
            "9.9.9.9/32",
            "10.255.9.2/32",
        ];
        // The last one is announced by its owner, which is not touched by that.
        for text in &hostile[..7] {
            routes.push(via(prefix(text), "10.255.9.1"));
        }
        let run = Run::start(config, routes).await;
        for text in &hostile[..7] {
            let said = run.statuses.get(&prefix(text).into());
            assert!(matches!(said, Some(PlaneStatus::Rejected(_))), "{text}: {said:?}");
            println!("{text}: {said:?}");
        }
        let now = sh("ip route show table 1790; ip -6 route show table 1790; wg show all allowed-ips");
        for text in ["default", "0.0.0.0/0", "::/0", "10.1.", "127.", "192.0.2.", "9.9.9.9"] {
            assert!(!now.contains(text), "{text} reached the kernel:\n{now}");
        }
        run.kill().await;
    });
}
