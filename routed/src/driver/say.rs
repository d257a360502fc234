//! What the log says of sessions: each thing once, until something else happens.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use catalyst_core::event::PeerName;

/// Peers whose trouble is remembered: dynamic ones come and go, and each may leave some.
const REMEMBERED: usize = 20_000;
/// So many refused callers are told of one by one in so long; whoever floods must not fill the log.
const REFUSED_TOLD: u32 = 10;
const REFUSED_IN: Duration = Duration::from_secs(10);

/// Remembers the last trouble of each peer: one that is dialled again and again for the same nothing is told once.
#[derive(Debug, Default)]
pub(super) struct Sayings {
    troubles: HashMap<PeerName, Arc<str>>,
    refused: Option<Refused>,
}

/// Refused callers since an instant.
#[derive(Debug)]
struct Refused {
    since: Instant,
    told: u32,
    untold: u64,
}

impl Sayings {
    pub(super) fn session_up(&mut self, peer: &PeerName) {
        tracing::info!(%peer, "session established");
        self.troubles.remove(peer);
    }

    pub(super) fn session_down(&mut self, peer: &PeerName, was_up: bool, reason: &Arc<str>) {
        if was_up {
            tracing::info!(%peer, %reason, "session down");
            self.troubles.remove(peer);
        } else if self.is_news(peer, reason) {
            tracing::warn!(%peer, %reason, "session refused; trying again, `catalystctl show peer` has the latest");
        } else {
            tracing::debug!(%peer, %reason, "session refused again");
        }
    }

    pub(super) fn connect_failed(&mut self, peer: &PeerName, error: &Arc<str>) {
        if self.is_news(peer, error) {
            tracing::info!(%peer, %error, "cannot connect; trying again");
        } else {
            tracing::debug!(%peer, %error, "cannot connect");
        }
    }

    /// A connection from nobody who may be a peer.
    pub(super) fn connection_refused(&mut self, remote: SocketAddr, reason: &str, now: Instant) {
        if self.refused.as_ref().is_some_and(|it| now >= it.since + REFUSED_IN)
            && let Some(Refused { untold: more @ 1.., .. }) = self.refused.take()
        {
            tracing::warn!(more, "connections refused beside those told");
        }
        let refused = self.refused.get_or_insert(Refused {
            since: now,
            told: 0,
            untold: 0,
        });
        if refused.told < REFUSED_TOLD {
            refused.told += 1;
            tracing::warn!(%remote, %reason, "connection refused");
        } else {
            refused.untold += 1;
            tracing::debug!(%remote, %reason, "connection refused");
        }
    }

    /// Whether the peer's trouble is another one than the last time.
    fn is_news(&mut self, peer: &PeerName, trouble: &Arc<str>) -> bool {
        if self.troubles.len() >= REMEMBERED {
            self.troubles.clear();
        }
        self.troubles.insert(peer.clone(), Arc::clone(trouble)).as_ref() != Some(trouble)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines from INFO up that `act` logs.
    fn logged(act: impl FnOnce()) -> Vec<String> {
        let captured = Captured::default();
        let writer = captured.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .finish();
        tracing::subscriber::with_default(subscriber, act);
        let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    #[test]
    fn a_refused_session_is_a_warning_that_says_who_and_why_once() {
        let refused: Arc<str> = "peer said: OPEN Message Error, Bad Peer AS: expected AS 1, got AS 2".into();
        let lines = logged(|| {
            let mut sayings = Sayings::default();
            for _ in 0..3 {
                sayings.session_down(&"b".into(), false, &refused);
            }
            sayings.session_down(&"c".into(), false, &refused);
            sayings.session_up(&"b".into());
            sayings.session_down(&"b".into(), true, &"stopped".into());
            sayings.session_down(&"b".into(), false, &refused);
        });
        assert_eq!(lines.len(), 5, "{lines:#?}");
        for (line, peer) in [(0, "b"), (1, "c"), (4, "b")] {
            let line = &lines[line];
            assert!(
                line.starts_with("WARN session refused") && line.contains(&format!("peer={peer} ")),
                "{line}"
            );
            assert!(line.contains(&*refused), "{line}");
        }
        assert!(lines[3].starts_with("INFO session down"), "{lines:#?}");
    }

    #[test]
    fn a_peer_that_is_not_there_is_told_once_per_reason() {
        let lines = logged(|| {
            let mut sayings = Sayings::default();
            for error in ["refused", "refused", "no answer", "no answer", "refused"] {
                sayings.connect_failed(&"b".into(), &error.into());
            }
        });
        assert_eq!(lines.len(), 3, "{lines:#?}");
        assert!(lines[0].starts_with("INFO cannot connect"), "{lines:#?}");
    }
    #[test]
    fn a_flood_of_refused_callers_is_counted_and_not_listed() {
        let remote = |n: u8| SocketAddr::from(([127, 0, 1, n], 4000));
        let now = Instant::now();
        let lines = logged(|| {
            let mut sayings = Sayings::default();
            for n in 0..200 {
                sayings.connection_refused(remote(n), "no OPEN", now + Duration::from_millis(u64::from(n)));
            }
            sayings.connection_refused(remote(201), "no OPEN", now + REFUSED_IN);
            sayings.connection_refused(remote(202), "no OPEN", now + 2 * REFUSED_IN);
        });
        assert_eq!(lines.len(), 13, "{lines:#?}");
        assert!(lines[9].contains("remote=127.0.1.9:4000 reason=no OPEN"), "{lines:#?}");
        assert!(lines[10].contains("more=190"), "{lines:#?}");
        assert!(
            lines[11].contains("127.0.1.201") && lines[12].contains("127.0.1.202"),
            "{lines:#?}"
        );
    }

    #[test]
    fn what_is_remembered_of_peers_is_bounded() {
        let mut sayings = Sayings::default();
        for n in 0..2 * REMEMBERED {
            sayings.connect_failed(&format!("edge-{n}").into(), &"refused".into());
        }
        assert!(sayings.troubles.len() <= REMEMBERED);
    }
}
