//! `reach`: whether a name can be called, and if not, what is in the way.

use catalyst_proto::admin::v1::{ReachResponse, ReachStep};
use serde::Serialize;

use crate::answer::Answer;
use crate::client::Client;
use crate::failure::{Failure, Outcome};
use crate::output::{Format, Output};

/// What `--output json` prints.
#[derive(Debug, Serialize)]
struct Verdict<'a> {
    name: &'a str,
    /// `null`: clients of this node.
    from: Option<&'a str>,
    reachable: bool,
    /// The first step that failed.
    failed: Option<&'a str>,
    steps: Vec<Step<'a>>,
}

#[derive(Debug, Serialize)]
struct Step<'a> {
    step: &'a str,
    state: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    fix: &'a str,
}

pub(crate) async fn run(name: String, from: Option<String>, client: &mut Client, out: &mut Output) -> Outcome {
    let response = client.reach(name.clone(), from.clone().unwrap_or_default()).await?;
    if out.format == Format::Json {
        out.json(&verdict(&name, from.as_deref(), &response))?;
    } else {
        let lines = describe(&name, from.as_deref(), &response);
        lines.iter().try_for_each(|line| out.line(line))?;
    }
    if response.reachable {
        return Ok(());
    }
    out.flush()?;
    let step = failed(&response).map_or("?", |step| step.step.as_str());
    Err(Failure::refused(format!(
        "{name} cannot be reached: see {}",
        words(step)
    )))
}

fn failed(response: &ReachResponse) -> Option<&ReachStep> {
    response.steps.iter().find(|step| step.state == "failed")
}

fn verdict<'a>(name: &'a str, from: Option<&'a str>, response: &'a ReachResponse) -> Verdict<'a> {
    let steps = response.steps.iter().map(|step| Step {
        step: &step.step,
        state: &step.state,
        detail: &step.detail,
        fix: &step.fix,
    });
    Verdict {
        name,
        from,
        reachable: response.reachable,
        failed: failed(response).map(|step| step.step.as_str()),
        steps: steps.collect(),
    }
}

fn describe(name: &str, from: Option<&str>, response: &ReachResponse) -> Vec<String> {
    let mut answer = Answer::default();
    let from = from.map_or_else(|| "clients of this node".to_owned(), |peer| format!("peer {peer}"));
    let verdict = if response.reachable {
        "can be reached"
    } else {
        "cannot be reached"
    };
    answer.heading(&format!("{name} {verdict} by {from}"));
    for step in &response.steps {
        let mark = match step.state.as_str() {
            "ok" => "ok",
            "failed" => "FAILED",
            _ => "?",
        };
        answer.property(&words(&step.step), &format!("{mark}: {}", step.detail));
        answer.property("  to do", &step.fix);
    }
    answer.lines
}

fn words(step: &str) -> String {
    match step {
        "peer_import" => "their import".to_owned(),
        other => other.replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{WIDTH, width};

    fn step(step: &str, state: &str, detail: &str, fix: &str) -> ReachStep {
        ReachStep {
            step: step.to_owned(),
            state: state.to_owned(),
            detail: detail.to_owned(),
            fix: fix.to_owned(),
        }
    }

    fn response() -> ReachResponse {
        ReachResponse {
            reachable: false,
            steps: vec![
                step("route", "ok", "a service of this node", ""),
                step("export", "failed", "rejected by policy out", "change policies[\"out\"]"),
                step("request", "failed", "404: no route to a.acme", ""),
            ],
        }
    }

    #[test]
    fn the_first_step_that_fails_is_what_counts() {
        let text = describe("a.acme", Some("b"), &response()).join("\n");
        let expected = "\
a.acme cannot be reached by peer b
  route           ok: a service of this node
  export          FAILED: rejected by policy out
    to do         change policies[\"out\"]
  request         FAILED: 404: no route to a.acme";
        assert_eq!(text, expected, "\n{text}");
        let response = response();
        let json = serde_json::to_value(verdict("a.acme", None, &response)).unwrap();
        assert_eq!((&json["failed"], &json["reachable"]), (&"export".into(), &false.into()));
    }

    #[test]
    fn the_worst_case_fits_100_columns() {
        let long = "x".repeat(400);
        let worst = ReachResponse {
            steps: vec![step("programmed", "unknown", &long, &long)],
            ..response()
        };
        for line in describe(&"n".repeat(253), Some(&long), &worst) {
            assert!(width(&line) <= WIDTH, "{} columns: {line}", width(&line));
        }
    }
}
