//! `Reload`: the difference and what came of it as messages.

use std::sync::Arc;
use std::time::Duration;

use catalyst_core::route::Destination;
use catalyst_core::view::{NameChanges, NameList, PeerAction};
use catalyst_proto::admin::v1 as proto;
use catalyst_proto::admin::v1::reload_event::Event;
use catalyst_proto::admin::v1::reload_result::Outcome as Said;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::reload::{Difference, OfferAction, Outcome, ReloadError, Reloader, Request};

/// The longest wait for a confirmation: a day.
const MAX_CONFIRM: Duration = Duration::from_secs(86_400);
/// The difference and the result.
const MESSAGES: usize = 2;

type Messages = ReceiverStream<Result<proto::ReloadEvent, Status>>;

/// Starts a reload that goes on to its end whether the caller stays or not.
pub(super) fn start(reloader: &Arc<Reloader>, request: &proto::ReloadRequest) -> Result<Messages, Status> {
    let request = read(request)?;
    let reloader = Arc::clone(reloader);
    let (out, stream) = mpsc::channel(MESSAGES);
    tokio::spawn(async move {
        let say = |event| {
            // The caller may have gone.
            drop(out.try_send(Ok(proto::ReloadEvent { event: Some(event) })));
        };
        let done = reloader.reload(request, |difference| say(Event::Difference(message(difference))));
        match done.await {
            Ok(outcome) => say(Event::Result(result(outcome))),
            Err(error) => drop(out.try_send(Err(refusal(&error)))),
        }
    });
    Ok(ReceiverStream::new(stream))
}

fn read(request: &proto::ReloadRequest) -> Result<Request, Status> {
    let confirm = Duration::from_millis(request.confirm_ms);
    if confirm > MAX_CONFIRM {
        return Err(Status::invalid_argument(format!(
            "confirm: at most {} s",
            MAX_CONFIRM.as_secs()
        )));
    }
    if request.undo && (request.partial || !confirm.is_zero()) {
        return Err(Status::invalid_argument(
            "undo goes back to what was in force, at once: neither partial nor confirm goes with it",
        ));
    }
    Ok(Request {
        dry_run: request.dry_run,
        partial: request.partial,
        confirm: Some(confirm).filter(|confirm| !confirm.is_zero()),
        undo: request.undo,
    })
}

pub(super) fn refusal(error: &ReloadError) -> Status {
    let text = error.to_string();
    match error {
        ReloadError::Bad(_) => Status::invalid_argument(text),
        ReloadError::Refused(_) => Status::failed_precondition(text),
        ReloadError::Gone(_) => Status::unavailable(text),
    }
}

/// A duration as messages carry it: at least 1 ms, since 0 stands for none.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

fn result(outcome: Outcome) -> proto::ReloadResult {
    let (said, reason, left) = match outcome {
        Outcome::Applied(confirm) => (Said::Applied, String::new(), confirm),
        Outcome::Unchanged => (Said::Unchanged, String::new(), None),
        Outcome::DryRun => (Said::DryRun, String::new(), None),
        Outcome::Refused(reason) => (Said::Refused, reason, None),
    };
    proto::ReloadResult {
        outcome: said.into(),
        reason,
        undone_in_ms: left.map_or(0, millis),
    }
}

fn message(difference: &Difference) -> proto::Difference {
    let json = |value: &Option<Value>| value.as_ref().map_or_else(String::new, Value::to_string);
    let keys = difference.keys.iter().map(|change| proto::KeyChange {
        key: change.path.to_string(),
        before: json(&change.before),
        after: json(&change.after),
        needs_restart: change.needs_restart,
    });
    let offers_of = |prefixes: bool| {
        let offers = difference.offers.0.iter();
        let of_kind = offers.filter(move |(destination, _)| destination.prefix().is_some() == prefixes);
        let change = |(destination, (action, _)): (&Destination, &(OfferAction, _))| proto::ServiceChange {
            name: destination.to_string(),
            action: action.as_str().to_owned(),
        };
        of_kind.map(change).collect()
    };
    proto::Difference {
        keys: keys.collect(),
        peers: peers(difference),
        services: offers_of(false),
        prefixes: offers_of(true),
        selected: Some(changes(&difference.routes.selected)),
        warnings: difference.warnings.iter().map(ToString::to_string).collect(),
    }
}

/// The peers whose configuration differs, then those that only see other routes.
fn peers(difference: &Difference) -> Vec<proto::PeerChange> {
    let mut routes = difference.routes.peers.clone();
    let mut messages: Vec<proto::PeerChange> = Vec::new();
    for peer in &difference.peers {
        let (import, export) = routes.remove(&peer.name).unwrap_or_default();
        messages.push(proto::PeerChange {
            name: peer.name.to_string(),
            action: action(peer.action).to_owned(),
            keys: peer.keys.iter().map(ToString::to_string).collect(),
            established: peer.established,
            import: Some(changes(&import)),
            export: Some(changes(&export)),
        });
    }
    messages.extend(routes.iter().map(|(name, (import, export))| proto::PeerChange {
        name: name.to_string(),
        action: "untouched".to_owned(),
        import: Some(changes(import)),
        export: Some(changes(export)),
        ..proto::PeerChange::default()
    }));
    messages
}

fn action(action: PeerAction) -> &'static str {
    match action {
        PeerAction::Add => "added",
        PeerAction::Remove => "removed",
        PeerAction::Reset => "reset",
        PeerAction::Keep => "changed",
    }
}

fn changes(changes: &NameChanges) -> proto::NameChanges {
    proto::NameChanges {
        gained: Some(names(&changes.gained)),
        lost: Some(names(&changes.lost)),
        changed: Some(names(&changes.changed)),
    }
}

fn names(names: &NameList) -> proto::NameList {
    proto::NameList {
        count: names.count,
        first: names.first.iter().map(ToString::to_string).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_go_together_is_refused() {
        let request = |confirm_ms, partial, undo| proto::ReloadRequest {
            confirm_ms,
            partial,
            undo,
            dry_run: false,
        };
        let good = [(0, false, true), (60_000, true, false), (86_400_000, false, false)];
        let bad = [(1, false, true), (0, true, true), (86_400_001, false, false)];
        for (confirm, partial, undo) in good {
            read(&request(confirm, partial, undo)).unwrap();
        }
        for (confirm, partial, undo) in bad {
            let refused = read(&request(confirm, partial, undo)).unwrap_err();
            assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        }
    }
}
