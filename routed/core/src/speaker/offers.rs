//! What import decides by the name or prefix: whether the peer may offer it at all, and policies that read it.

use std::net::IpAddr;
use std::sync::Arc;

use super::by_key::{ByKey, Place};
use super::import::Verdict;
use super::judge::accepted;
use super::peer::Peer;
use super::prefixes::OwnPrefixes;
use super::refusals::RefusalKind;
use super::tunnels::Tunnels;
use crate::destination::PrefixKey;
use crate::event::SpeakerConfig;
use crate::intern::{Cached, Signs};
use crate::policy::{Key, Policy, Rule};
use crate::prefix::Prefix;
use crate::rib::{LOCAL, Learned, Note, PathFlags, Rib};

/// Why a peer may not offer a destination at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotOffered {
    /// Outside `allowed_names`.
    Name,
    /// Nobody's to offer.
    Martian(Prefix),
    /// Outside `allowed_prefixes`.
    Prefix(Prefix),
    /// Outside `allowed_prefixes`, and ours.
    OwnPrefix(Prefix),
    /// Outside `allowed_prefixes`, and of a tunnel.
    TunnelAddress(Prefix),
    /// Outside `allowed_prefixes`, and around the address where the peer itself, or its end of the tunnel, is reached.
    Endpoint(Prefix, IpAddr),
    /// With TUNNEL, and outside `tunnel.addresses`, or no host.
    TunnelPrefix(Prefix),
    /// With TUNNEL, which does not name it.
    UnnamedInTunnel(Prefix),
    /// With TUNNEL of a lower serial than the one that is held.
    OlderTunnel {
        /// The address.
        prefix: Prefix,
        /// What came.
        serial: u64,
        /// What is held.
        held: u64,
    },
}

impl NotOffered {
    /// As `show peer` prints it.
    pub(super) fn reason(self) -> Arc<str> {
        match self {
            Self::Name => "the name is not within the peer's allowed_names".into(),
            Self::Martian(prefix) => format!("{prefix} is no prefix to take from another organisation").into(),
            Self::Prefix(prefix) => format!("{prefix} is not within the peer's allowed_prefixes").into(),
            Self::OwnPrefix(prefix) => format!("{prefix} is within our own prefixes").into(),
            Self::TunnelAddress(prefix) => format!("{prefix} is, covers or is within the address of a tunnel").into(),
            Self::Endpoint(prefix, endpoint) => {
                format!("{prefix} covers {endpoint}, where the peer itself is reached").into()
            }
            Self::TunnelPrefix(prefix) => format!("{prefix} is no host within the peer's tunnel.addresses").into(),
            Self::UnnamedInTunnel(prefix) => format!("{prefix} is not among the addresses of its TUNNEL").into(),
            Self::OlderTunnel { prefix, serial, held } => {
                format!("TUNNEL of {prefix}: serial {serial} is older than {held}, which is held").into()
            }
        }
    }

    pub(super) fn kind(self) -> RefusalKind {
        match self {
            Self::Name => RefusalKind::Name,
            Self::Martian(_) => RefusalKind::Martian,
            Self::Prefix(_) => RefusalKind::Prefix,
            Self::OwnPrefix(_) => RefusalKind::OwnPrefix,
            Self::TunnelAddress(_) => RefusalKind::TunnelAddress,
            Self::Endpoint(..) => RefusalKind::Endpoint,
            Self::TunnelPrefix(_) => RefusalKind::TunnelPrefix,
            Self::UnnamedInTunnel(_) => RefusalKind::UnnamedInTunnel,
            Self::OlderTunnel { .. } => RefusalKind::OlderTunnel,
        }
    }

    /// Whether what is held from the peer stays as it was: the highest serial wins.
    pub(super) fn leaves_held(self) -> bool {
        matches!(self, Self::OlderTunnel { .. })
    }
}

/// Judges what one peer offers.
pub(super) struct OfferJudge<'a> {
    pub(super) peer: &'a Peer,
    pub(super) config: &'a SpeakerConfig,
    pub(super) own_prefixes: &'a OwnPrefixes,
    pub(super) tunnels: &'a Tunnels,
    pub(super) by_key: &'a mut ByKey,
}

impl OfferJudge<'_> {
    /// Whether every name gets the verdict as it is.
    pub(super) fn takes_any_name(&self) -> bool {
        !self.peer.outside || self.config.domains.is_empty() && self.peer.config.allowed_names.is_none()
    }

    /// The path to a destination, by the verdict on its attributes.
    pub(super) fn judge(&mut self, verdict: &Verdict, key: Key<'_>, rib: &mut Rib) -> Result<Learned, NotOffered> {
        let (learned, by_name) = match verdict {
            Verdict::Withdraw(..) => return Err(NotOffered::Name),
            Verdict::Learned(learned) => (*learned, false),
            Verdict::ByName(learned) => (*learned, true),
        };
        if let Key::Prefix(prefix) = key
            && rib.attrs.hot(learned.attr).signs.has(Signs::TUNNEL)
        {
            return self.judge_tunnel(learned, prefix, rib);
        }
        if self.peer.outside
            && let Some(note) = self.judge_outside(key, &learned, rib)?
        {
            return Ok(Learned { note, ..learned });
        }
        match &self.peer.import {
            Rule::Policy(policy) if by_name => Ok(self.ask(policy, learned, key, rib)),
            Rule::All | Rule::Nothing | Rule::Policy(_) => Ok(learned),
        }
    }

    /// What other organisations may offer, and why it is not used all the same.
    fn judge_outside(&self, key: Key<'_>, learned: &Learned, rib: &Rib) -> Result<Option<Note>, NotOffered> {
        match key {
            Key::Name(name) if is_own(self.config, name) => Ok(Some(Note::OwnDomain)),
            Key::Name(name) if !self.peer.may_offer(name) => Err(NotOffered::Name),
            Key::Name(_) => Ok(None),
            Key::Prefix(prefix) if prefix.is_martian() => Err(NotOffered::Martian(prefix)),
            Key::Prefix(prefix) if !self.peer.config.allowed_prefixes.covers(prefix) => {
                Err(self.why_not(prefix, learned, rib))
            }
            Key::Prefix(prefix) if self.own_prefixes.covers(prefix) => Ok(Some(Note::OwnPrefix)),
            Key::Prefix(prefix) => Ok(self.tunnels.refuses(self.peer, prefix).then_some(Note::TunnelAddress)),
        }
    }

    /// Why a prefix outside `allowed_prefixes` is refused: what it would take from whom says more than that nobody allowed it.
    fn why_not(&self, prefix: Prefix, learned: &Learned, rib: &Rib) -> NotOffered {
        if self.own_prefixes.covers(prefix) {
            return NotOffered::OwnPrefix(prefix);
        }
        // A default covers everything.
        if prefix.length() == 0 {
            return NotOffered::Prefix(prefix);
        }
        if prefix.covers(Prefix::of_host(self.peer.address)) {
            return NotOffered::Endpoint(prefix, self.peer.address);
        }
        let hop = rib.attrs.next_hop(learned.attr).ip().to_canonical();
        match self.endpoint_at(hop, rib) {
            Some(endpoint) if prefix.covers(Prefix::of_host(endpoint)) => NotOffered::Endpoint(prefix, endpoint),
            _ if self.tunnels.refuses(self.peer, prefix) => NotOffered::TunnelAddress(prefix),
            _ => NotOffered::Prefix(prefix),
        }
    }

    /// Where the tunnel with an address that the peer has announced is called.
    fn endpoint_at(&self, address: IpAddr, rib: &Rib) -> Option<IpAddr> {
        if !self.peer.reaches_by_tunnel(address) {
            return None;
        }
        let name = rib.names.lookup(PrefixKey::new(Prefix::of_host(address)).as_bytes())?;
        let held = rib.path(rib.find(name, self.peer.id)?);
        let endpoint = rib.attrs.decode(held.attr).tunnel.as_ref()?.endpoint?;
        Some(endpoint.ip().to_canonical())
    }

    /// An address of the peer's tunnel, by a set that import has found to be of the peer itself: the configuration of the
    /// tunnel says which it may have, nothing else does.
    fn judge_tunnel(&self, learned: Learned, prefix: Prefix, rib: &Rib) -> Result<Learned, NotOffered> {
        let is_host = prefix == Prefix::of_host(prefix.address());
        if !is_host || !self.peer.reaches_by_tunnel(prefix.address()) {
            return Err(NotOffered::TunnelPrefix(prefix));
        }
        let attrs = rib.attrs.decode(learned.attr);
        let Some(tunnel) = attrs.tunnel.as_ref().filter(|it| it.addresses.contains(&prefix)) else {
            return Err(NotOffered::UnnamedInTunnel(prefix));
        };
        match self.held_serial(prefix, rib) {
            Some(held) if held > tunnel.serial => {
                let serial = tunnel.serial;
                Err(NotOffered::OlderTunnel { prefix, serial, held })
            }
            Some(_) | None => Ok(learned),
        }
    }

    /// The serial of what the peer has said of an address on this session.
    fn held_serial(&self, prefix: Prefix, rib: &Rib) -> Option<u64> {
        let name = rib.names.lookup(PrefixKey::new(prefix).as_bytes())?;
        let held = rib.path(rib.find(name, self.peer.id)?);
        if held.flags.has(PathFlags::STALE) {
            return None;
        }
        Some(rib.attrs.decode(held.attr).tunnel.as_ref()?.serial)
    }

    fn ask(&mut self, policy: &Arc<Policy>, learned: Learned, key: Key<'_>, rib: &mut Rib) -> Learned {
        let place = Place {
            class: self.peer.import_class,
            origin: LOCAL,
            attr: learned.attr,
        };
        let facing = (&**self.peer.policy_name(), self.peer.role());
        let entry = self.by_key.entry(place, policy, &rib.attrs, facing);
        if !entry.accepts(key, !self.peer.outside) {
            let note = Note::ImportPolicy;
            return Learned { note, ..learned };
        }
        let result = entry.known(&rib.attrs).unwrap_or_else(|| {
            let attrs = rib.attrs.decode(learned.attr);
            let changed = accepted(self.peer, &attrs, None, entry.changes());
            let attr = changed.map_or(learned.attr, |attrs| rib.attrs.intern(&attrs));
            let result = Cached { attr, note: 0 };
            entry.remember(result, &rib.attrs);
            result
        });
        let attr = result.attr;
        Learned { attr, ..learned }
    }
}

/// Whether a name is under our own domains: none such is taken from outside.
pub(super) fn is_own(config: &SpeakerConfig, text: &str) -> bool {
    config.domains.iter().any(|domain| is_under(text, domain.as_str()))
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
