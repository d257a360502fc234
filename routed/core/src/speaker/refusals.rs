//! Why what a peer announced was refused: counted by kind, each with the newest route that it befell.

use std::sync::Arc;

use crate::destination::Destination;
use crate::rib::Note;
use crate::view::RefusalView;

/// A kind of reason. There are few, however much a peer sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefusalKind {
    /// The attributes cannot be read, or one is missing or of the wrong family (RFC 7606).
    Malformed,
    /// The leftmost AS is not the peer's.
    LeftmostAs,
    /// The next hop is neither the peer's address nor allowed.
    NextHop,
    /// The next hop is no address of the tunnel that is required.
    OutsideTunnel,
    /// TUNNEL of another node than the peer.
    ForeignTunnel,
    /// TUNNEL on what is no host within `tunnel.addresses`.
    TunnelPrefix,
    /// TUNNEL that does not name the address that it is on.
    UnnamedInTunnel,
    /// TUNNEL of a lower serial than the one that is held.
    OlderTunnel,
    /// Outside `allowed_names`.
    Name,
    /// Outside `allowed_prefixes`.
    Prefix,
    /// Not routed between networks.
    Martian,
    /// Under our own domains.
    OwnDomain,
    /// Within our own prefixes.
    OwnPrefix,
    /// Is, covers or is within the address of a tunnel.
    TunnelAddress,
    /// Covers where the peer itself is reached.
    Endpoint,
    /// Against ONLY_TO_CUSTOMER (RFC 9234).
    RouteLeak,
}

impl RefusalKind {
    /// Why a path is kept and never used; `None`: an ordinary matter of policy and loops, or it is used.
    fn of_note(note: Note) -> Option<Self> {
        match note {
            Note::OwnDomain => Some(Self::OwnDomain),
            Note::OwnPrefix => Some(Self::OwnPrefix),
            Note::TunnelAddress => Some(Self::TunnelAddress),
            Note::RouteLeak => Some(Self::RouteLeak),
            Note::Accepted
            | Note::ImportPolicy
            | Note::OwnAs
            | Note::OwnOriginator
            | Note::OwnCluster
            | Note::OwnOrganisation => None,
        }
    }

    /// As `show peer` prints it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed attributes",
            Self::LeftmostAs => "leftmost AS",
            Self::NextHop => "next hop not allowed",
            Self::OutsideTunnel => "next hop outside the tunnel",
            Self::ForeignTunnel => "TUNNEL of another node",
            Self::TunnelPrefix => "not within tunnel.addresses",
            Self::UnnamedInTunnel => "not named by its TUNNEL",
            Self::OlderTunnel => "older TUNNEL",
            Self::Name => "not within allowed_names",
            Self::Prefix => "not within allowed_prefixes",
            Self::Martian => "not routed between networks",
            Self::OwnDomain => "own domain",
            Self::OwnPrefix => "own prefix",
            Self::TunnelAddress => "tunnel address",
            Self::Endpoint => "the peer's own endpoint",
            Self::RouteLeak => "route leak",
        }
    }
}

/// What was refused for one kind of reason.
#[derive(Debug, Clone)]
struct Refused {
    kind: RefusalKind,
    count: u64,
    newest: Newest,
}

/// The newest route of a kind: what it leads to, and the reason in full.
pub(super) type Newest = (String, Arc<str>);

/// What was refused of a peer, or of one UPDATE: at most one entry of a kind, in the order that they first came.
#[derive(Debug, Clone, Default)]
pub(super) struct Refusals(Vec<Refused>);

impl Refusals {
    /// Counts routes of one UPDATE. Only the first of a kind is put into words.
    pub(super) fn count(&mut self, kind: RefusalKind, by: u64, newest: impl FnOnce() -> Newest) {
        match self.0.iter_mut().find(|known| known.kind == kind) {
            Some(known) => known.count += by,
            None => self.0.push(Refused {
                kind,
                count: by,
                newest: newest(),
            }),
        }
    }

    /// Counts a path that is kept and never used.
    pub(super) fn count_kept(&mut self, note: Note, key: &[u8]) {
        if let Some(kind) = RefusalKind::of_note(note) {
            let reason = note.text().trim_start_matches("rejected: ");
            self.count(kind, 1, || (Destination::from_key(key).to_string(), reason.into()));
        }
    }

    /// Adds what came later.
    pub(super) fn add(&mut self, later: Self) {
        for refused in later.0 {
            match self.0.iter_mut().find(|known| known.kind == refused.kind) {
                Some(known) => {
                    known.count += refused.count;
                    known.newest = refused.newest;
                }
                None => self.0.push(refused),
            }
        }
    }

    pub(super) fn show(&self) -> Vec<RefusalView> {
        let view = |refused: &Refused| RefusalView {
            kind: refused.kind.as_str(),
            count: refused.count,
            newest: refused.newest.0.clone(),
            reason: refused.newest.1.clone(),
        };
        self.0.iter().map(view).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_one_entry_with_its_newest_route() {
        let newest = |route: &str| (route.to_owned(), Arc::from("why"));
        let mut all = Refusals::default();
        for route in ["10.0.0.0/8", "10.1.0.0/16"] {
            let mut update = Refusals::default();
            update.count(RefusalKind::Prefix, 1, || newest(route));
            update.count(RefusalKind::Prefix, 2, || newest("not asked for"));
            all.add(update);
        }
        let mut update = Refusals::default();
        update.count(RefusalKind::NextHop, 1, || newest("x.acme"));
        all.add(update);
        let shown: Vec<_> = all
            .show()
            .into_iter()
            .map(|it| (it.kind, it.count, it.newest))
            .collect();
        let expected = [
            ("not within allowed_prefixes", 6, "10.1.0.0/16".to_owned()),
            ("next hop not allowed", 1, "x.acme".to_owned()),
        ];
        assert_eq!(shown, expected);
    }
}
