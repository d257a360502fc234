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
use crate::attrs::Attrs;
use crate::destination::Destination;
use crate::intern::{AttrId, NameId};
use crate::policy::{Given, Key, Rule, evaluate};
use crate::rib::{Note, PathFlags, PeerId};
use crate::wire;

/// Sets as a class should be told them, by (set, class, source, statements that apply).
type Words = BTreeMap<(AttrId, u16, PeerId, Vec<usize>), Option<Vec<u8>>>;

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
        wrong
    }

    /// Stale paths are counted, and there are some only while they are waited for.
    fn audit_stale(&self, wrong: &mut Vec<String>) {
        for peer in self.peers.iter() {
            let is_stale = |path: &&crate::rib::Path| path.flags.has(PathFlags::STALE);
            let found = self.rib.paths_from(peer.id).filter(is_stale).count() as u64;
            let counted = self.rib.peer(peer.id).stale;
            if found != counted || found > 0 && peer.stale.is_none() {
                let name = &peer.config.name;
                wrong.push(format!("{found} paths of {name} are stale, {counted} are counted"));
            }
        }
    }

    fn live_names(&self) -> impl Iterator<Item = NameId> + '_ {
        self.rib.names.ids().filter(|id| self.rib.names.is_live(*id))
    }

    /// What import made of each path is what it makes of it now, by the plain reading of the policy.
    fn audit_imports(&self, wrong: &mut Vec<String>) {
        let mut words = BTreeMap::new();
        for (_, path) in self.rib.all_paths() {
            let Some(peer) = self.peer(path.peer) else {
                continue;
            };
            let destination = self.rib.names.destination(path.name);
            let attrs = self.rib.attrs.decode(path.attr_in);
            let (note, applied) = self.judged_anew(peer, &destination, &attrs);
            let key = (path.peer, path.attr_in, note as u8, applied);
            let words = words.entry(key);
            let wanted = words.or_insert_with_key(|(.., applied)| self.imported_anew(peer, &attrs, note, applied));
            // Of what is never used, the policy may have had a say all the same.
            let never_used = matches!(note, Note::OwnDomain | Note::OwnPrefix);
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
        if peer.outside {
            match destination {
                Destination::Name(name) if is_own(&self.config, name.as_str()) => {
                    return (Note::OwnDomain, Vec::new());
                }
                Destination::Prefix(prefix) if self.own_prefixes.covers(*prefix) => {
                    return (Note::OwnPrefix, Vec::new());
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
            let peer = &self.peers[index];
            let Some(up) = peer.up.as_ref().filter(|_| peer.out.pending() == 0) else {
                continue;
            };
            for name in self.live_names() {
                let mut wanted = self.exported_anew(index, up, name, &mut words);
                let replaced = |aggregate: &NameId| self.exported_anew(index, up, *aggregate, &mut words).is_some();
                if wanted.is_some() && self.replacing(index, name).iter().any(replaced) {
                    wanted = None;
                }
                let held = Some(peer.out.advertised_attr(name)).filter(|attr| *attr != 0);
                if held.map(|attr| self.rib.attrs.raw(attr)) != wanted.as_deref() {
                    let name = self.rib.names.destination(name);
                    wrong.push(format!(
                        "{name} as {} holds it is not what export says",
                        peer.config.name
                    ));
                }
            }
        }
    }

    /// The bytes that a peer should hold for a name if no aggregate stands for it.
    fn exported_anew(&self, index: usize, up: &Up, name: NameId, words: &mut Words) -> Option<Vec<u8>> {
        let peer = &self.peers[index];
        let (attr, source) = self.offered_to(index, name);
        let passes = up.families.common(self.planes.open);
        let seen = attr != 0
            && passes.has(self.rib.names.family(name))
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
            let configured = usize::from(entry.flags.has(crate::intern::NameFlags::DISCARD)) + aggregated;
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
