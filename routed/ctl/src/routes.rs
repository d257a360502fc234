//! `show routes` and `show route`.

use std::net::SocketAddr;

use catalyst_proto::admin::v1::Route;

use crate::answer::Answer;
use crate::args::Family;
use crate::client::Client;
use crate::failure::Outcome;
use crate::model;
use crate::output::{Format, Output};
use crate::table::{Fit, Table};
use crate::text::{count, duration};

const LEGEND: &str = "> in use   * best of its table";

pub(crate) async fn show_all(
    selected_only: bool,
    family: Option<Family>,
    client: &mut Client,
    out: &mut Output,
) -> Outcome {
    let mut stream = client.routes(selected_only, family.map_or("", Family::as_str)).await?;
    let mut routes = Vec::new();
    while let Some(route) = client.next(&mut stream).await? {
        routes.push(route);
    }
    if out.format == Format::Json {
        return out.json(&routes.into_iter().map(model::Route::from).collect::<Vec<_>>());
    }
    if routes.is_empty() {
        return out.line("no routes");
    }
    render(&routes).iter().try_for_each(|line| out.line(line))
}

pub(crate) async fn show_one(name: String, client: &mut Client, out: &mut Output) -> Outcome {
    let paths = client.route(name).await?;
    if out.format == Format::Json {
        return out.json(&paths.into_iter().map(model::Route::from).collect::<Vec<_>>());
    }
    describe(&paths).iter().try_for_each(|line| out.line(line))
}

/// The table of `show routes`.
fn render(routes: &[Route]) -> Vec<String> {
    let mut table = Table::new(&[
        ("", Fit::Whole),
        ("NAME", Fit::Middle(24)),
        ("PROTOCOL", Fit::Whole),
        ("FROM", Fit::Middle(8)),
        ("NEXT HOP", Fit::Middle(15)),
        ("AS PATH", Fit::Middle(7)),
        ("STATUS", Fit::Wrap(20)),
    ]);
    for route in routes {
        table.row([
            mark(route),
            route.name.clone(),
            or(&route.protocol, &route.family).to_owned(),
            or(&route.learned_from, "local").to_owned(),
            or(&next_hop(route), "-").to_owned(),
            or(&as_path(route), "-").to_owned(),
            status(route),
        ]);
    }
    let mut lines = table.lines();
    lines.push(LEGEND.to_owned());
    lines
}

/// `>` in use, `*` best of its table.
pub(crate) fn mark(route: &Route) -> String {
    let selected = if route.selected { '>' } else { ' ' };
    let best = if route.best { '*' } else { ' ' };
    format!("{selected}{best}")
}

/// How the data planes stand, or why the path is not in use.
pub(crate) fn status(route: &Route) -> String {
    let mut parts: Vec<String> = Vec::new();
    if route.draining && !route.reason.contains("draining") {
        parts.push("draining".to_owned());
    }
    if route.stale {
        parts.push("stale".to_owned());
    }
    parts.extend(planes(route));
    parts.extend(Some(reason(route)).filter(|reason| !reason.is_empty()));
    parts.join("; ")
}

/// The reason, without the words of a data plane that stand beside it already.
fn reason(route: &Route) -> String {
    let refusals = route
        .data_planes
        .values()
        .filter_map(|status| status.strip_prefix("rejected: "));
    let said = refusals.filter_map(|why| route.reason.strip_suffix(why)?.strip_suffix(": "));
    said.min_by_key(|rest| rest.len()).unwrap_or(&route.reason).to_owned()
}

/// "programmed" if all planes agree on it, else each plane by name; trouble first.
fn planes(route: &Route) -> Vec<String> {
    if !route.data_planes.is_empty() && route.data_planes.values().all(|status| status == "programmed") {
        return vec!["programmed".to_owned()];
    }
    let mut planes: Vec<(&String, &String)> = route.data_planes.iter().collect();
    planes.sort_by_key(|(plane, status)| (*status == "programmed", !status.starts_with("rejected"), *plane));
    planes
        .into_iter()
        .map(|(plane, status)| format!("{plane} {status}"))
        .collect()
}

/// Without its port where it is a node without one: that of a prefix, or one without Envoy.
fn next_hop(route: &Route) -> String {
    match route.next_hop.parse::<SocketAddr>() {
        Ok(address) if address.port() == 0 => address.ip().to_string(),
        Ok(_) | Err(_) => route.next_hop.clone(),
    }
}

pub(crate) fn as_path(route: &Route) -> String {
    route.as_path.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
}

pub(crate) fn or<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}

/// The answer of `show route`.
fn describe(paths: &[Route]) -> Vec<String> {
    let mut answer = Answer::default();
    let name = paths.first().map(|path| path.name.as_str()).unwrap_or_default();
    answer.heading(&format!("{name}: {}", count(paths.len() as u64, "path")));
    for path in paths {
        answer.lines.push(String::new());
        describe_path(path, &path.reason, &mut answer);
    }
    answer.lines
}

/// Everything about a path; `reason` says what decided over it.
pub(crate) fn describe_path(path: &Route, reason: &str, answer: &mut Answer) {
    let from = or(&path.learned_from, "this node");
    let state = match (path.selected, path.best) {
        (true, _) => "in use",
        (false, true) => "best of its table, not in use",
        (false, false) => "not in use",
    };
    answer.heading(format!("{} from {from}: {state}", mark(path)).trim_start());
    answer.property("status", &status_in_full(path));
    answer.property("reason", reason);
    answer.property("protocol", &path.protocol);
    answer.property("GraphQL path", &path.path);
    answer.property(
        "endpoints",
        &path
            .endpoints
            .iter()
            .map(|e| endpoint(e))
            .collect::<Vec<_>>()
            .join(", "),
    );
    answer.property("offered by", &path.offered_by);
    answer.property("dial here", &path.local_address);
    answer.property("next hop", &next_hop(path));
    answer.property("table", &path.table);
    answer.property(
        "origin",
        &format!("{}/{} of {}", path.origin_as, path.origin_node, path.origin_org),
    );
    answer.property("AS path", or(&as_path(path), "(none: from this AS)"));
    answer.property("local pref", &path.local_pref.to_string());
    answer.property("MED", &path.med.map(|med| med.to_string()).unwrap_or_default());
    answer.property("communities", &communities(path));
    if !path.protocol.is_empty() {
        answer.property("weight", &path.weight.to_string());
    }
    answer.property("age", &duration(path.age_s));
}

/// Numbers, each with its name where the configuration has one.
fn communities(path: &Route) -> String {
    let named = |number: &String| match path.community_names.get(number) {
        Some(name) => format!("{number} ({name})"),
        None => number.clone(),
    };
    path.communities.iter().map(named).collect::<Vec<_>>().join(" ")
}

fn status_in_full(path: &Route) -> String {
    let flags = [(path.draining, "draining"), (path.stale, "stale")];
    let mut parts: Vec<String> = flags
        .iter()
        .filter(|(on, _)| *on)
        .map(|(_, text)| (*text).to_owned())
        .collect();
    let mut planes: Vec<_> = path.data_planes.iter().collect();
    planes.sort();
    parts.extend(planes.into_iter().map(|(plane, status)| format!("{plane} {status}")));
    parts.join("; ")
}

/// The message says "url weight".
fn endpoint(text: &str) -> String {
    match text.rsplit_once(' ') {
        Some((url, "1")) => url.to_owned(),
        Some((url, weight)) => format!("{url} (weight {weight})"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
