//! The nftables table: it drops what is guarded and would leave by any device but a tunnel, also with no route and no
//! rule left. By the `nft` program, in one transaction: the kernel's own interface to it is no stable one.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use catalyst_plugin::Prefix;
use serde_json::{Value, json};

use super::{KernelError, Scope, unreachable_because};
use crate::resource::{Filter, Resource};

const PROGRAM: &str = "nft";
/// What `-` stands for, where there is no /dev/stdin too.
const STDIN: &str = "/proc/self/fd/0";
const CHAIN: &str = "postrouting";
/// Marks our rules; another text, another version of them.
const COMMENT: &str = "catalyst-1";
/// The most of what it says that is repeated.
const MAX_WORDS: usize = 300;

/// (the set, its element type, the protocol)
const FAMILIES: [(&str, &str, &str); 2] = [("guarded4", "ipv4_addr", "ip"), ("guarded6", "ipv6_addr", "ip6")];
const DEVICES: &str = "devices";

/// What is there now; `None`: nothing.
pub(super) fn observe(table: u32) -> Result<Option<Resource>, KernelError> {
    let output = run(&["--json", "list", "table", "inet", &Scope::filter(table)], None)?;
    if !output.status.success() {
        // No such table, most of the time; if it cannot be read otherwise, putting it says so.
        return Ok(None);
    }
    let listed: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| unreachable_because("what nft lists", &error))?;
    Ok(Some(read(&listed).map_or(Resource::Altered, Resource::Filter)))
}

/// Replaces the whole table at once.
pub(super) fn put(table: u32, filter: &Filter) -> Result<(), KernelError> {
    change(&commands(&Scope::filter(table), filter))
}

pub(super) fn remove(table: u32) -> Result<(), KernelError> {
    let table = json!({"family": "inet", "name": Scope::filter(table)});
    // Added first: to delete what is not there is an error.
    change(&json!({"nftables": [{"add": {"table": table}}, {"delete": {"table": table}}]}))
}

fn change(commands: &Value) -> Result<(), KernelError> {
    let output = run(&["--json", "--file", STDIN], Some(commands.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said: String = String::from_utf8_lossy(&output.stderr)
        .chars()
        .take(MAX_WORDS)
        .collect();
    Err(unreachable_because("nft", &said.trim()))
}

fn run(arguments: &[&str], input: Option<String>) -> Result<Output, KernelError> {
    let start = || {
        let mut child = Command::new(PROGRAM)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        // It reads all of it before it says anything.
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
            stdin.write_all(input.as_bytes())?;
        }
        child.wait_with_output()
    };
    start().map_err(|error| unreachable_because("nft (Debian: package nftables)", &error))
}

fn commands(name: &str, filter: &Filter) -> Value {
    let table = json!({"family": "inet", "name": name});
    let add = |object: Value| json!({"add": object});
    let mut all = vec![
        add(json!({"table": table})),
        json!({"delete": {"table": table}}),
        add(json!({"table": table})),
    ];
    let devices: Vec<&str> = filter.devices.iter().map(AsRef::as_ref).collect();
    all.push(add(set(name, DEVICES, "ifname", &json!([]), &json!(devices))));
    all.push(add(json!({"chain": {
        "family": "inet", "table": name, "name": CHAIN, "type": "filter", "hook": "postrouting", "prio": 0,
        "policy": "accept",
    }})));
    for (guarded, kind, protocol) in FAMILIES {
        let of_family = |prefix: &&Prefix| prefix.address().is_ipv4() == (protocol == "ip");
        let elements: Vec<Value> = filter.guarded.iter().filter(of_family).map(element).collect();
        all.push(add(set(name, guarded, kind, &json!(["interval"]), &json!(elements))));
        all.push(add(
            json!({"rule": {"family": "inet", "table": name, "chain": CHAIN, "comment": COMMENT, "expr": [
                {"match": {
                    "op": "==",
                    "left": {"payload": {"protocol": protocol, "field": "daddr"}},
                    "right": format!("@{guarded}"),
                }},
                {"match": {"op": "!=", "left": {"meta": {"key": "oifname"}}, "right": format!("@{DEVICES}")}},
                {"counter": null},
                {"drop": null},
            ]}}),
        ));
    }
    json!({"nftables": all})
}

fn set(table: &str, name: &str, kind: &str, flags: &Value, elements: &Value) -> Value {
    let mut set = json!({"family": "inet", "table": table, "name": name, "type": kind, "flags": flags});
    // An empty list is refused.
    if let (Some(set), false) = (set.as_object_mut(), elements.as_array().is_none_or(Vec::is_empty)) {
        set.insert("elem".to_owned(), elements.clone());
    }
    if let (Some(set), true) = (set.as_object_mut(), flags.as_array().is_none_or(Vec::is_empty)) {
        set.remove("flags");
    }
    json!({"set": set})
}

fn element(prefix: &Prefix) -> Value {
    json!({"prefix": {"addr": prefix.address().to_string(), "len": prefix.length()}})
}

/// The content, if the table is as we make it.
fn read(listed: &Value) -> Option<Filter> {
    let mut filter = Filter::default();
    let (mut rules, mut chains) = (Vec::new(), 0);
    for object in listed.get("nftables")?.as_array()? {
        if let Some(set) = object.get("set") {
            let name = set.get("name")?.as_str()?;
            let elements = set.get("elem").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            match name {
                DEVICES => filter.devices = elements.iter().map(device).collect::<Option<_>>()?,
                _ => filter
                    .guarded
                    .append(&mut elements.iter().map(prefix).collect::<Option<BTreeSet<_>>>()?),
            }
        } else if let Some(chain) = object.get("chain") {
            chains += 1;
            let hooked = chain.get("hook")?.as_str()? == "postrouting" && chain.get("policy")?.as_str()? == "accept";
            hooked.then_some(())?;
        } else if let Some(rule) = object.get("rule") {
            (rule.get("comment")?.as_str()? == COMMENT).then_some(())?;
            rules.push(rule.get("expr")?.as_array()?.clone());
        }
    }
    let whole = chains == 1 && rules.len() == FAMILIES.len();
    let drop = |rule: &Vec<Value>| rule.len() == 4 && rule.last().is_some_and(|last| last.get("drop").is_some());
    (whole && rules.iter().all(drop)).then_some(filter)
}

fn device(element: &Value) -> Option<Arc<str>> {
    element.as_str().map(Into::into)
}

fn prefix(element: &Value) -> Option<Prefix> {
    if let Some(host) = element.as_str() {
        return host.parse().ok().map(Prefix::of_host);
    }
    let prefix = element.get("prefix")?;
    let length = prefix.get("len")?.as_u64()?.try_into().ok()?;
    Prefix::new(prefix.get("addr")?.as_str()?.parse().ok()?, length).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter() -> Filter {
        Filter {
            guarded: ["10.2.0.0/16", "10.255.1.2/32", "fd00::/16"]
                .map(|text| text.parse().unwrap())
                .into(),
            devices: ["wg-b", "lo"].map(Into::into).into(),
        }
    }

    /// What nft lists is what it was given, without the verbs, hosts as plain addresses.
    fn listed(commands: &Value) -> Value {
        let all = commands["nftables"]
            .as_array()
            .unwrap()
            .iter()
            .skip(2)
            .map(|command| command["add"].clone());
        let mut listed = json!({"nftables": all.collect::<Vec<_>>()});
        for object in listed["nftables"].as_array_mut().unwrap() {
            let elements = object
                .get_mut("set")
                .and_then(|set| set.get_mut("elem"))
                .and_then(Value::as_array_mut);
            for element in elements.into_iter().flatten() {
                if element["prefix"]["len"] == 32 {
                    *element = element["prefix"]["addr"].clone();
                }
            }
        }
        listed
    }

    #[test]
    fn what_is_put_is_read_back() {
        let commands = commands("catalyst_1790", &filter());
        assert_eq!(read(&listed(&commands)), Some(filter()));
    }

    #[test]
    fn a_table_that_was_altered_is_not_taken_for_ours() {
        let whole = listed(&commands("catalyst_1790", &filter()));
        let is = |kind: &str, object: &Value| object.get(kind).is_some();
        let mut without_rule = whole.clone();
        let objects = without_rule["nftables"].as_array_mut().unwrap();
        let last = objects.iter().rposition(|object| is("rule", object)).unwrap();
        objects.remove(last);
        let mut accepts = whole;
        let rule = accepts["nftables"]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .find(|object| is("rule", object))
            .unwrap();
        rule["rule"]["expr"][3] = json!({"accept": null});
        for altered in [without_rule, accepts, json!({}), json!({"nftables": []})] {
            assert_eq!(read(&altered), None);
        }
    }
}
