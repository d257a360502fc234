//! What the log says of sessions: each thing once, until something else happens.

use std::collections::HashMap;
use std::sync::Arc;

use catalyst_core::event::PeerName;

/// Remembers the last trouble of each peer: one that is dialled again and again for the same nothing is told once.
#[derive(Debug, Default)]
pub(super) struct Sayings(HashMap<PeerName, Arc<str>>);

impl Sayings {
    pub(super) fn session_up(&mut self, peer: &PeerName) {
        tracing::info!(%peer, "session established");
        self.0.remove(peer);
    }

    pub(super) fn session_down(&mut self, peer: &PeerName, was_up: bool, reason: &Arc<str>) {
        if was_up {
            tracing::info!(%peer, %reason, "session down");
            self.0.remove(peer);
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

    /// Whether the peer's trouble is another one than the last time.
    fn is_news(&mut self, peer: &PeerName, trouble: &Arc<str>) -> bool {
        self.0.insert(peer.clone(), Arc::clone(trouble)).as_ref() != Some(trouble)
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
}
