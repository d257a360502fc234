//! `show config`.

use catalyst_proto::admin::v1::GetConfigResponse;

use crate::client::Client;
use crate::failure::Outcome;
use crate::output::Output;
use crate::text::{count, duration};

/// Names that a note lists.
const SHOWN: usize = 5;

/// JSON in either format, which reads back as a configuration: what else there is to say goes to standard error.
pub(crate) async fn show(client: &mut Client, out: &mut Output) -> Outcome {
    let config = client.config().await?;
    for note in notes(&config) {
        eprintln!("catalystctl: {note}");
    }
    out.line(&config.json)
}

fn notes(config: &GetConfigResponse) -> Vec<String> {
    let left = duration(config.undone_in_ms.div_ceil(1000));
    let undone = format!("the last reload is undone in {left} unless `catalystctl confirm` follows");
    let undone = Some(undone).filter(|_| config.undone_in_ms > 0);
    let services = [
        ("`service add` offers", &config.added_services, ""),
        (
            "`service add` offers",
            &config.replaced_services,
            " in place of the configuration's",
        ),
        (
            "`service remove` has taken out",
            &config.removed_services,
            " until the next reload or restart",
        ),
    ];
    let told = services.into_iter().filter(|(_, names, _)| !names.is_empty());
    let told =
        told.map(|(did, names, how)| format!("{did} {}{how}: {}", count(names.len() as u64, "service"), listed(names)));
    undone.into_iter().chain(told).collect()
}

fn listed(names: &[String]) -> String {
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_the_file_is_told_in_a_line_each() {
        let names = |count: usize| (0..count).map(|at| format!("s{at}.acme")).collect::<Vec<_>>();
        let config = GetConfigResponse {
            json: "{}".to_owned(),
            undone_in_ms: 59_001,
            added_services: names(7),
            replaced_services: names(1),
            removed_services: Vec::new(),
        };
        assert_eq!(
            notes(&config),
            [
                "the last reload is undone in 1m00s unless `catalystctl confirm` follows",
                "`service add` offers 7 services: s0.acme, s1.acme, s2.acme, s3.acme, s4.acme and 2 more",
                "`service add` offers 1 service in place of the configuration's: s0.acme",
            ]
        );
        assert!(notes(&GetConfigResponse::default()).is_empty());
    }
}
