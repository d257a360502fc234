//! The Speaker checked against itself: invariant 2, and that everything held is held for a reason. For tests; a whole
//! pass over the table.

use std::collections::BTreeMap;

use super::Speaker;
use super::import::Verdict;
use crate::intern::{AttrId, NameId};
use crate::rib::PathFlags;

impl Speaker {
    /// What is wrong, one line each; empty if nothing is. Only after [`Speaker::flush`].
    #[doc(hidden)]
    #[must_use]
    pub fn audit(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        self.audit_exports(&mut wrong);
        self.audit_attrs(&mut wrong);
        self.audit_names(&mut wrong);
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

    /// adj_rib_out == export(acknowledged part of loc_rib), of peers to which nothing is left to send.
    fn audit_exports(&self, wrong: &mut Vec<String>) {
        let mut words = BTreeMap::new();
        for index in self.peers.places() {
            let peer = &self.peers[index];
            let Some(up) = peer.up.as_ref().filter(|_| peer.out.pending() == 0) else {
                continue;
            };
            for name in self.live_names() {
                let entry = self.rib.names.get(name);
                let (attr, source) = (entry.loc_attr, entry.loc_source);
                let agreed = up.takes(name, &self.rib.names);
                let seen = attr != 0 && agreed && self.planes.gate_open && self.may_export(index, attr, source);
                let key = (attr, up.class, source);
                let mut anew = || {
                    words
                        .entry(key)
                        .or_insert_with(|| self.rewritten(attr, up.class, source))
                        .clone()
                };
                let wanted = if seen { anew() } else { None };
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
        for peer in self.peers.iter() {
            peer.out
                .cells()
                .for_each(|(name, _)| hold(peer.out.advertised_attr(name)));
            if let Some((_, Verdict::Learned(learned))) = &peer.last_import {
                hold(learned.attr_in);
                hold(learned.attr);
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
            let configured = usize::from(entry.flags.has(crate::intern::NameFlags::DISCARD));
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
