//! From an UPDATE to adj_rib_in: checks on receipt, then import policy; once per attribute set, not per name.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::Speaker;
use super::peer::Peer;
use crate::attrs::Attrs;
use crate::event::SpeakerConfig;
use crate::intern::{AttrId, Cached, NameId, import_class};
use crate::name::ServiceName;
use crate::policy::Rule;
use crate::rib::{Learned, Note};
use crate::wire::{self, NlriBlock, Update, UpdateFrame};

/// What import makes of an attribute set.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    /// A path, usable or kept with the reason why not.
    Learned(Learned),
    /// RFC 7606: the names count as withdrawn.
    Withdraw(Arc<str>),
}

/// Notes of cached verdicts that are no path; [`Note`] has the codes below.
const BAD_NEXT_HOP: u8 = 128;
const BAD_LEFTMOST_AS: u8 = 129;

enum Judgement {
    Unchanged(Note),
    Changed(Box<Attrs>, Note),
    Withdraw(u8),
}

impl Speaker {
    pub(super) fn on_update(&mut self, index: usize, update: &UpdateFrame, now: Instant) {
        let Some(up) = &mut self.peers[index].up else {
            return;
        };
        up.updates_in += 1;
        update.steps().for_each(|step| self.on_step(index, &step, now));
    }

    fn on_step(&mut self, index: usize, update: &Update, now: Instant) {
        let id = self.peers[index].id;
        let rib = &mut self.rib;
        update.withdrawn.for_each_key(|key| {
            if let Some(name) = rib.names.lookup(key) {
                rib.remove(name, id);
            }
        });
        if !update.announced.is_empty() {
            match self.verdict_on(index, update) {
                Verdict::Learned(learned) => self.learn(index, update, learned, now),
                Verdict::Withdraw(reason) => self.treat_as_withdraw(index, update, reason),
            }
        }
    }

    fn learn(&mut self, index: usize, update: &Update, learned: Learned, now: Instant) {
        let since = self.tenths(now);
        let Peer { id, outside, .. } = self.peers[index];
        let own_domains = if outside { &self.config.domains[..] } else { &[] };
        let rib = &mut self.rib;
        let names = match &update.announced {
            NlriBlock::Names(names) => names,
            NlriBlock::Prefixes(prefixes) => return self.learn_prefixes(index, prefixes, learned, since),
        };
        names.for_each(|text| {
            let name = rib.names.intern(text.as_bytes());
            rib.upsert(name, id, with_own_domains(learned, text, own_domains), since);
        });
    }

    /// Has everything held from a peer go through import again.
    pub(super) fn reimport(&mut self, index: usize, now: Instant) {
        self.forget_import(index);
        let since = self.tenths(now);
        let id = self.peers[index].id;
        self.rib.attrs.forget_imports(id);
        let held: Vec<(NameId, AttrId)> = self.rib.paths_from(id).map(|path| (path.name, path.attr_in)).collect();
        for (name, attr_in) in held {
            self.reimport_path(index, name, attr_in, since);
        }
    }

    /// Has one path that is held from a peer go through import again.
    pub(super) fn reimport_path(&mut self, index: usize, name: NameId, attr_in: AttrId, since: u32) {
        let verdict = match self.judge_set(index, attr_in, None) {
            Verdict::Learned(learned) => self.keep(index, name, learned, since),
            Verdict::Withdraw(reason) => Err(reason),
        };
        if let Err(reason) = verdict {
            let peer = &mut self.peers[index];
            peer.treated_as_withdraw += 1;
            peer.treated_reason = reason;
            self.rib.remove(name, peer.id);
        }
    }

    /// Takes one name in as if it had come with these attributes, without a word on what is refused.
    pub(super) fn hear(&mut self, index: usize, name: NameId, raw: &Bytes) {
        if let Verdict::Learned(learned) = self.judge_bytes(index, raw) {
            drop(self.keep(index, name, learned, 0));
        }
    }

    /// Keeps a path as import leaves it, or says why the peer may not offer it at all.
    fn keep(&mut self, index: usize, name: NameId, learned: Learned, since: u32) -> Result<(), Arc<str>> {
        let Peer { id, outside, .. } = self.peers[index];
        let learned = match self.rib.names.prefix(name) {
            Some(prefix) => self.judge_prefix(index, prefix, learned)?,
            None => {
                let own_domains = if outside { &self.config.domains[..] } else { &[] };
                with_own_domains(learned, self.rib.names.text(name), own_domains)
            }
        };
        self.rib.revise(name, id, learned, since);
        Ok(())
    }

    fn treat_as_withdraw(&mut self, index: usize, update: &Update, reason: Arc<str>) {
        let peer = &mut self.peers[index];
        peer.treated_as_withdraw += update.announced.len() as u64;
        peer.treated_reason = reason;
        let (rib, id) = (&mut self.rib, peer.id);
        update.announced.for_each_key(|key| {
            if let Some(name) = rib.names.lookup(key) {
                rib.remove(name, id);
            }
        });
    }

    /// What import makes of the attributes of an UPDATE, which may be of the wrong family for what it announces.
    fn verdict_on(&mut self, index: usize, update: &Update) -> Verdict {
        let verdict = self.verdict(index, &update.attrs);
        if let Verdict::Learned(learned) = &verdict {
            let has_service = self.rib.attrs.hot(learned.attr_in).protocol.is_some();
            if let Err(error) = wire::check_family(update.family, has_service) {
                return Verdict::Withdraw(error.0.into());
            }
        }
        verdict
    }

    fn verdict(&mut self, index: usize, raw: &Bytes) -> Verdict {
        if let Some((last, verdict)) = &self.peers[index].last_import
            && last == raw
        {
            return verdict.clone();
        }
        let verdict = self.judge_bytes(index, raw);
        self.forget_import(index);
        if let Verdict::Learned(learned) = &verdict {
            self.rib.attrs.retain(learned.attr_in);
            self.rib.attrs.retain(learned.attr);
        }
        // The slice would keep its whole frame alive.
        self.peers[index].last_import = Some((Bytes::copy_from_slice(raw), verdict.clone()));
        verdict
    }

    /// Lets go of the attribute sets of the last UPDATE.
    pub(super) fn forget_import(&mut self, index: usize) {
        if let Some((_, Verdict::Learned(learned))) = self.peers[index].last_import.take() {
            self.rib.attrs.release(learned.attr_in);
            self.rib.attrs.release(learned.attr);
        }
    }

    fn judge_bytes(&mut self, index: usize, raw: &Bytes) -> Verdict {
        if let Some(known) = self.rib.attrs.find(raw) {
            return self.judge_set(index, known, None);
        }
        match wire::decode_attrs(raw) {
            Ok(attrs) => {
                let attr_in = self.rib.attrs.intern(&attrs);
                self.judge_set(index, attr_in, Some(attrs))
            }
            Err(error) => Verdict::Withdraw(error.to_string().into()),
        }
    }

    /// The verdict on an attribute set; `attrs` if it has just been decoded.
    fn judge_set(&mut self, index: usize, attr_in: AttrId, attrs: Option<Attrs>) -> Verdict {
        let class = import_class(self.peers[index].id);
        if let Some(cached) = self.rib.attrs.cached(attr_in, class, 0) {
            return self.verdict_of(index, attr_in, cached);
        }
        let attrs = attrs.map_or_else(|| self.rib.attrs.decode(attr_in), Arc::new);
        let cached = match judge(&self.config, &self.peers[index], &attrs) {
            Judgement::Unchanged(note) => Cached {
                attr: attr_in,
                note: note as u8,
            },
            Judgement::Changed(attrs, note) => Cached {
                attr: self.rib.attrs.intern(&attrs),
                note: note as u8,
            },
            Judgement::Withdraw(note) => Cached { attr: 0, note },
        };
        self.rib.attrs.remember(attr_in, class, 0, cached);
        self.verdict_of(index, attr_in, cached)
    }

    fn verdict_of(&self, index: usize, attr_in: AttrId, cached: Cached) -> Verdict {
        if cached.attr != 0 {
            return Verdict::Learned(Learned {
                attr_in,
                attr: cached.attr,
                note: Note::from_code(cached.note),
            });
        }
        let reason = if cached.note == BAD_LEFTMOST_AS {
            format!("the leftmost AS of AS_PATH is not {}", self.peers[index].config.asn)
        } else {
            let next_hop = self.rib.attrs.next_hop(attr_in).ip();
            format!("next hop {next_hop} is neither the peer's address nor allowed")
        };
        Verdict::Withdraw(reason.into())
    }
}

fn judge(config: &SpeakerConfig, peer: &Peer, attrs: &Attrs) -> Judgement {
    if !peer.internal && attrs.as_path.first() != Some(&peer.config.asn) {
        return Judgement::Withdraw(BAD_LEFTMOST_AS);
    }
    if peer.outside && !allows_next_hop(peer, attrs) {
        return Judgement::Withdraw(BAD_NEXT_HOP);
    }
    let note = check(config, peer, attrs);
    let foreign = attrs.local_pref.is_some() || attrs.originator.is_some() || !attrs.cluster_list.is_empty();
    if peer.internal || !foreign {
        return Judgement::Unchanged(note);
    }
    // RFC 4271 section 5.1.5, RFC 7606 sections 7.9 and 7.10: ignored on external sessions.
    let attrs = Attrs {
        local_pref: None,
        originator: None,
        cluster_list: Vec::new(),
        ..attrs.clone()
    };
    Judgement::Changed(Box::new(attrs), note)
}

fn allows_next_hop(peer: &Peer, attrs: &Attrs) -> bool {
    let ip = attrs.next_hop.ip().to_canonical();
    ip == peer.address
        || peer
            .config
            .allowed_next_hops
            .iter()
            .any(|allowed| allowed.to_canonical() == ip)
}

fn check(config: &SpeakerConfig, peer: &Peer, attrs: &Attrs) -> Note {
    let ours = &config.identity;
    if attrs.as_path.contains(&ours.router_id.asn) {
        return Note::OwnAs;
    }
    if peer.internal && attrs.originator.as_ref() == Some(&ours.router_id) {
        return Note::OwnOriginator;
    }
    if peer.internal && attrs.cluster_list.contains(&config.cluster) {
        return Note::OwnCluster;
    }
    if peer.outside && attrs.origin_node.organisation == ours.organisation {
        return Note::OwnOrganisation;
    }
    match peer.import {
        Rule::All => Note::Accepted,
        // Until statements are evaluated here, nothing passes: the safe side.
        Rule::Nothing | Rule::Policy(_) => Note::ImportPolicy,
    }
}

/// The same for a name: none that is under our own domains is taken from outside.
fn with_own_domains(learned: Learned, name: &str, own_domains: &[ServiceName]) -> Learned {
    let own = own_domains.iter().any(|domain| is_under(name, domain.as_str()));
    let note = if own { Note::OwnDomain } else { learned.note };
    Learned { note, ..learned }
}

/// Whether a name is `domain` or below it (`*.domain` too).
fn is_under(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_domains_cover_themselves_and_everything_below() {
        for (name, under) in [
            ("acme.example", true),
            ("*.acme.example", true),
            ("a.b.acme.example", true),
            ("xacme.example", false),
            ("*.example", false),
            ("*", false),
        ] {
            assert_eq!(is_under(name, "acme.example"), under, "{name}");
        }
    }
}
