//! The real binary: exit codes and what it prints.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

fn example(name: &str) -> String {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    file.display().to_string()
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_catalyst-routed"));
    command.args(args).stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command(args).output().unwrap();
    (
        status.code(),
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

#[test]
fn check_says_yes_by_0_and_no_by_64() {
    let good = example("one-node/routed.json");
    assert_eq!(run(&["--check", "-c", &good]), (Some(0), String::new(), String::new()));
    let (code, out, error) = run(&["--check", "-c", &good, "--set", "peering.drain=soon"]);
    assert_eq!((code, out.as_str()), (Some(64), ""));
    assert!(
        error.contains("--set peering.drain=soon: peering.drain: expected a duration such as"),
        "{error}"
    );
    assert_eq!(run(&["--check", "-c", "/nonexistent.json"]).0, Some(64));
    assert_eq!(run(&[]).0, Some(64), "no configuration at all");
}

#[test]
fn a_log_level_that_is_none_is_refused() {
    let good = example("one-node/routed.json");
    for action in [&["--check"][..], &["--print-config"], &[]] {
        let (code, out, error) = run(&[action, &["--log", "wran", "-c", &good]].concat());
        assert_eq!((code, out.as_str()), (Some(64), ""), "{action:?}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.starts_with("--log: expected error, warn, info"), "{error}");
        assert!(error.ends_with("found \"wran\"\n"), "{error}");
    }
    assert_eq!(
        run(&["--check", "--log", "info,catalyst_core=debug", "-c", &good]).0,
        Some(0)
    );
}

#[test]
fn usage_errors_are_2() {
    let (code, out, error) = run(&["--no-such-flag"]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(error.contains("--no-such-flag"), "{error}");
}

#[test]
fn the_printed_configuration_reads_back_and_prints_the_same() {
    for name in ["one-node/routed.json", "two-nodes/a.json", "two-nodes/b.json"] {
        let (code, first, error) = run(&["--print-config", "-c", &example(name)]);
        assert_eq!((code, error.as_str()), (Some(0), ""));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("printed.json");
        std::fs::write(&file, &first).unwrap();
        let (_, second, _) = run(&["--print-config", "-c", file.to_str().unwrap()]);
        assert_eq!(first, second);
    }
}

#[test]
fn the_bootstrap_names_the_addresses_of_the_configuration() {
    let (code, out, error) = run(&[
        "envoy-bootstrap",
        "-c",
        &example("two-nodes/a.json"),
        "--envoy-admin",
        "127.0.0.1:9977",
    ]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    let bootstrap: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(bootstrap["admin"]["address"]["socket_address"]["port_value"], 9977);
    assert!(out.contains("target/demo/a/xds.sock"), "{out}");
    let (code, _, error) = run(&["envoy-bootstrap", "--name", "a", "--as", "1", "--org", "acme"]);
    assert_eq!(
        (code, error.as_str()),
        (Some(1), "catalyst-routed: plugins.envoy is not configured\n")
    );
}

#[test]
fn help_has_examples_and_fits_100_columns() {
    let (code, help, _) = run(&["--help"]);
    assert_eq!(code, Some(0));
    assert!(
        help.contains("\nExamples:\n") && help.contains("--peer b=65002@127.0.0.2:1790"),
        "{help}"
    );
    for line in help.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut child = command(&["--print-config", "-c", &example("two-nodes/a.json")]);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}
