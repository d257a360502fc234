//! The Speaker: owns sessions and RIBs, turns events into effects. STUB: signatures are the contract.

use std::time::Instant;

use crate::event::{Effect, Event, SpeakerConfig};
use crate::name::ServiceName;
use crate::route::RouteUpdate;
use crate::view::{PeerView, PlaneView, RouteView};

/// The routing state of one node. One task owns it.
#[derive(Debug)]
pub struct Speaker {
    _config: SpeakerConfig,
}

impl Speaker {
    /// A Speaker with every session in Idle. [`Speaker::start`] sets it going.
    #[must_use]
    pub fn new(config: SpeakerConfig, _now: Instant) -> Self {
        Self { _config: config }
    }
    /// Starts every session and emits the first `Routes(Reset)` if there are planes.
    pub fn start(&mut self, _now: Instant) {
        unimplemented!()
    }
    /// Takes one event in: RIBs in, dirty marks. Nothing is selected or sent before [`Speaker::flush`].
    pub fn handle(&mut self, _event: Event, _now: Instant) {
        unimplemented!()
    }
    /// Ends a batch: best path once per dirty name, export, packing. Call it after every event or batch of events.
    pub fn flush(&mut self, _now: Instant) {
        unimplemented!()
    }
    /// The effects since the last call, in order.
    pub fn drain_effects(&mut self) -> std::vec::Drain<'_, Effect> {
        unimplemented!()
    }
    /// When it wants [`Event::Timeout`]; changes with every `handle` and `flush`.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        unimplemented!()
    }
    /// The selected table now, for a data plane that asks for a Reset.
    #[must_use]
    pub fn reset(&self) -> RouteUpdate {
        unimplemented!()
    }
    /// Every path of every name from `after` (exclusive) on in order of name, until `limit` paths are passed; whole
    /// names only.
    #[must_use]
    pub fn routes(&self, _after: Option<&ServiceName>, _limit: usize, _now: Instant) -> Vec<RouteView> {
        unimplemented!()
    }
    /// Every path of one name, best first.
    #[must_use]
    pub fn route(&self, _name: &ServiceName, _now: Instant) -> Vec<RouteView> {
        unimplemented!()
    }
    /// Names whose selected route, status or paths changed since the last call (for `watch routes`); only collected
    /// while `watch(true)`.
    pub fn take_watched(&mut self) -> Vec<ServiceName> {
        unimplemented!()
    }
    /// Turns collection for [`Speaker::take_watched`] on or off.
    pub fn watch(&mut self, _on: bool) {
        unimplemented!()
    }
    /// Every peer, in order of name.
    #[must_use]
    pub fn peers(&self, _now: Instant) -> Vec<PeerView> {
        unimplemented!()
    }
    /// Every data plane.
    #[must_use]
    pub fn planes(&self) -> Vec<PlaneView> {
        unimplemented!()
    }
}
