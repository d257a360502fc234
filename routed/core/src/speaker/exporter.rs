//! Export to one peer, name after name: what holds for all of them is looked up once, and what a route comes to is worked
//! out once for all neighbours that share it.

use super::Speaker;
use super::aggregates::AGGREGATE;
use super::by_key::Place;
use crate::intern::{AttrId, NameId};
use crate::rib::PeerId;
use crate::wire::Families;

/// For a peer whose session is up; as long as nothing but names is looked at.
#[derive(Debug)]
pub(super) struct Exporter {
    index: usize,
    class: u16,
    /// What the session and the data planes let pass.
    passes: Families,
    /// Whether a prefix may be our end of the tunnel to the peer.
    has_tunnel: bool,
    /// Whether a name may be held back, or have an aggregate in its place.
    by_name: bool,
    /// Whether the policy reads the name.
    reads_key: bool,
    last: Option<Last>,
}

/// The last route that was looked at.
#[derive(Debug, Clone, Copy)]
struct Last {
    route: (AttrId, PeerId),
    /// What the peer is to hold (0: nothing), where it is the same for every name.
    told: Option<AttrId>,
}

impl Exporter {
    /// To a peer; `None`: its session is down.
    pub(super) fn to(index: usize, speaker: &Speaker) -> Option<Self> {
        let peer = &speaker.peers[index];
        let up = peer.up.as_ref()?;
        let looks = !speaker.planes.waiting.is_empty() || !speaker.aggregates.is_empty();
        Some(Self {
            index,
            class: up.class,
            passes: speaker.closed.pass(up.families.common(speaker.planes.open), peer),
            has_tunnel: !peer.told_tunnel.is_empty(),
            by_name: peer.outside && looks,
            reads_key: peer.export.reads().key,
            last: None,
        })
    }

    /// The attribute set that the peer is to hold for a name; 0: none.
    pub(super) fn export(&mut self, name: NameId, speaker: &mut Speaker) -> AttrId {
        if self.has_tunnel
            && let Some(attr) = speaker.peers[self.index].told_of(name)
        {
            return speaker.export_tunnel(self.index, name, attr);
        }
        let entry = speaker.rib.names.get(name);
        if !self.passes.has(speaker.rib.names.family_of(entry)) {
            return 0;
        }
        let mut route = (entry.loc_attr, entry.loc_source);
        if self.by_name {
            route = speaker.offered_to(self.index, name);
        }
        if route.0 == 0 || self.by_name && self.is_held_back(route.1, name, speaker) {
            return 0;
        }
        match &self.last {
            Some(last) if last.route == route => last.told,
            Some(_) | None => self.look(route, name, speaker),
        }
        .unwrap_or_else(|| self.ask(route, name, speaker))
    }

    /// Whether the name is not to be seen yet, or an aggregate stands in its place.
    fn is_held_back(&self, source: PeerId, name: NameId, speaker: &mut Speaker) -> bool {
        source != AGGREGATE && (speaker.is_unopened(self.index, name) || speaker.is_replaced(self.index, name))
    }

    /// What the peer is to hold of a route, where it is the same for every name.
    fn look(&mut self, route: (AttrId, PeerId), name: NameId, speaker: &mut Speaker) -> Option<AttrId> {
        let told = if speaker.withheld(self.index, route.0, route.1).is_some() {
            Some(0)
        } else if self.reads_key {
            None
        } else {
            Some(self.ask(route, name, speaker))
        };
        self.last = Some(Last { route, told });
        told
    }

    /// What the policy makes of a route.
    fn ask(&self, (attr, source): (AttrId, PeerId), name: NameId, speaker: &mut Speaker) -> AttrId {
        let place = Place {
            class: self.class,
            origin: speaker.origin(source),
            attr,
        };
        speaker.exported(self.index, place, source, name).attr
    }
}

impl Speaker {
    /// The attribute set that a peer is to hold for a name; 0: none.
    pub(super) fn export(&mut self, index: usize, name: NameId) -> AttrId {
        Exporter::to(index, self).map_or(0, |mut exporter| exporter.export(name, self))
    }
}
