//! `show plugins`.

use catalyst_proto::admin::v1::Plugin;

use crate::answer::Answer;
use crate::client::Client;
use crate::failure::Outcome;
use crate::model;
use crate::output::{Format, Output};
use crate::table::{Fit, Table};
use crate::text::{clean, columns, wrap};

pub(crate) async fn show(client: &mut Client, out: &mut Output) -> Outcome {
    let plugins = client.plugins().await?;
    if out.format == Format::Json {
        return out.json(&plugins.into_iter().map(model::Plugin::from).collect::<Vec<_>>());
    }
    if plugins.is_empty() {
        return out.line("no plugins");
    }
    render(&plugins).iter().try_for_each(|line| out.line(line))
}

fn render(plugins: &[Plugin]) -> Vec<String> {
    let headings = ["NAME", "STATE", "VERSION", "PROGRAMMED", "PENDING", "REJECTED"];
    let mut table = Table::new(&headings.map(|heading| (heading, Fit::Whole)));
    for plugin in plugins {
        table.row([
            plugin.name.clone(),
            if plugin.connected { "connected" } else { "not connected" }.to_owned(),
            version(plugin),
            plugin.programmed.to_string(),
            plugin.pending.to_string(),
            plugin.rejected_count.to_string(),
        ]);
    }
    let mut lines = table.lines();
    for plugin in plugins {
        let refused = plugin.refused.iter().map(|it| (&*it.resource, &*it.reason));
        lines.extend(causes(&format!("not taken by {}:", plugin.name), refused));
        let rejected = plugin.rejected.iter().map(|it| (&*it.name, &*it.reason));
        lines.extend(causes(&format!("rejected by {}:", plugin.name), rejected));
    }
    lines
}

fn version(plugin: &Plugin) -> String {
    if plugin.version == plugin.latest {
        plugin.version.to_string()
    } else {
        format!("{} of {}", plugin.version, plugin.latest)
    }
}

/// What was refused, and why; nothing where nothing was.
fn causes<'a>(heading: &str, causes: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let mut answer = Answer::default();
    for (name, reason) in causes {
        if answer.lines.is_empty() {
            answer.lines.push(String::new());
            answer.heading(heading);
        }
        answer.lines.extend(indented(name, 2));
        answer.lines.extend(indented(reason, 4));
    }
    answer.lines
}

fn indented(text: &str, margin: usize) -> impl Iterator<Item = String> + use<> {
    let margin = " ".repeat(margin);
    wrap(&clean(text), columns() - margin.len())
        .into_iter()
        .map(move |line| format!("{margin}{line}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{WIDTH, width};
    use catalyst_proto::admin::v1::{RefusedResource, RejectedName};

    #[test]
    fn rejections_are_told_in_full_below_the_table() {
        let name = format!("{}.acme", "x".repeat(248));
        let reason = "Proto constraint validation failed ".repeat(10);
        let envoy = Plugin {
            name: "envoy".to_owned(),
            connected: true,
            version: 7,
            latest: 9,
            programmed: 3,
            pending: 1,
            rejected: vec![RejectedName { name, reason }],
            rejected_count: 101,
            refused: vec![RefusedResource {
                resource: "listener ingress".to_owned(),
                reason: "Address already in use".to_owned(),
            }],
        };
        let graphql = Plugin {
            name: "graphql".to_owned(),
            version: 9,
            latest: 9,
            ..Plugin::default()
        };
        let lines = render(&[envoy, graphql]);
        assert!(lines.iter().all(|line| width(line) <= WIDTH), "{lines:#?}");
        let head = "\
NAME     STATE          VERSION  PROGRAMMED  PENDING  REJECTED
envoy    connected      7 of 9   3           1        101
graphql  not connected  9        0           0        0

not taken by envoy:
  listener ingress
    Address already in use

rejected by envoy:
  xxx";
        assert!(lines.join("\n").starts_with(head), "{}", lines.join("\n"));
        assert_eq!(lines.join(" ").matches("validation").count(), 10);
    }
}
