//! Completion of catalystctl's command line in a real bash.

use super::service;
use super::support::{Node, ctl};

#[test]
fn completion_scripts_need_no_daemon() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let answer = ctl("unix:/nowhere", &["completions", shell]);
        assert_eq!((answer.code, answer.err.as_str()), (0, ""), "{shell}");
        assert!(answer.out.contains("CATALYSTCTL_COMPLETE"), "{shell}: {}", answer.out);
        let answer = ctl("unix:/nowhere", &["completions", shell, "--static"]);
        assert_eq!(answer.code, 0);
        assert!(
            answer.out.contains("catalystctl") && answer.out.contains("routes"),
            "{shell}"
        );
    }
}

/// What bash offers after the words of a line, with the daemon at `addr`.
fn completed(addr: &str, words: &[&str]) -> Vec<String> {
    const SCRIPT: &str = r#"
        source <("$0" completions bash)
        COMP_WORDS=(catalystctl "$@") COMP_CWORD=$# COMP_TYPE=9
        [[ $(complete -p catalystctl) == *" -F _catalystctl catalystctl" ]] || echo "not registered" >&2
        _catalystctl catalystctl "${COMP_WORDS[COMP_CWORD]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut bash = std::process::Command::new("bash");
    bash.args(["--norc", "-c", SCRIPT, env!("CARGO_BIN_EXE_catalystctl")])
        .args(words);
    let output = bash.env("CATALYST_ADDR", addr).output().expect("bash is here");
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "",
        "nothing is printed into the line"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn bash_completes_commands_and_names_of_the_daemon() {
    let services = ["orders.acme", "orders.dc1.acme", "reviews.acme"].map(|name| format!("{name}={}", service(1)));
    let mut flags: Vec<_> = services.iter().map(|value| ("service", value.as_str())).collect();
    flags.push(("peer", "bert=65002@127.80.15.2:17900"));
    flags.push(("set", r#"policies={"from-bert":{"statements":[{"then":"accept"}]}}"#));
    let node = Node::start("127.80.15.1", &flags);
    let line = |words: &[&str]| completed(&node.addr, words);
    assert_eq!(line(&["show", "pol"]), ["policies", "policy"]);
    assert_eq!(line(&["show", "route", "orders"]), ["orders.acme", "orders.dc1.acme"]);
    assert_eq!(line(&["show", "route", "ORDERS.D"]), ["orders.dc1.acme"]);
    assert_eq!(line(&["service", "remove", "rev"]), ["reviews.acme"]);
    assert_eq!(line(&["service", "add", "rev"]), ["reviews.acme"]);
    assert_eq!(line(&["show", "peer", "be"]), ["bert"]);
    assert_eq!(line(&["peer", "refresh", "b"]), ["bert"]);
    assert_eq!(
        line(&["policy", "test", "from-bert", "--route", "rev"]),
        ["reviews.acme"]
    );
    assert_eq!(line(&["show", "policy", ""])[0], "from-bert");
    assert_eq!(line(&["show", "route", "zzz"]), [""; 0]);
}

/// Not even at a daemon that does not answer.
#[test]
fn completion_is_silent_and_quick_without_a_daemon() {
    let mute = tempfile::tempdir().unwrap();
    let path = mute.path().join("routed.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    for addr in ["unix:/nowhere", "nonsense", &format!("unix:{}", path.display())] {
        assert_eq!(completed(addr, &["show", "route", "o"]), [""; 0], "{addr}");
        assert_eq!(completed(addr, &["show", "pee"]), ["peers", "peer"], "{addr}");
    }
}

/// A name is offered for a prefix of 200 of them and no more.
#[test]
fn completion_is_bounded() {
    let services: Vec<String> = (0..300).map(|at| format!("s{at:03}.acme={}", service(1))).collect();
    let flags: Vec<_> = services.iter().map(|value| ("service", value.as_str())).collect();
    let node = Node::start("127.80.16.1", &flags);
    let all = completed(&node.addr, &["show", "route", ""]);
    assert_eq!(all.iter().filter(|word| !word.starts_with('-')).count(), 200, "{all:?}");
    assert_eq!(completed(&node.addr, &["show", "route", "s29"]).len(), 10);
}

/// As bash takes `--addr unix:PATH` apart.
#[test]
fn the_daemon_of_the_line_is_asked_also_where_bash_breaks_its_address() {
    let orders = format!("orders.acme={}", service(1));
    let node = Node::start("127.80.17.1", &[("service", orders.as_str())]);
    let path = node.addr.strip_prefix("unix:").expect("a Unix socket");
    let line = ["--addr", "unix", ":", path, "show", "route", "ord"];
    assert_eq!(completed("unix:/nowhere", &line), ["orders.acme"]);
    assert_eq!(
        completed("unix:/nowhere", &["--addr", "unix", ":", path, "show", "pol"]),
        ["policies", "policy"]
    );
    assert_eq!(
        completed("unix:/nowhere", &["show", "route", "--addr", "unix", ":", "/no"]),
        [""; 0]
    );
}
