//! Which crate may depend on which (ARCHITECTURE.md, "Arrows"). An arrow that is not listed here is refused.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::workspace;

/// (crate, the crates of this repository that it may depend on outside its tests).
const ALLOWED: [(&str, &[&str]); 15] = [
    ("catalyst-core", &[]),
    ("catalyst-sim", &["catalyst-core"]),
    ("catalyst-proto", &[]),
    ("catalyst-compose", &[]),
    ("catalyst-examples", &["catalyst-external"]),
    ("catalyst-plugin", &["catalyst-core"]),
    ("catalyst-envoy", &["catalyst-plugin", "catalyst-proto"]),
    ("catalyst-graphql", &["catalyst-plugin", "catalyst-proto"]),
    ("catalyst-external", &["catalyst-plugin", "catalyst-proto"]),
    ("catalyst-wireguard", &["catalyst-plugin"]),
    ("catalyst-gateway", &["catalyst-compose", "catalyst-proto"]),
    (
        "catalyst-routed",
        &[
            "catalyst-core",
            "catalyst-proto",
            "catalyst-plugin",
            "catalyst-envoy",
            "catalyst-graphql",
            "catalyst-external",
            "catalyst-wireguard",
        ],
    ),
    ("catalystctl", &["catalyst-proto"]),
    // Its hostile peers speak the protocol of the core.
    ("catalyst-netns-tests", &["catalyst-core", "catalyst-examples"]),
    // The benchmark speaks the protocol of the core.
    ("xtask", &["catalyst-core"]),
];

/// (crate, a crate that nothing below it may be): the core has no runtime, no socket and no clock of its own.
const BANNED_BELOW: [(&str, &str); 4] = [
    ("catalyst-core", "tokio"),
    ("catalyst-core", "mio"),
    ("catalyst-core", "socket2"),
    ("catalyst-compose", "tokio"),
];

/// (crate of somebody else, the only crate of ours that may use it directly).
const ONLY_USER: [(&str, &str); 3] = [
    ("envoy-types", "catalyst-envoy"),
    ("hive-router", "catalyst-gateway"),
    ("netlink-packet-wireguard", "catalyst-wireguard"),
];

/// Every arrow of both workspaces that is not allowed, one line each.
///
/// # Errors
/// cargo metadata fails.
pub(crate) fn violations(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for folder in workspace::all(root) {
        let graph = Graph::read(&workspace::metadata(&folder, true)?)?;
        found.extend(graph.violations());
    }
    found.extend(plugin_api_violations(root)?);
    Ok(found)
}

/// The packages of one workspace and what they depend on outside their tests.
#[derive(Default)]
struct Graph {
    members: BTreeSet<String>,
    /// Package to the packages it depends on, by name.
    uses: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    fn read(metadata: &Value) -> anyhow::Result<Self> {
        let names = package_names(metadata)?;
        let name_of = |id: &Value| {
            id.as_str()
                .and_then(|id| names.get(id))
                .cloned()
                .context("an unknown package id")
        };
        let members = array(&metadata["workspace_members"])?
            .iter()
            .map(name_of)
            .collect::<anyhow::Result<_>>()?;
        let mut graph = Self {
            members,
            ..Self::default()
        };
        for node in array(&metadata["resolve"]["nodes"])? {
            let used = graph.uses.entry(name_of(&node["id"])?).or_default();
            for dependency in array(&node["deps"])?
                .iter()
                .filter(|dependency| outside_tests(dependency))
            {
                used.insert(name_of(&dependency["pkg"])?);
            }
        }
        Ok(graph)
    }

    fn violations(&self) -> Vec<String> {
        let members = self.members.iter().flat_map(|member| self.member_violations(member));
        let below = BANNED_BELOW
            .iter()
            .filter(|(above, below)| self.members.contains(*above) && self.reaches(above, below))
            .map(|(above, below)| format!("{above} must not depend on {below}, not even through others"));
        members.chain(below).collect()
    }

    fn member_violations(&self, member: &str) -> Vec<String> {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == member) else {
            return vec![format!(
                "{member} is not in ALLOWED of xtask/src/arrows.rs: say there what it may depend on"
            )];
        };
        let mut found = Vec::new();
        for used in self.uses.get(member).into_iter().flatten() {
            let ours = ALLOWED.iter().any(|(name, _)| name == used);
            if ours && !allowed.contains(&used.as_str()) {
                found.push(format!("{member} must not depend on {used}"));
            }
            if let Some((_, only)) = ONLY_USER
                .iter()
                .find(|(theirs, only)| theirs == used && *only != member)
            {
                found.push(format!("{member} must not use {used}: only {only} does"));
            }
        }
        found
    }

    fn reaches(&self, from: &str, to: &str) -> bool {
        let mut seen = BTreeSet::from([from]);
        let mut queue = VecDeque::from([from]);
        while let Some(package) = queue.pop_front() {
            for next in self.uses.get(package).into_iter().flatten() {
                if next == to {
                    return true;
                }
                if seen.insert(next) {
                    queue.push_back(next);
                }
            }
        }
        false
    }
}

fn package_names(metadata: &Value) -> anyhow::Result<BTreeMap<String, String>> {
    let mut names = BTreeMap::new();
    for package in array(&metadata["packages"])? {
        let text = |key: &str| {
            package[key]
                .as_str()
                .map(str::to_owned)
                .context("a package without id or name")
        };
        names.insert(text("id")?, text("name")?);
    }
    Ok(names)
}

fn array(value: &Value) -> anyhow::Result<&Vec<Value>> {
    value
        .as_array()
        .context("cargo metadata has another shape than expected")
}

/// Whether this edge exists for more than tests and build scripts.
fn outside_tests(dependency: &Value) -> bool {
    dependency["dep_kinds"]
        .as_array()
        .is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
}

/// plugins/api may name `catalyst_core::route` only: what a data plane sees of the core.
fn plugin_api_violations(root: &Path) -> anyhow::Result<Vec<String>> {
    let folder = root.join("plugins/api/src");
    let mut files = vec![folder];
    let mut found = Vec::new();
    while let Some(path) = files.pop() {
        if path.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                files.push(entry?.path());
            }
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        if other_module_of_core(&text) {
            let file = path.strip_prefix(root).unwrap_or(&path).display();
            found.push(format!(
                "{file} must use nothing of catalyst_core but catalyst_core::route"
            ));
        }
    }
    Ok(found)
}

fn other_module_of_core(text: &str) -> bool {
    let mut uses = text.split("catalyst_core::").skip(1);
    uses.any(|rest| !rest.starts_with("route::") && !rest.starts_with("route;"))
}

/// # Errors
/// Lists every arrow that is not allowed.
pub(crate) fn check(root: &Path) -> anyhow::Result<()> {
    let found = violations(root)?;
    if !found.is_empty() {
        bail!("arrows between crates:\n  {}", found.join("\n  "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(members: &[&str], uses: &[(&str, &[&str])]) -> Graph {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Graph {
            members: set(members),
            uses: uses.iter().map(|(from, to)| ((*from).to_owned(), set(to))).collect(),
        }
    }

    #[test]
    fn this_repository_keeps_its_arrows() {
        let root = workspace::root().expect("root");
        assert_eq!(violations(&root).expect("cargo metadata"), Vec::<String>::new());
    }

    #[test]
    fn a_forbidden_arrow_is_found() {
        let bad = graph(&["catalystctl"], &[("catalystctl", &["catalyst-core", "serde"])]);
        assert_eq!(bad.violations(), ["catalystctl must not depend on catalyst-core"]);
    }

    #[test]
    fn a_new_crate_has_to_say_what_it_may_use() {
        assert!(graph(&["newcomer"], &[]).violations()[0].starts_with("newcomer is not in ALLOWED"));
    }

    #[test]
    fn a_runtime_below_the_core_is_found_through_others() {
        let bad = graph(
            &["catalyst-core"],
            &[("catalyst-core", &["bytes"]), ("bytes", &["tokio"])],
        );
        assert_eq!(
            bad.violations(),
            ["catalyst-core must not depend on tokio, not even through others"]
        );
    }

    #[test]
    fn envoy_types_stays_in_its_plugin() {
        let bad = graph(&["catalyst-routed"], &[("catalyst-routed", &["envoy-types"])]);
        assert_eq!(
            bad.violations(),
            ["catalyst-routed must not use envoy-types: only catalyst-envoy does"]
        );
    }

    #[test]
    fn plugins_see_routes_alone() {
        assert!(!other_module_of_core(
            "pub use catalyst_core::route::{Route};\nuse catalyst_core::route;"
        ));
        assert!(other_module_of_core("use catalyst_core::speaker::Speaker;"));
        assert!(other_module_of_core("use catalyst_core::{route, event};"));
    }
}
