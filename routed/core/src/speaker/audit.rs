//! The Speaker checked against itself: invariant 2, and that everything held is held for a reason. For tests; a whole
//! pass over the table.

use std::collections::BTreeMap;

use super::Speaker;
use super::aggregates::AGGREGATE;
use super::export::key_of;
use super::judge::{accepted, check, cleaned, given};
use super::offers::is_own;
use super::peer::{Peer, Up};
use super::rewrite::{fits, rewrite};
use super::tunnels::tunnel_attrs;
use crate::attrs::Attrs;
use crate::destination::Destination;
use crate::intern::{AttrId, NameFlags, NameId};
use crate::policy::{Given, Key, Rule, evaluate};
use crate::prefix::Prefix;
use crate::rib::{Note, Path, PathFlags, PathId, PeerId};
use crate::wire::{self, Family};

/// Sets as import should make them, by (peer, set, note, statements that apply).
type ReadWords = BTreeMap<(PeerId, AttrId, u8, Vec<usize>), Vec<u8>>;

/// Sets as a class should be told them, by (set, class, source, statements that apply).
type Words = BTreeMap<(AttrId, u16, PeerId, Vec<usize>), Option<Vec<u8>>>;

/// How much a Speaker holds. For tests.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// Names and prefixes.
    pub names: usize,
    /// Attribute sets.
    pub attribute_sets: usize,
    /// Paths, local ones included.
    pub paths: usize,
    /// Connections.
    pub connections: usize,
    /// Services of this node.
    pub services: usize,
    /// Routes that data planes hold.
    pub installed: usize,
}

impl Speaker {
    /// What is wrong, one line each; empty if nothing is. Only after [`Speaker::flush`].
    #[doc(hidden)]
    #[must_use]
    pub fn audit(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        self.audit_imports(&mut wrong);
        self.audit_exports(&mut wrong);
        self.audit_attrs(&mut wrong);
        self.audit_names(&mut wrong);
        if self.aggregates != self.aggregates_anew() {
            wrong.push("aggregates count other members than there are".to_owned());
        }
        self.audit_stale(&mut wrong);
        self.audit_loc(&mut wrong);
        self.audit_counters(&mut wrong);
        self.audit_in_use(&mut wrong);
        self.planes.audit(&mut wrong);
        wrong
    }

    /// How much is held of what names, attribute sets, paths and connections take memory for. For tests.
    #[doc(hidden)]
    #[must_use]
    pub fn held(&self) -> Held {
        Held {
            names: self.live_names().count(),
            attribute_sets: self.rib.attrs.references().count(),
            paths: self.rib.all_paths().count(),
            connections: self.conns.len(),
            services: self.services.len(),
            installed: self.planes.installed.len(),
        }
    }

    /// As [`Speaker::audit`], of one name or prefix: cheap enough for every one that a batch has touched.
    #[doc(hidden)]
    #[must_use]
    pub fn audit_destination(&self, destination: &Destination) -> Vec<String> {
        let mut wrong = Vec::new();
        let Some(name) = self.rib.names.lookup_destination(destination) else {
            return wrong;
        };
        let (mut read, mut told) = (BTreeMap::new(), Words::new());
        for (_, path) in self.rib.paths_of(name) {
            self.audit_import(&path, &mut read, &mut wrong);
        }
        self.audit_decision(name, &mut wrong);
        for index in self.peers.places() {
            self.audit_export(index, name, &mut told, &mut wrong);
        }
        wrong
    }

    /// The path in use is the one that a whole decision selects, and it does not lead back here.
    fn audit_decision(&self, name: NameId, wrong: &mut Vec<String>) {
        let (paths, candidates, decision) = self.decide(name);
        let best = decision.selected.map_or(0, |selected| paths[selected]);
        let selected = self.rib.names.get(name).selected;
        if selected != best {
            let name = self.rib.names.destination(name);
            wrong.push(format!("{name}: path {selected} is in use, the decision is {best}"));
        }
        let stale = |selected: usize| self.is_secretly_stale(paths[selected], candidates[selected].freshness);
        let stale = decision.selected.is_some_and(stale);
        if stale != self.rib.names.get(name).flags.has(NameFlags::NOT_FRESH) {
            let name = self.rib.names.destination(name);
            wrong.push(format!(
                "{name}: the path in use is stale: {stale}, and is taken for the opposite"
            ));
        }
        if selected != 0 && self.loops_here(selected) {
            let name = self.rib.names.destination(name);
            wrong.push(format!("{name}: the path in use leads through our own AS"));
        }
    }

    fn loops_here(&self, path: PathId) -> bool {
        let path = self.rib.path(path);
        let external = self.peer(path.peer).is_some_and(|peer| !peer.internal);
        external && self.rib.attrs.passed(path.attr, self.config.identity.router_id.asn)
    }

    /// What is counted is there.
    fn audit_counters(&self, wrong: &mut Vec<String>) {
        for peer in self.peers.iter() {
            let (accepted, rejected): (Vec<_>, Vec<_>) = self
                .rib
                .paths_from(peer.id)
                .partition(|path| path.note == Note::Accepted);
            let cells = peer.out.cells().map(|(name, _)| peer.out.advertised_attr(name));
            let advertised = cells.filter(|attr| *attr != 0).count();
            let found = (accepted.len() as u64, rejected.len() as u64, advertised as u64);
            let counts = self.rib.peer(peer.id);
            let counted = (counts.accepted, counts.rejected, peer.out.advertised);
            // A route that is to be sent again counts as advertised, and has no attributes until then.
            let exact = peer.out.pending() == 0;
            if (found.0, found.1) != (counted.0, counted.1) || exact && found.2 != counted.2 {
                let name = &peer.config.name;
                wrong.push(format!(
                    "{name}: {counted:?} accepted, rejected, advertised are counted, not {found:?}"
                ));
            }
        }
    }

    /// As many destinations have a path in use as are counted.
    fn audit_in_use(&self, wrong: &mut Vec<String>) {
        let names = &self.rib.names;
        let in_use = |name: &NameId| names.get(*name).selected != 0;
        let of = |family| {
            self.live_names()
                .filter(in_use)
                .filter(|name| names.family(*name) == family)
                .count()
        };
        for (family, counted) in self.rib.in_use() {
            let found = of(family) as u64;
            if found != counted {
                wrong.push(format!(
                    "{found} destinations of {family:?} are in use, {counted} are counted"
                ));
            }
        }
    }

    /// What peers may see of a name is the path in use, with or without the word that it is stale.
    fn audit_loc(&self, wrong: &mut Vec<String>) {
        for name in self.live_names() {
            let entry = self.rib.names.get(name);
            let pending = self.planes.waiting.contains(name) || entry.flags.has(NameFlags::DIRTY);
            if entry.selected == 0 || entry.loc_attr == 0 || pending {
                continue;
            }
            let path = self.rib.path(entry.selected);
            let marked = || self.rib.attrs.find_as_stale(path.attr) == Some(entry.loc_attr);
            let same = entry.loc_attr == path.attr || entry.flags.has(NameFlags::NOT_FRESH) && marked();
            if !same || entry.loc_source != path.peer {
                let name = self.rib.names.destination(name);
                wrong.push(format!("{name}: loc_rib holds another path than the one in use"));
            }
        }
    }

    /// Stale paths are counted, and there are some only while they are waited for.
    fn audit_stale(&self, wrong: &mut Vec<String>) {
        for peer in self.peers.iter() {
            let is_stale = |path: &Path| path.flags.has(PathFlags::STALE);
            let found = self.rib.paths_from(peer.id).filter(is_stale).count() as u64;
            let counted = self.rib.peer(peer.id).stale;
            if found != counted || found > 0 && peer.stale.is_none() {
                let name = &peer.config.name;
                wrong.push(format!("{found} paths of {name} are stale, {counted} are counted"));
            }
        }
        let (sum, counted) = (
            self.peers.iter().map(|peer| self.rib.peer(peer.id).stale).sum(),
            self.rib.stale_paths(),
        );
        if counted != sum {
            wrong.push(format!("{sum} paths are stale, {counted} are counted"));
        }
    }

    fn live_names(&self) -> impl Iterator<Item = NameId> + '_ {
        self.rib.names.ids().filter(|id| self.rib.names.is_live(*id))
    }

    /// What import made of each path is what it makes of it now, by the plain reading of the policy.
    fn audit_imports(&self, wrong: &mut Vec<String>) {
        let mut words = ReadWords::new();
        for (_, path) in self.rib.all_paths() {
            self.audit_import(&path, &mut words, wrong);
        }
    }

    fn audit_import(&self, path: &Path, words: &mut ReadWords, wrong: &mut Vec<String>) {
        if let Some(peer) = self.peer(path.peer) {
            let destination = self.rib.names.destination(path.name);
            let attrs = self.rib.attrs.decode(path.attr_in);
            let (note, applied) = self.judged_anew(peer, &destination, &attrs);
            let key = (path.peer, path.attr_in, note as u8, applied);
            let entry = words.entry(key);
            let wanted = entry.or_insert_with_key(|(.., applied)| self.imported_anew(peer, &attrs, note, applied));
            // Of what is never used, the policy may have had a say all the same.
            let never_used = matches!(note, Note::OwnDomain | Note::OwnPrefix | Note::TunnelAddress);
            let reads = never_used || self.rib.attrs.raw(path.attr) == &**wanted;
            let stands = note == path.note && reads;
            if !stands {
                let peer = &peer.config.name;
                wrong.push(format!("{destination} as learned from {peer} is not what import says"));
            }
        }
    }

    /// What import says of a name with these attributes, and the statements that apply.
    fn judged_anew(&self, peer: &Peer, destination: &Destination, attrs: &Attrs) -> (Note, Vec<usize>) {
        let note = check(&self.config, peer, attrs);
        if peer.config.tunnel.is_some() && attrs.tunnel.is_some() {
            return (note, Vec::new());
        }
        if peer.outside {
            match destination {
                Destination::Name(name) if is_own(&self.config, name.as_str()) => {
                    return (Note::OwnDomain, Vec::new());
                }
                Destination::Prefix(prefix) if self.own_prefixes.covers(*prefix) => {
                    return (Note::OwnPrefix, Vec::new());
                }
                Destination::Prefix(prefix) if self.meets_tunnels(peer, *prefix) => {
                    return (Note::TunnelAddress, Vec::new());
                }
                Destination::Name(_) | Destination::Prefix(_) => {}
            }
        }
        if note != Note::Accepted {
            return (note, Vec::new());
        }
        let cleaned = cleaned(peer, attrs);
        let given = given(&self.config, peer, cleaned.as_deref().unwrap_or(attrs));
        let (decision, applied) = match &peer.import {
            Rule::All => return (Note::Accepted, Vec::new()),
            Rule::Nothing => return (Note::ImportPolicy, Vec::new()),
            Rule::Policy(policy) => evaluate(policy, &given, Key::from(destination)),
        };
        match decision.map_or(!peer.outside, |decision| decision.accept) {
            true => (Note::Accepted, applied),
            false => (Note::ImportPolicy, Vec::new()),
        }
    }

    /// Whether a prefix shares an address with a tunnel, and the configuration of the peer does not allow it all the same.
    fn meets_tunnels(&self, peer: &Peer, prefix: Prefix) -> bool {
        let tunnels = self.peers.iter().filter_map(|peer| peer.config.tunnel.as_ref());
        let all = tunnels.flat_map(|tunnel| {
            let own = tunnel.own.iter().flat_map(|own| own.addresses.iter().copied());
            tunnel.addresses.iter().chain(own)
        });
        let named = peer.config.allowed_prefixes.iter().any(|allowed| allowed == prefix);
        all.into_iter()
            .any(|address| address.covers(prefix) || prefix.covers(address) && !named)
    }

    fn imported_anew(&self, peer: &Peer, attrs: &Attrs, note: Note, applied: &[usize]) -> Vec<u8> {
        let cleaned = cleaned(peer, attrs);
        let changes = peer
            .import
            .policy()
            .into_iter()
            .flat_map(|policy| policy.changes(applied));
        let changed = if note == Note::Accepted {
            accepted(peer, attrs, cleaned, changes)
        } else {
            cleaned
        };
        wire::encode_attrs(changed.as_deref().unwrap_or(attrs)).to_vec()
    }

    /// adj_rib_out == export(acknowledged part of loc_rib), of peers to which nothing is left to send.
    fn audit_exports(&self, wrong: &mut Vec<String>) {
        let mut words = Words::new();
        for index in self.peers.places() {
            for name in self.live_names() {
                self.audit_export(index, name, &mut words, wrong);
            }
        }
    }

    fn audit_export(&self, index: usize, name: NameId, words: &mut Words, wrong: &mut Vec<String>) {
        let peer = &self.peers[index];
        let Some(up) = peer.up.as_ref().filter(|_| peer.out.pending() == 0) else {
            return;
        };
        let own = self.tunnel_anew(index, up, name);
        let is_own = own.is_some();
        let mut wanted = own.or_else(|| self.exported_anew(index, up, name, words));
        let replaced = |aggregate: &NameId| self.exported_anew(index, up, *aggregate, words).is_some();
        if wanted.is_some() && self.replacing(index, name).iter().any(replaced) {
            wanted = None;
        }
        let held = Some(peer.out.advertised_attr(name)).filter(|attr| *attr != 0);
        if held.map(|attr| self.rib.attrs.raw(attr)) != wanted.as_deref() {
            let (name, peer) = (self.rib.names.destination(name), &peer.config.name);
            wrong.push(format!("{name} as {peer} holds it is not what export says"));
        }
        if held.is_some() && !is_own && self.offered_to(index, name).1 == peer.id {
            let (name, peer) = (self.rib.names.destination(name), &peer.config.name);
            wrong.push(format!("{name} is returned to {peer}, which it comes from"));
        }
    }

    /// The bytes that a peer should hold of our end of its tunnel, if a name is an address of it.
    fn tunnel_anew(&self, index: usize, up: &Up, name: NameId) -> Option<Vec<u8>> {
        let peer = &self.peers[index];
        let own = peer.own_tunnel()?;
        let prefix = self.rib.names.prefix(name)?;
        if !own.addresses.contains(&prefix) || !up.families.has(prefix.family()) {
            return None;
        }
        let mut attrs = tunnel_attrs(&self.config.identity, own);
        let words = self.exports.get(up.class).words()?;
        rewrite(&mut attrs, words, None, &self.config, std::iter::empty());
        Some(wire::encode_attrs(&attrs).to_vec())
    }

    /// The bytes that a peer should hold for a name if no aggregate stands for it.
    fn exported_anew(&self, index: usize, up: &Up, name: NameId, words: &mut Words) -> Option<Vec<u8>> {
        let peer = &self.peers[index];
        let (attr, source) = self.offered_to(index, name);
        let family = self.rib.names.family(name);
        let seen = attr != 0
            && up.families.common(self.planes.open).has(family)
            && (family != Family::Name || self.closed.to(peer).is_none())
            && self.withheld(index, attr, source).is_none()
            && (source == AGGREGATE || !self.is_unopened(index, name));
        let applied = self.policy_anew(peer, name, attr).filter(|_| seen)?;
        let words = words.entry((attr, up.class, source, applied));
        words
            .or_insert_with_key(|(.., applied)| self.reworded(peer, attr, up.class, source, applied))
            .clone()
    }

    /// The statements of the export policy that apply to the route of a name, by the plain reading of it; `None`: it
    /// does not pass.
    fn policy_anew(&self, peer: &Peer, name: NameId, attr: AttrId) -> Option<Vec<usize>> {
        let Some(policy) = peer.export.policy() else {
            return Some(Vec::new());
        };
        if attr == 0 {
            return None;
        }
        let given = Given {
            attrs: &self.rib.attrs.decode(attr),
            table: self.rib.attrs.hot(attr).table,
            peer: &peer.config.name,
            role: peer.role(),
        };
        let (decision, applied) = evaluate(policy, &given, key_of(&self.rib.names, name));
        let accepts = decision.map_or(!peer.outside, |decision| decision.accept);
        accepts.then_some(applied)
    }

    /// The bytes that export should give for a route that the peer may see, without any cache.
    fn reworded(&self, peer: &Peer, attr: AttrId, class: u16, source: PeerId, applied: &[usize]) -> Option<Vec<u8>> {
        let mut attrs = Attrs::clone(&self.rib.attrs.decode(attr));
        let words = self.exports.get(class).words()?;
        let changes = peer
            .export
            .policy()
            .into_iter()
            .flat_map(|policy| policy.changes(applied));
        rewrite(&mut attrs, words, self.peer(source), &self.config, changes);
        let raw = wire::encode_attrs(&attrs).to_vec();
        fits(&attrs, raw.len()).then_some(raw)
    }

    fn audit_attrs(&self, wrong: &mut Vec<String>) {
        let mut refs: BTreeMap<AttrId, u32> = BTreeMap::new();
        let mut hold = |attr: AttrId| {
            if attr != 0 {
                *refs.entry(attr).or_default() += 1;
            }
        };
        for (_, path) in self.rib.all_paths() {
            hold(path.attr_in);
            hold(path.attr);
        }
        self.live_names()
            .for_each(|name| hold(self.rib.names.get(name).loc_attr));
        self.planes
            .installed
            .values()
            .for_each(|installed| hold(installed.attr));
        self.aggregates.held().for_each(|(_, attr)| hold(attr));
        for peer in self.peers.iter() {
            peer.out
                .cells()
                .for_each(|(name, _)| hold(peer.out.advertised_attr(name)));
            peer.told_tunnel.iter().for_each(|(_, attr)| hold(*attr));
            if let Some((_, verdict)) = &peer.last_import {
                verdict.sets().into_iter().flatten().for_each(&mut hold);
            }
        }
        for (attr, held) in self.rib.attrs.references() {
            if refs.remove(&attr) != Some(held) {
                wrong.push(format!("attribute set {attr} counts {held} references"));
            }
        }
        wrong.extend(refs.keys().map(|attr| format!("attribute set {attr} is held and gone")));
    }

    fn audit_names(&self, wrong: &mut Vec<String>) {
        for name in self.live_names() {
            let cells = self.peers.iter().filter(|peer| !peer.out.is_blank(name)).count();
            let installed = usize::from(self.planes.installed.contains_key(&name));
            let entry = self.rib.names.get(name);
            let aggregated = self.aggregates.held().filter(|(held, _)| *held == name).count();
            let told = self.peers.iter().filter(|peer| peer.told_of(name).is_some()).count();
            let configured = usize::from(entry.flags.has(NameFlags::DISCARD)) + aggregated + told;
            let used = entry.first != 0 || entry.loc_attr != 0 || entry.refs > 0;
            if entry.refs as usize != cells + installed + configured || !used {
                wrong.push(format!(
                    "{} counts {} references",
                    self.rib.names.destination(name),
                    entry.refs
                ));
            }
        }
    }
}
