//! The plane with wireguard-go in place of the kernel's WireGuard: all that holds for the kernel's (kernel.rs), and what can
//! happen to processes. Needs root, /dev/net/tun, and the packages wireguard-go, wireguard-tools, nftables and iproute2.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod kernel;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use catalyst_plugin::PlaneStatus;
use catalyst_wireguard::TunnelState;
use kernel::support::prefix;
use kernel::three_peers;
use kernel::world::{Run, isolated, make, sh, shown, succeeds, until, userspace};

/// The process of a device; empty: there is none.
fn process(device: &str) -> String {
    let program = userspace().unwrap();
    let script = format!(
        "for p in /proc/[0-9]*; do
            [ \"$(tr '\\0' ' ' <$p/cmdline 2>/dev/null)\" = '{} {device} ' ] && echo ${{p#/proc/}}; done; true",
        program.display()
    );
    sh(&script).trim().to_owned()
}

fn guarded() -> bool {
    !succeeds("ip route get 10.2.1.1") && shown().contains("unreachable 10.2.0.0/16")
}

/// What `show tunnels` says of a tunnel that is not in place.
fn cause(run: &Run, peer: &str) -> Option<String> {
    let row = run.stats.tunnels().into_iter().find(|row| &*row.peer == peer)?;
    if let TunnelState::Guarded(why) = row.state {
        Some(why.to_string())
    } else {
        None
    }
}

fn pends(run: &Run, text: &str, why: &str) -> bool {
    let status = run.statuses.get(&prefix(text).into());
    matches!(status, Some(PlaneStatus::Pending(said)) if said.contains(why))
}

#[test]
fn a_process_that_is_killed_is_started_again_and_the_others_are_not() {
    isolated(
        "a_process_that_is_killed_is_started_again_and_the_others_are_not",
        || async {
            let (config, routes) = three_peers();
            let run = Run::start(config.clone(), routes).await;
            let (whole, first, other) = (shown(), process("wg-b"), process("wg-c"));
            for _ in 0..3 {
                let killed = process("wg-b");
                sh(&format!("kill -9 {killed}"));
                until("its device is gone, or made again", || {
                    guarded() || process("wg-b") != killed
                })
                .await;
                until("all of it is back", || shown() == whole).await;
            }
            assert_ne!(process("wg-b"), first);
            assert_eq!(process("wg-c"), other);
            assert!(run.stats.drift_repairs() > 0);
            // A device that is not wanted takes its process along.
            let mut config = config;
            config.tunnels.remove("b");
            config.peers.retain(|_, peer| &*peer.organisation != "b");
            run.settings.set(config).await.unwrap();
            until("its process has ended", || process("wg-b").is_empty()).await;
            assert!(!Path::new("/run/wireguard/wg-b.sock").exists());
            run.kill().await;
        },
    );
}

#[test]
fn a_process_that_hangs_is_replaced() {
    isolated("a_process_that_hangs_is_replaced", || async {
        let (mut config, routes) = three_peers();
        config.keepalive = Duration::from_secs(1);
        let run = Run::start(config, routes).await;
        let (whole, hung, other) = (shown(), process("wg-b"), process("wg-c"));
        sh(&format!("kill -STOP {hung}"));
        until("another process has the device", || {
            let now = process("wg-b");
            !now.is_empty() && now != hung
        })
        .await;
        until("all of it is back", || shown() == whole).await;
        assert_eq!(process("wg-c"), other);
        run.kill().await;
    });
}

#[test]
fn a_program_that_does_not_start_is_told_of_and_tried_again() {
    isolated("a_program_that_does_not_start_is_told_of_and_tried_again", || async {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("wireguard");
        let (mut config, routes) = three_peers();
        config.keepalive = Duration::from_secs(1);
        let mut run = Run::start_with(Some(program.clone()), config, routes).await;
        let start = format!("start {} for wg-b (plugins.wireguard.userspace): ", program.display());
        let write = |text: &str| {
            let fresh = dir.path().join("new");
            fs::write(&fresh, text).unwrap();
            fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).unwrap();
            fs::rename(fresh, &program).unwrap();
        };
        let missing = format!("{start}No such file or directory");
        run.reported("that there is no such program", |run| pends(run, "10.2.1.0/24", "wg-b"))
            .await;
        until("show tunnels says so", || {
            cause(&run, "b1").is_some_and(|why| why.starts_with(&missing))
        })
        .await;
        assert!(guarded());
        write("#!/bin/sh\necho 'no /dev/net/tun' >&2; exit 1\n");
        let fails = format!("{start}exit status: 1: no /dev/net/tun");
        until("show tunnels says that it fails", || {
            cause(&run, "b1").as_ref() == Some(&fails)
        })
        .await;
        assert!(guarded());
        write(&format!("#!/bin/sh\nexec {} \"$1\"\n", userspace().unwrap().display()));
        until("the tunnel is in place", || shown().contains("10.2.1.0/24 dev wg-b")).await;
        until("show tunnels has no complaint", || cause(&run, "b1").is_none()).await;
        run.kill().await;
    });
}

#[test]
fn a_device_of_another_namespace_is_left_alone() {
    isolated("a_device_of_another_namespace_is_left_alone", || async {
        sh(&format!("ip netns add other; ip netns exec other {}", make("wg-b")));
        // It takes a port a moment after it is up.
        until("the other device listens", || {
            sh("wg show wg-b").contains("listening port")
        })
        .await;
        let before = sh("wg show wg-b");
        let (mut config, routes) = three_peers();
        config.keepalive = Duration::from_secs(1);
        let run = Run::start(config, routes).await;
        until("show tunnels says whose the name is", || {
            cause(&run, "b1").is_some_and(|why| {
                why.starts_with(
                    "socket /var/run/wireguard/wg-b.sock: it belongs to a device in another network namespace",
                )
            })
        })
        .await;
        assert!(guarded());
        assert!(shown().contains("10.2.3.0/24 dev wg-c"), "the other device is in place");
        assert_eq!(sh("wg show wg-b"), before, "the other's device was changed");
        sh("ip -n other link del wg-b");
        until("the device is made once the name is free", || {
            shown().contains("10.2.1.0/24 dev wg-b")
        })
        .await;
        run.kill().await;
    });
}

#[test]
fn a_port_that_is_taken_is_told_of() {
    isolated("a_port_that_is_taken_is_told_of", || async {
        let (mut config, routes) = three_peers();
        config.keepalive = Duration::from_secs(1);
        let taken = std::net::UdpSocket::bind(("0.0.0.0", config.tunnels["b"].listen_port)).unwrap();
        let run = Run::start(config, routes).await;
        until("show tunnels says so", || {
            cause(&run, "b1").is_some_and(|why| why.contains("UDP port 51821 of device wg-b: another process has it"))
        })
        .await;
        assert!(guarded());
        drop(taken);
        until("the tunnel is in place", || shown().contains("10.2.1.0/24 dev wg-b")).await;
        run.kill().await;
    });
}
