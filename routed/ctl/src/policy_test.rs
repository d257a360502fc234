//! `policy test`: what a policy makes of routes, statement by statement.

use std::io::Read;
use std::path::Path;

use catalyst_proto::admin::v1::test_policy_request::Routes;
use catalyst_proto::admin::v1::{ConditionTrace, PolicyTrace, RouteAttributes, StatementTrace, TestPolicyRequest};
use serde::Serialize;

use crate::answer::Answer;
use crate::args::{Direction, Expected, TestArgs};
use crate::client::Client;
use crate::failure::{Failure, Outcome};
use crate::output::{Format, Output};

/// The largest file of routes in bytes.
const MAX_FILE_BYTES: u64 = 4 << 20;

pub(crate) async fn run(args: TestArgs, client: &mut Client, out: &mut Output) -> Outcome {
    let expected = args.expect;
    let traces = client.test_policy(request(args)?).await?;
    if out.format == Format::Json {
        out.json(&traces.iter().map(Trace::from).collect::<Vec<_>>())?;
    } else {
        for (index, trace) in traces.iter().enumerate() {
            if index > 0 {
                out.line("")?;
            }
            describe(trace).iter().try_for_each(|line| out.line(line))?;
        }
    }
    let Some(expected) = expected else { return Ok(()) };
    let accept = expected == Expected::Accept;
    let other: Vec<&str> = traces
        .iter()
        .filter(|t| t.accepted != accept)
        .map(|t| t.route.as_str())
        .collect();
    if other.is_empty() {
        return Ok(());
    }
    out.flush()?;
    let not = if accept { "not accepted" } else { "not rejected" };
    Err(Failure::refused(format!("{not}: {}", other.join(", "))))
}

fn request(args: TestArgs) -> Outcome<TestPolicyRequest> {
    let routes = match (args.route, args.from_file) {
        (Some(name), _) => Routes::Live(name),
        (None, Some(file)) => Routes::Json(read(&file)?),
        (None, None) => return Err(Failure::Usage("give --route NAME or --from-file FILE".to_owned())),
    };
    let direction = match args.direction {
        Direction::Import => "import",
        Direction::Export => "export",
    };
    Ok(TestPolicyRequest {
        policy: args.name,
        direction: direction.to_owned(),
        peer: args.peer.unwrap_or_default(),
        routes: Some(routes),
    })
}

/// A file, or standard input for `-`.
fn read(file: &Path) -> Outcome<String> {
    let fail = |error: std::io::Error| Failure::refused(format!("{}: {error}", file.display()));
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().take(MAX_FILE_BYTES + 1).read_to_string(&mut text)
    } else {
        let open = std::fs::File::open(file).map_err(fail)?;
        open.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)
    };
    let bytes = read.map_err(fail)?;
    if bytes as u64 > MAX_FILE_BYTES {
        return Err(Failure::refused(format!(
            "{}: larger than {MAX_FILE_BYTES} bytes",
            file.display()
        )));
    }
    Ok(text)
}

fn describe(trace: &PolicyTrace) -> Vec<String> {
    let mut answer = Answer::default();
    let verdict = if trace.accepted { "accepted" } else { "rejected" };
    let by = match trace.decided_by.as_str() {
        "" => "by default: no statement decides".to_owned(),
        name => format!("by {name}"),
    };
    let peer = match trace.peer.as_str() {
        "" => "an outside peer".to_owned(),
        name => format!("peer {name}"),
    };
    answer.heading(&format!("{}, {peer}: {verdict} {by}", trace.route));
    for statement in &trace.statements {
        describe_statement(statement, &mut answer);
    }
    for change in changes(trace) {
        answer.property("result", &change);
    }
    answer.lines
}

fn describe_statement(statement: &StatementTrace, answer: &mut Answer) {
    let state = match (statement.reached, statement.applies) {
        (false, _) => "not reached",
        (true, true) => "applies",
        (true, false) => "does not apply",
    };
    answer.property("statement", &format!("{}: {state}", statement.name));
    for condition in &statement.conditions {
        let holds = if condition.holds { "  yes" } else { "  no" };
        answer.property(holds, &condition_text(condition));
    }
    if statement.applies {
        let mut then = statement.changes.clone();
        then.push(statement.verdict.clone());
        answer.property("  then", &then.join(", "));
    }
}

pub(crate) fn condition_text(condition: &ConditionTrace) -> String {
    if condition.key == "not" {
        let inner: Vec<String> = condition.inner.iter().map(inner_text).collect();
        return format!("not: {}", inner.join(" and "));
    }
    format!(
        "{} is {}, wanted {}",
        words(&condition.key),
        condition.found,
        condition.wanted
    )
}

fn inner_text(condition: &ConditionTrace) -> String {
    let holds = if condition.holds { "holds" } else { "does not hold" };
    format!("({} {holds})", condition_text(condition))
}

fn words(key: &str) -> String {
    match key {
        "as_path" => "AS path".to_owned(),
        "neighbour_as" => "neighbour AS".to_owned(),
        other => other.replace('_', " "),
    }
}

/// What is different afterwards.
fn changes(trace: &PolicyTrace) -> Vec<String> {
    let (before, after) = (
        trace.before.clone().unwrap_or_default(),
        trace.after.clone().unwrap_or_default(),
    );
    let number = |value: Option<u32>| value.map_or_else(|| "none".to_owned(), |value| value.to_string());
    let list = |communities: &[String]| {
        if communities.is_empty() {
            "none".to_owned()
        } else {
            communities.join(" ")
        }
    };
    let pairs = [
        ("local pref", number(before.local_pref), number(after.local_pref)),
        ("MED", number(before.med), number(after.med)),
        ("communities", list(&before.communities), list(&after.communities)),
    ];
    let changed = pairs.into_iter().filter(|(_, before, after)| before != after);
    changed
        .map(|(name, before, after)| format!("{name} {before} becomes {after}"))
        .collect()
}

/// What `--output json` prints of a trace.
#[derive(Debug, Serialize)]
pub(crate) struct Trace<'a> {
    policy: &'a str,
    route: &'a str,
    /// `null`: an outside peer that nothing is known of.
    peer: Option<&'a str>,
    verdict: &'static str,
    /// `null`: the default decided.
    decided_by: Option<&'a str>,
    statements: Vec<Statement<'a>>,
    before: Attributes<'a>,
    after: Attributes<'a>,
}

#[derive(Debug, Serialize)]
struct Statement<'a> {
    name: &'a str,
    reached: bool,
    applies: bool,
    conditions: Vec<Condition<'a>>,
    changes: &'a [String],
    verdict: &'a str,
}

#[derive(Debug, Serialize)]
struct Condition<'a> {
    key: &'a str,
    wanted: &'a str,
    found: &'a str,
    holds: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inner: Vec<Self>,
}

#[derive(Debug, Serialize, Default)]
pub(crate) struct Attributes<'a> {
    protocol: &'a str,
    origin_org: &'a str,
    as_path: &'a [u32],
    local_pref: Option<u32>,
    med: Option<u32>,
    communities: &'a [String],
}

fn given(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

impl<'a> From<&'a PolicyTrace> for Trace<'a> {
    fn from(trace: &'a PolicyTrace) -> Self {
        Self {
            policy: &trace.policy,
            route: &trace.route,
            peer: given(&trace.peer),
            verdict: if trace.accepted { "accept" } else { "reject" },
            decided_by: given(&trace.decided_by),
            statements: trace.statements.iter().map(Statement::from).collect(),
            before: trace.before.as_ref().map(Attributes::from).unwrap_or_default(),
            after: trace.after.as_ref().map(Attributes::from).unwrap_or_default(),
        }
    }
}

impl<'a> From<&'a StatementTrace> for Statement<'a> {
    fn from(trace: &'a StatementTrace) -> Self {
        Self {
            name: &trace.name,
            reached: trace.reached,
            applies: trace.applies,
            conditions: trace.conditions.iter().map(Condition::from).collect(),
            changes: &trace.changes,
            verdict: &trace.verdict,
        }
    }
}

impl<'a> From<&'a ConditionTrace> for Condition<'a> {
    fn from(trace: &'a ConditionTrace) -> Self {
        Self {
            key: &trace.key,
            wanted: &trace.wanted,
            found: &trace.found,
            holds: trace.holds,
            inner: trace.inner.iter().map(Self::from).collect(),
        }
    }
}

impl<'a> From<&'a RouteAttributes> for Attributes<'a> {
    fn from(attributes: &'a RouteAttributes) -> Self {
        Self {
            protocol: &attributes.protocol,
            origin_org: &attributes.origin_organisation,
            as_path: &attributes.as_path,
            local_pref: attributes.local_pref,
            med: attributes.med,
            communities: &attributes.communities,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{WIDTH, width};

    fn condition(key: &str, found: &str, wanted: &str, holds: bool) -> ConditionTrace {
        ConditionTrace {
            key: key.to_owned(),
            wanted: wanted.to_owned(),
            found: found.to_owned(),
            holds,
            inner: Vec::new(),
        }
    }

    fn trace() -> PolicyTrace {
        let not = ConditionTrace {
            inner: vec![condition("as_path", "65002", "_65009_", false)],
            ..condition("not", "", "", true)
        };
        let statements = vec![
            StatementTrace {
                name: "test-names".to_owned(),
                reached: true,
                conditions: vec![condition("name", "orders.beta", "*.test.beta", false)],
                verdict: "reject".to_owned(),
                ..StatementTrace::default()
            },
            StatementTrace {
                name: "known".to_owned(),
                reached: true,
                applies: true,
                conditions: vec![condition("name", "orders.beta", "*.beta", true), not],
                changes: vec!["local_pref 200".to_owned()],
                verdict: "accept".to_owned(),
            },
            StatementTrace {
                name: "#3".to_owned(),
                verdict: "accept".to_owned(),
                ..StatementTrace::default()
            },
        ];
        PolicyTrace {
            policy: "from-beta".to_owned(),
            route: "orders.beta".to_owned(),
            peer: "b".to_owned(),
            accepted: true,
            decided_by: "known".to_owned(),
            statements,
            before: Some(RouteAttributes::default()),
            after: Some(RouteAttributes {
                local_pref: Some(200),
                ..RouteAttributes::default()
            }),
        }
    }

    #[test]
    fn a_trace_tells_every_statement_and_why() {
        let text = describe(&trace()).join("\n");
        let expected = "\
orders.beta, peer b: accepted by known
  statement       test-names: does not apply
    no            name is orders.beta, wanted *.test.beta
  statement       known: applies
    yes           name is orders.beta, wanted *.beta
    yes           not: (AS path is 65002, wanted _65009_ does not hold)
    then          local_pref 200, accept
  statement       #3: not reached
  result          local pref none becomes 200";
        assert_eq!(text, expected, "\n{text}");
    }

    #[test]
    fn the_worst_case_fits_100_columns() {
        let mut worst = trace();
        worst.route = "r".repeat(253);
        worst.decided_by.clear();
        worst.peer = "p".repeat(63);
        worst.statements[0].name = "s".repeat(63);
        worst.statements[0].conditions[0].wanted = "w".repeat(1000);
        for line in describe(&worst) {
            assert!(width(&line) <= WIDTH, "{} columns: {line}", width(&line));
        }
    }
}
