//! `show policies` and `show policy`.

use catalyst_proto::admin::v1::{GetPolicyResponse, Policy, PolicyUse};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::client::Client;
use crate::failure::{Failure, Outcome};
use crate::output::{Format, Output};
use crate::table::{Fit, Table};
use crate::text::count;

/// What stands where no statement decides.
const OTHERWISE: &str = "accept inside our organisation, reject from and to others (RFC 8212)";

pub(crate) async fn show_all(client: &mut Client, out: &mut Output) -> Outcome {
    let policies = client.policies().await?;
    if out.format == Format::Json {
        return out.json(&policies.into_iter().map(Row::from).collect::<Vec<_>>());
    }
    if policies.is_empty() {
        return out.line("no policies");
    }
    render(&policies).iter().try_for_each(|line| out.line(line))
}

pub(crate) async fn show_one(name: String, client: &mut Client, out: &mut Output) -> Outcome {
    let GetPolicyResponse { policy, json } = client.policy(name).await?;
    let section: Value = serde_json::from_str(&json).map_err(|e| Failure::refused(e.to_string()))?;
    let policy = policy.unwrap_or_default();
    if out.format == Format::Json {
        return out.json(&whole(policy, section));
    }
    describe(&policy, &section).iter().try_for_each(|line| out.line(line))
}

/// What `--output json` prints of a policy.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    built_in: bool,
    statements: u32,
    tests: u32,
    used_by: Vec<Use>,
}

#[derive(Debug, Serialize)]
struct Use {
    peer: String,
    direction: String,
}

impl From<Policy> for Row {
    fn from(policy: Policy) -> Self {
        let used_by = policy.used_by.into_iter();
        Self {
            name: policy.name,
            built_in: policy.built_in,
            statements: policy.statements,
            tests: policy.tests,
            used_by: used_by
                .map(|PolicyUse { peer, direction }| Use { peer, direction })
                .collect(),
        }
    }
}

/// The counts give way to the policy as the configuration has it.
fn whole(policy: Policy, mut section: Value) -> Value {
    let row = Row::from(policy);
    let statements = section["statements"].take();
    let tests = section.get_mut("tests").map_or(json!([]), Value::take);
    json!({
        "name": row.name, "built_in": row.built_in, "used_by": row.used_by, "statements": statements, "tests": tests
    })
}

fn render(policies: &[Policy]) -> Vec<String> {
    let mut table = Table::new(&[
        ("NAME", Fit::Middle(16)),
        ("STATEMENTS", Fit::Whole),
        ("TESTS", Fit::Whole),
        ("IMPORT OF", Fit::Wrap(16)),
        ("EXPORT TO", Fit::Wrap(16)),
    ]);
    for policy in policies {
        let name = if policy.built_in {
            format!("{} (built in)", policy.name)
        } else {
            policy.name.clone()
        };
        table.row([
            name,
            policy.statements.to_string(),
            policy.tests.to_string(),
            peers(policy, "import", "-"),
            peers(policy, "export", "-"),
        ]);
    }
    table.lines()
}

/// The peers that have the policy in a direction.
fn peers(policy: &Policy, direction: &str, none: &str) -> String {
    let uses = policy.used_by.iter().filter(|used| used.direction == direction);
    let peers: Vec<&str> = uses.map(|used| used.peer.as_str()).collect();
    if peers.is_empty() {
        none.to_owned()
    } else {
        peers.join(", ")
    }
}

fn describe(policy: &Policy, section: &Value) -> Vec<String> {
    let mut answer = Answer::default();
    let counts = [
        count(policy.statements.into(), "statement"),
        count(policy.tests.into(), "test"),
    ];
    answer.heading(&format!("{}: {}", policy.name, counts.join(", ")));
    answer.property("import of", &peers(policy, "import", "(no peer)"));
    answer.property("export to", &peers(policy, "export", "(no peer)"));
    let statements = section["statements"].as_array().into_iter().flatten();
    for (index, statement) in statements.enumerate() {
        answer.lines.push(String::new());
        answer.heading(&name_of(statement, index));
        let conditions = conditions(&statement["match"]);
        if conditions.is_empty() {
            answer.property("if", "always");
        }
        for (index, condition) in conditions.iter().enumerate() {
            answer.property(if index == 0 { "if" } else { "and" }, condition);
        }
        answer.property("then", &actions(&statement["then"]));
    }
    answer.lines.push(String::new());
    answer.heading("otherwise");
    answer.property("then", OTHERWISE);
    answer.lines
}

fn name_of(statement: &Value, index: usize) -> String {
    match statement["name"].as_str() {
        Some(name) => name.to_owned(),
        None => format!("#{}", index + 1),
    }
}

/// One line per key of a `match`.
pub(crate) fn conditions(keys: &Value) -> Vec<String> {
    let keys = keys.as_object().into_iter().flatten();
    let condition = |(key, value): (&String, &Value)| match value.as_object() {
        Some(inner) => not(inner),
        None => format!("{} {}", words(key), values(value, " or ")),
    };
    keys.map(condition).collect()
}

fn not(inner: &Map<String, Value>) -> String {
    let all = conditions(&Value::Object(inner.clone())).join(" and ");
    if inner.len() == 1 {
        format!("not {all}")
    } else {
        format!("not ({all})")
    }
}

/// What a `then` does, the verdict last.
pub(crate) fn actions(then: &Value) -> String {
    let Some(changes) = then.as_object() else {
        return plain(then);
    };
    let changed = changes.iter().filter(|(key, _)| *key != "verdict");
    let mut parts: Vec<String> = changed.map(|(key, value)| change(key, value)).collect();
    parts.push(plain(&changes["verdict"]));
    parts.join(", ")
}

fn change(key: &str, value: &Value) -> String {
    match (key, value) {
        ("remove_med", _) => "take MED off".to_owned(),
        ("prepend", _) => format!("prepend our AS {} more", count(value.as_u64().unwrap_or(0), "time")),
        _ => format!("{} {}", words(key), values(value, " ")),
    }
}

/// A key as people say it.
fn words(key: &str) -> String {
    match key {
        "as_path" => "AS path".to_owned(),
        "neighbour_as" => "neighbour AS".to_owned(),
        "set_med" => "set MED".to_owned(),
        other => other.replace('_', " "),
    }
}

fn values(value: &Value, between: &str) -> String {
    match value.as_array() {
        Some(list) => list.iter().map(plain).collect::<Vec<_>>().join(between),
        None => plain(value),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{WIDTH, width};

    fn policy() -> Policy {
        let used = |peer: &str, direction: &str| PolicyUse {
            peer: peer.to_owned(),
            direction: direction.to_owned(),
        };
        Policy {
            name: "partners".to_owned(),
            statements: 2,
            tests: 1,
            used_by: vec![used("b", "import"), used("c", "import"), used("c", "export")],
            ..Policy::default()
        }
    }

    #[test]
    fn a_small_table_reads_well() {
        let accept = Policy {
            name: "accept".to_owned(),
            built_in: true,
            statements: 1,
            ..Policy::default()
        };
        let table = render(&[accept, policy()]).join("\n");
        let expected = "\
NAME               STATEMENTS  TESTS  IMPORT OF  EXPORT TO
accept (built in)  1           0      -          -
partners           2           1      b, c       c";
        assert_eq!(table, expected, "\n{table}");
    }

    #[test]
    fn a_policy_reads_like_a_sentence() {
        let section = json!({ "statements": [
            {
                "name": "known",
                "match": { "name": ["@partners", "x.beta"], "as_path": "_1_", "not": { "peer": "b", "neighbour_as": [1, "@t"] } },
                "then": { "verdict": "next", "set_local_pref": 200, "add_communities": ["a", "1:1"], "remove_med": true, "prepend": 1 }
            },
            { "match": { "not": { "family": "ipv6" } }, "then": "accept" },
            { "then": "reject" }
        ] });
        let text = describe(&policy(), &section).join("\n");
        let expected = "\
partners: 2 statements, 1 test
  import of       b, c
  export to       c

known
  if              AS path _1_
  and             name @partners or x.beta
  and             not (neighbour AS 1 or @t and peer b)
  then            add communities a 1:1, prepend our AS 1 time more, take MED off, set local pref
                  200, next

#2
  if              not family ipv6
  then            accept

#3
  if              always
  then            reject

otherwise
  then            accept inside our organisation, reject from and to others (RFC 8212)";
        assert_eq!(text, expected, "\n{text}");
    }

    #[test]
    fn the_worst_case_fits_100_columns() {
        let worst = Policy {
            name: "n".repeat(63),
            used_by: (0..100)
                .flat_map(|n| ["import", "export"].map(|direction| (n, direction)))
                .map(|(n, direction)| PolicyUse {
                    peer: format!("{}{n}", "p".repeat(50)),
                    direction: direction.to_owned(),
                })
                .collect(),
            ..policy()
        };
        let long: Vec<String> = (0..100).map(|n| format!("n{n}.acme")).collect();
        let section = json!({ "statements": [{ "match": { "name": long }, "then": "accept" }] });
        for line in render(&[worst.clone(), policy()])
            .iter()
            .chain(&describe(&worst, &section))
        {
            assert!(width(line) <= WIDTH, "{} columns: {line}", width(line));
        }
    }
}
