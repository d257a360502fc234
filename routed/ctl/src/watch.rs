//! `watch routes`: the table as it is, then a line per change.

use catalyst_proto::admin::v1::route_event::Event;
use catalyst_proto::admin::v1::{NamePaths, Route};
use serde::Serialize;

use crate::client::Client;
use crate::failure::{Failure, Outcome};
use crate::model;
use crate::output::{Format, Output};
use crate::routes::{mark, or, status};
use crate::text::{WIDTH, clean, elide_end, elide_middle};

/// What `--output json` prints, one per line.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line {
    /// A name and all of its paths now.
    Upsert { name: String, paths: Vec<model::Route> },
    /// A name without paths.
    Remove { name: String },
    /// All that was there at the start has been printed.
    Synced,
}

pub(crate) async fn routes(client: &mut Client, out: &mut Output) -> Outcome {
    let mut stream = client.watch_routes().await?;
    while let Some(message) = client.next(&mut stream).await? {
        let Some(event) = message.event else { continue };
        match out.format {
            Format::Json => out.json_line(&Line::from(event))?,
            Format::Table => lines(event).iter().try_for_each(|line| out.line(line))?,
        }
        out.flush()?;
    }
    Err(Failure::Unreachable("the daemon has ended the watch".to_owned()))
}

impl From<Event> for Line {
    fn from(event: Event) -> Self {
        match event {
            Event::Upsert(NamePaths { name, paths }) => Self::Upsert {
                name,
                paths: paths.into_iter().map(model::Route::from).collect(),
            },
            Event::Remove(name) => Self::Remove { name },
            Event::Synced(_) => Self::Synced,
        }
    }
}

fn lines(event: Event) -> Vec<String> {
    match event {
        Event::Upsert(NamePaths { paths, .. }) => paths.iter().map(line).collect(),
        Event::Remove(name) => vec![format!("-   {}", elide_middle(&clean(&name), WIDTH - 4))],
        Event::Synced(_) => vec!["--- that is the table; changes follow ---".to_owned()],
    }
}

/// Columns do not move while lines come in one by one.
fn line(route: &Route) -> String {
    let name = elide_middle(&clean(&route.name), 36);
    let from = elide_middle(&clean(or(&route.learned_from, "local")), 12);
    let text = format!(
        "{}  {name:36}  {:12}  {from:12}  {}",
        mark(route),
        route.protocol,
        clean(&status(route))
    );
    elide_end(text.trim_end(), WIDTH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::width;

    #[test]
    fn lines_keep_their_columns_and_the_width() {
        let route = Route {
            name: "x".repeat(253),
            protocol: "http:graphql".to_owned(),
            learned_from: "p".repeat(63),
            reason: "r".repeat(200),
            ..Route::default()
        };
        let short = Route {
            name: "a".to_owned(),
            selected: true,
            protocol: "tcp".to_owned(),
            ..Route::default()
        };
        assert_eq!(width(&line(&route)), WIDTH);
        assert_eq!(line(&short), format!(">   {:36}  {:12}  local", "a", "tcp"));
        let removed = lines(Event::Remove("x".repeat(253)));
        assert_eq!(width(&removed[0]), WIDTH);
    }

    #[test]
    fn programs_get_one_object_per_line() {
        let json = |event| serde_json::to_string(&Line::from(event)).unwrap();
        assert_eq!(json(Event::Synced(true)), r#"{"event":"synced"}"#);
        assert_eq!(json(Event::Remove("a".to_owned())), r#"{"event":"remove","name":"a"}"#);
    }
}
