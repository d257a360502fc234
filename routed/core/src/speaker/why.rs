//! Answers to "why": worked out when asked, nothing of it is stored. Policies are read plainly here, not as compiled.

use std::sync::Arc;
use std::time::Instant;

use super::Speaker;
use super::aggregates::AGGREGATE;
use super::export::{Withheld, words};
use super::judge::{cleaned, given};
use super::peer::Peer;
use super::rewrite::{fits, rewrite};
use super::show::Standing;
use crate::attrs::Attrs;
use crate::intern::{AttrId, NameId};
use crate::policy::{Given, Policy, Question, Trace, trace};
use crate::rib::{LOCAL, Note, PathId, PeerId};
use crate::route::Destination;
use crate::view::{Direction, ExportReason, PathWhy, PeerWhy, PolicyQuestion, PolicyTest, PolicyTestError, WhyView};
use crate::wire::{self, Family};

impl Speaker {
    /// Why each path to a destination is used or not, and why each peer is told or not. `None`: nobody offers it.
    #[must_use]
    pub fn why(&self, destination: &Destination, now: Instant) -> Option<WhyView> {
        let name = self.rib.names.lookup_destination(destination)?;
        let paths = self.standings(name).into_iter();
        let mut paths: Vec<PathWhy> = paths.map(|(standing, id)| self.why_path(id, standing, now)).collect();
        paths.extend(self.show_aggregate(name).map(|route| PathWhy {
            reason: route.reason.clone(),
            received: None,
            import: None,
            route,
        }));
        let peers = self.peers.iter().map(|peer| self.why_peer(peer, name)).collect();
        let told = self.peers.iter().any(|peer| peer.told_of(name).is_some());
        (told || !paths.is_empty()).then(|| WhyView {
            destination: destination.clone(),
            paths,
            peers,
        })
    }

    fn why_path(&self, id: PathId, standing: Standing, now: Instant) -> PathWhy {
        let path = self.rib.path(id);
        let route = self.show_path(&path, &standing, now);
        let received = self.peer(path.peer).map(|_| self.rib.attrs.decode(path.attr_in));
        let import = self
            .peer(path.peer)
            .zip(received.as_ref())
            .and_then(|(peer, received)| self.trace_import(peer, &route.destination, received, path.note));
        let reason = match (&import, standing.values) {
            (Some(trace), _) if !trace.accepted => format!("rejected: import {}", rejection(trace)),
            (_, Some((its, winners))) => format!("{} ({its}; the winner: {winners})", route.reason),
            (_, None) => route.reason.clone(),
        };
        PathWhy {
            route,
            reason,
            received,
            import,
        }
    }

    /// How the import policy in force judges a path, where it is asked: a check that rejects it comes first.
    fn trace_import(&self, peer: &Peer, to: &Destination, received: &Attrs, note: Note) -> Option<Trace> {
        let policy = peer.config.import.as_deref()?;
        matches!(note, Note::Accepted | Note::ImportPolicy).then(|| self.try_import(policy, peer, to, received).1)
    }

    fn try_import(&self, policy: &Policy, peer: &Peer, to: &Destination, received: &Attrs) -> (Arc<Attrs>, Trace) {
        let attrs = cleaned(peer, received).map_or_else(|| Arc::new(received.clone()), |attrs| Arc::new(*attrs));
        let trace = asked(policy, to, &given(&self.config, peer, &attrs), peer);
        (attrs, trace)
    }

    fn try_export(&self, policy: &Policy, peer: &Peer, to: &Destination, attrs: &Attrs) -> Trace {
        asked(policy, to, &given(&self.config, peer, attrs), peer)
    }

    fn why_peer(&self, peer: &Peer, name: NameId) -> PeerWhy {
        let offered = self
            .peers
            .find(&peer.config.name)
            .map(|index| self.offered_to(index, name));
        let (attr, source) = match offered {
            Some((attr, AGGREGATE)) => (attr, AGGREGATE),
            Some(_) | None => self.told(name),
        };
        let (reason, export, attrs) = self.why_export(peer, name, attr, source);
        let told = Some(peer.out.advertised_attr(name)).filter(|attr| *attr != 0);
        PeerWhy {
            peer: peer.config.name.clone(),
            advertised: told.is_some(),
            reason,
            export,
            attrs,
        }
    }

    /// The first reason that holds: what will not change by itself before what will.
    fn why_export(
        &self,
        peer: &Peer,
        name: NameId,
        attr: AttrId,
        source: PeerId,
    ) -> (ExportReason, Option<Trace>, Option<Arc<Attrs>>) {
        let reason = |reason| (reason, None, None);
        if let Some(told) = peer.told_of(name) {
            return self.why_tunnel(peer, name, told);
        }
        if attr == 0 && self.peers.iter().any(|peer| peer.told_of(name).is_some()) {
            return reason(ExportReason::Tunnel);
        }
        if attr == 0 && self.aggregates.standing(name).is_some() {
            return reason(ExportReason::NoAggregate);
        }
        if attr == 0 {
            return reason(ExportReason::NothingSelected);
        }
        let Some(index) = self.peers.find(&peer.config.name) else {
            return reason(ExportReason::NothingSelected);
        };
        if let Some(withheld) = self.withheld(index, attr, source) {
            return reason(self.withheld_reason(withheld, peer, attr));
        }
        let attrs = self.rib.attrs.decode(attr);
        let destination = self.rib.names.destination(name);
        let policy = peer.config.export.as_deref();
        let trace = policy.map(|policy| self.try_export(policy, peer, &destination, &attrs));
        if let Some(rejected) = trace.as_ref().filter(|trace| !trace.accepted) {
            let reason = ExportReason::PolicyRejects {
                policy: rejected.policy.clone(),
                statement: rejected.decided_by.clone(),
            };
            return (reason, trace, None);
        }
        let worded = self.worded(peer, source, trace.as_ref(), &attrs);
        let reason = match self.told_in_place_of(index, name) {
            Some(aggregate) => ExportReason::Aggregated { aggregate },
            None => self.why_not_yet(peer, name, &worded),
        };
        (reason, trace, Some(Arc::new(worded)))
    }

    /// Our end of the tunnel to the peer itself.
    fn why_tunnel(&self, peer: &Peer, name: NameId, attr: AttrId) -> (ExportReason, Option<Trace>, Option<Arc<Attrs>>) {
        let worded = self.worded(peer, LOCAL, None, &self.rib.attrs.decode(attr));
        let told = peer.out.advertised_attr(name);
        let reason = match &peer.up {
            None => ExportReason::SessionDown {
                state: peer.session.state().as_str(),
            },
            Some(up) if !up.families.has(self.rib.names.family(name)) => ExportReason::Family,
            Some(_) if told != 0 && self.rib.attrs.raw(told) == &*wire::encode_attrs(&worded) => {
                ExportReason::Advertised
            }
            Some(_) => ExportReason::ToBeSent,
        };
        (reason, None, Some(Arc::new(worded)))
    }

    /// The aggregate that a peer is told of in place of a name.
    fn told_in_place_of(&self, index: usize, name: NameId) -> Option<Destination> {
        let peer = &self.peers[index];
        let suppressors = self.replacing(index, name).into_iter();
        let mut told = suppressors.filter(|aggregate| peer.out.advertised_attr(*aggregate) != 0);
        told.next().map(|aggregate| self.rib.names.destination(aggregate))
    }

    /// The route in the words of a peer: `trace` is that of the export policy.
    fn worded(&self, peer: &Peer, source: PeerId, trace: Option<&Trace>, attrs: &Attrs) -> Attrs {
        let local = peer
            .up
            .as_ref()
            .and_then(|up| self.conns.get(&up.conn))
            .map(|conn| conn.local);
        let words = words(peer, local);
        let applied = trace.map(Trace::applied).unwrap_or_default();
        let policy = peer.config.export.iter();
        let changes = policy.flat_map(|policy| policy.changes(&applied));
        let mut attrs = attrs.clone();
        rewrite(&mut attrs, &words, self.peer(source), &self.config, changes);
        attrs
    }

    fn withheld_reason(&self, withheld: Withheld, peer: &Peer, attr: AttrId) -> ExportReason {
        match withheld {
            Withheld::Own => ExportReason::LearnedFromIt,
            Withheld::Everything => match &peer.config.export {
                None => ExportReason::NoPolicy,
                Some(policy) => ExportReason::PolicyRejectsAll {
                    policy: policy.name().clone(),
                },
            },
            Withheld::AsLoop => ExportReason::AsLoop { asn: peer.config.asn },
            Withheld::SameOrganisation => ExportReason::SameOrganisation {
                organisation: peer.config.organisation.clone(),
            },
            Withheld::NotReflected => ExportReason::NotReflected {
                reflector: self.config.reflector,
            },
            Withheld::NoAdvertise => ExportReason::NoAdvertise,
            Withheld::NoExport => ExportReason::NoExport,
            Withheld::Tunnel => ExportReason::Tunnel,
            Withheld::OnlyToCustomer => ExportReason::OnlyToCustomer {
                asn: self.rib.attrs.decode(attr).only_to_customer.unwrap_or_default(),
            },
        }
    }

    /// What keeps a peer from knowing a route that it may know.
    fn why_not_yet(&self, peer: &Peer, name: NameId, worded: &Attrs) -> ExportReason {
        if !fits(worded, wire::encode_attrs(worded).len()) {
            return ExportReason::TooLong;
        }
        if let Some((plane, why)) = self.planes.refusal(name) {
            return ExportReason::RejectedByDataPlane {
                plane: plane.config.name.clone(),
                why: why.into(),
            };
        }
        if self.rib.names.family(name) == Family::Name
            && let Some((plane, why)) = self.closed.to(peer)
        {
            return ExportReason::ListenerClosed {
                plane: plane.clone(),
                why: why.clone(),
            };
        }
        let Some(up) = &peer.up else {
            let state = peer.session.state().as_str();
            return ExportReason::SessionDown { state };
        };
        if !up.families.has(self.rib.names.family(name)) {
            return ExportReason::Family;
        }
        if !self.planes.open.has(self.rib.names.family(name)) {
            return ExportReason::NoDataPlane;
        }
        let told = peer.out.advertised_attr(name);
        if told != 0 && self.rib.attrs.raw(told) == &*wire::encode_attrs(worded) {
            return ExportReason::Advertised;
        }
        if self.planes.waiting.contains(name) {
            return ExportReason::WaitsForDataPlanes;
        }
        ExportReason::ToBeSent
    }

    /// Tries a policy on a route, live or given.
    ///
    /// # Errors
    /// There is no such peer, or no such route.
    pub fn test_policy(&self, question: &PolicyQuestion<'_>) -> Result<Vec<PolicyTest>, PolicyTestError> {
        let peers: Vec<&Peer> = match question.peer {
            Some(name) => {
                let index = self.peers.find(name);
                let index = index.ok_or_else(|| PolicyTestError::UnknownPeer(name.to_owned()))?;
                vec![&self.peers[index]]
            }
            None => self.peers.iter().collect(),
        };
        if peers.is_empty() {
            return Err(PolicyTestError::NoPeers);
        }
        let tests: Vec<PolicyTest> = peers
            .into_iter()
            .filter_map(|peer| self.try_policy(question, peer))
            .collect();
        if tests.is_empty() {
            return Err(PolicyTestError::NoRoute(question.destination.clone()));
        }
        Ok(tests)
    }

    /// `None`: there is no such route.
    fn try_policy(&self, question: &PolicyQuestion<'_>, peer: &Peer) -> Option<PolicyTest> {
        let name = self.rib.names.lookup_destination(question.destination);
        let live = || match question.direction {
            Direction::Import => {
                let path = self.rib.find(name?, peer.id)?;
                Some(self.rib.attrs.decode(self.rib.path(path).attr_in))
            }
            Direction::Export => {
                let selected = Some(self.rib.names.get(name?).selected).filter(|path| *path != 0)?;
                Some(self.rib.attrs.decode(self.rib.path(selected).attr))
            }
        };
        let attrs = match question.attrs {
            Some(attrs) => Arc::new(attrs.clone()),
            None => live()?,
        };
        let (before, trace) = match question.direction {
            Direction::Import => self.try_import(question.policy, peer, question.destination, &attrs),
            Direction::Export => {
                let trace = self.try_export(question.policy, peer, question.destination, &attrs);
                (attrs, trace)
            }
        };
        Some(PolicyTest {
            peer: peer.config.name.clone(),
            before,
            trace,
        })
    }
}

fn asked(policy: &Policy, destination: &Destination, given: &Given<'_>, peer: &Peer) -> Trace {
    let question = Question {
        destination,
        attrs: given.attrs,
        table: given.table,
        peer: given.peer,
        role: given.role,
        accepts_by_default: !peer.outside,
    };
    trace(policy, &question)
}

/// Who rejected a route.
fn rejection(trace: &Trace) -> String {
    let policy = &trace.policy;
    match &trace.decided_by {
        Some(statement) => format!("policy {policy}, statement {statement}"),
        None => format!("policy {policy}: no statement decides, and the default is to reject"),
    }
}
