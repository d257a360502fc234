//! Operators' acts on sessions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Phase, Speaker};
use crate::operate::{ActError, Operation, PeerAct};
use crate::session::SessionEvent;
use crate::wire::Notification;
use crate::wire::subcode::cease;

impl Speaker {
    /// Whether an operation has a place now, and why not.
    ///
    /// # Errors
    /// Why not.
    pub fn may_operate(&self, operation: &Operation) -> Result<(), ActError> {
        let place = self.peers.find(&operation.peer).ok_or(ActError::Unknown)?;
        if self.phase == Phase::Stopped {
            return Err(ActError::Stopped);
        }
        let peer = &self.peers[place];
        let disabled = peer.disabled.is_some();
        match &operation.act {
            PeerAct::Disable { .. } | PeerAct::Enable => Ok(()),
            PeerAct::Reset { .. } | PeerAct::Refresh if disabled => Err(ActError::Disabled),
            PeerAct::Reset { .. } => Ok(()),
            PeerAct::Refresh => match &peer.up {
                None => Err(ActError::NotEstablished),
                Some(up) if !up.takes_refresh() => Err(ActError::NoRefresh),
                Some(_) => Ok(()),
            },
        }
    }

    pub(super) fn on_operation(&mut self, operation: Operation, now: Instant) {
        if self.may_operate(&operation).is_err() {
            return;
        }
        let Some(index) = self.peers.find(&operation.peer) else {
            return;
        };
        match operation.act {
            PeerAct::Disable { message } => self.disable(index, message, now),
            PeerAct::Enable => {
                self.peers[index].disabled = None;
                self.session(index, SessionEvent::Start, now);
            }
            PeerAct::Reset { message, hard } => self.reset_session(index, &message, hard, now),
            PeerAct::Refresh => self.ask_again(index, now),
        }
    }

    fn disable(&mut self, index: usize, message: Arc<str>, now: Instant) {
        let goodbye = Notification::cease(cease::ADMINISTRATIVE_SHUTDOWN, &message);
        self.session(index, SessionEvent::Stop(goodbye), now);
        self.peers[index].disabled = Some(message);
        // Without a session, too: it may have left stale ones.
        self.drop_routes(index);
    }

    fn reset_session(&mut self, index: usize, message: &str, hard: bool, now: Instant) {
        let event = SessionEvent::Reset {
            notification: Notification::cease(cease::ADMINISTRATIVE_RESET, message),
            hard,
            idle: Duration::ZERO,
        };
        self.session(index, event, now);
        if hard {
            self.drop_routes(index);
        }
    }
}
