//! `watch routes`: the table as it is, then a line per change.

use catalyst_proto::admin::v1::route_event::Event;
use catalyst_proto::admin::v1::{NamePaths, Route};
use serde::Serialize;

use crate::client::Client;
use crate::failure::{Failure, Outcome};
use crate::model;
use crate::output::{Format, Output};
use crate::routes::{mark, or, status};
use crate::text::{clean, columns, elide_middle, width, wrap_within};

/// Columns of a name and of a peer on a terminal: they do not move while lines come in one by one.
const NAME: usize = 36;
const FROM: usize = 12;
/// Lines of a status on a terminal.
const STATUS_LINES: usize = 3;

const STOPPED: &str = "the daemon has stopped or was restarted: what was watched is no longer told";

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
    while let Some(message) = ended(client.next(&mut stream).await)? {
        let Some(event) = message.event else { continue };
        match out.format {
            Format::Json => out.json_line(&Line::from(event))?,
            Format::Table => lines_of(event).iter().try_for_each(|line| out.line(line))?,
        }
        out.flush()?;
    }
    Err(Failure::Unreachable(STOPPED.to_owned()))
}

/// A stream that breaks off says in words of HTTP/2 that the daemon has gone.
fn ended<T>(next: Outcome<T>) -> Outcome<T> {
    next.map_err(|failure| match failure {
        Failure::Unreachable(_) => Failure::Unreachable(STOPPED.to_owned()),
        other @ (Failure::Refused(_) | Failure::Usage(_) | Failure::ReaderGone) => other,
    })
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

fn lines_of(event: Event) -> Vec<String> {
    match event {
        Event::Upsert(NamePaths { paths, .. }) => paths.iter().flat_map(|path| path_lines(path, columns())).collect(),
        Event::Remove(name) => vec![format!("-   {}", elide_middle(&clean(&name), columns() - 4))],
        Event::Synced(_) => vec!["--- that is the table; changes follow ---".to_owned()],
    }
}

/// A path in lines of at most `max` columns; only the status goes on below.
fn path_lines(route: &Route, max: usize) -> Vec<String> {
    let name = elide_middle(&clean(&route.name), NAME.max(max / 3));
    let from = elide_middle(&clean(or(&route.learned_from, "local")), FROM.max(max / 8));
    let before = format!(
        "{}  {name:NAME$}  {:12}  {from:FROM$}  ",
        mark(route),
        or(&route.protocol, &route.family)
    );
    let room = max.saturating_sub(width(&before));
    let status = wrap_within(&clean(&status(route)), room, STATUS_LINES);
    let margin = " ".repeat(width(&before));
    let lines = status.iter().enumerate();
    lines
        .map(|(at, line)| {
            format!("{}{line}", if at == 0 { &before } else { &margin })
                .trim_end()
                .to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::WIDTH;

    #[test]
    fn lines_keep_their_columns_and_the_width() {
        let route = Route {
            name: "x".repeat(253),
            protocol: "http:graphql".to_owned(),
            learned_from: "p".repeat(63),
            reason: "why ".repeat(200) + "because",
            ..Route::default()
        };
        let short = Route {
            name: "a".to_owned(),
            selected: true,
            protocol: "tcp".to_owned(),
            ..Route::default()
        };
        let lines = path_lines(&route, WIDTH);
        assert_eq!(lines.len(), 3, "{lines:#?}");
        assert!(lines.iter().all(|line| width(line) <= WIDTH), "{lines:#?}");
        assert!(
            lines[2].ends_with("why because") && lines[2].starts_with(&" ".repeat(70)),
            "{lines:#?}"
        );
        assert_eq!(
            path_lines(&short, WIDTH),
            [format!(">   {:36}  {:12}  local", "a", "tcp")]
        );
        let removed = lines_of(Event::Remove("x".repeat(253)));
        assert_eq!(width(&removed[0]), WIDTH);
        let whole = path_lines(&route, 10_000);
        assert!(
            whole.len() == 1 && whole[0].contains(&route.name) && whole[0].ends_with("because"),
            "{whole:#?}"
        );
    }

    #[test]
    fn programs_get_one_object_per_line() {
        let json = |event| serde_json::to_string(&Line::from(event)).unwrap();
        assert_eq!(json(Event::Synced(true)), r#"{"event":"synced"}"#);
        assert_eq!(json(Event::Remove("a".to_owned())), r#"{"event":"remove","name":"a"}"#);
    }
}
