//! A cluster that fails late leaves CDS silent: it stays in Envoy, warming, and while anything warms Envoy withholds
//! every CDS answer, even the refusal of that very cluster.
//!
//! Silence alone may also be a busy Envoy. So after a while another kind is asked to answer (an empty response): Envoy
//! works in order, and if that answer overtakes the one of CDS, CDS is withheld. Then what the silent response brought
//! is taken back, which ends the warming, the answers come, and the refusal names the bad cluster; the others go again.
//! No route names new clusters yet: it waits for this.

use std::time::{Duration, Instant};

use crate::ads::cluster::may_warm;
use crate::ads::state::{InFlight, Item};

/// When to ask, if nothing in the response has a reason to warm for longer. Before `ANSWER_WAIT` is over, so that routes
/// still wait.
const PROBE_AFTER: Duration = Duration::from_millis(500);
/// When to ask otherwise: Envoy waits 15 s for endpoints, and about as long for DNS or a first health check.
const PROBE_SLOW_AFTER: Duration = Duration::from_secs(20);

/// What one stream does about a silent CDS.
#[derive(Debug, Default)]
pub(super) struct Silence {
    /// The silent response that was asked about. A silence is asked about once: if taking back did not end it, its cause
    /// is older than this stream, and every further attempt would disturb clusters that are good.
    about: Option<String>,
    /// The empty response that is to overtake it.
    probe: Option<String>,
}

impl Silence {
    /// When to ask about `oldest`, the oldest response without an answer; `None` if this silence was asked about.
    pub(super) fn due(&self, oldest: &InFlight) -> Option<Instant> {
        if self.about.is_some() {
            return None;
        }
        let prompt = oldest.items.iter().all(|sent| is_prompt(&sent.item));
        Some(oldest.sent_at + if prompt { PROBE_AFTER } else { PROBE_SLOW_AFTER })
    }

    /// Notes that the probe left.
    pub(super) fn ask(&mut self, about: String, probe: String) {
        self.about = Some(about);
        self.probe = Some(probe);
    }

    /// Notes that CDS has answered.
    pub(super) fn end(&mut self) {
        self.about = None;
    }

    /// Whether the answer to `nonce` overtook that of `oldest`.
    pub(super) fn is_proven(&mut self, nonce: &str, oldest: &InFlight) -> bool {
        if self.probe.as_deref() != Some(nonce) {
            return false;
        }
        self.probe = None;
        self.about.as_ref() == Some(&oldest.nonce)
    }
}

/// What takes a silent response back: the content before it, or the removal of what is new. Where the content before is
/// not known, Envoy keeps what it has.
pub(super) fn take_back(silent: &InFlight) -> Vec<Item> {
    let upserts = silent.items.iter().filter(|sent| sent.item.content.is_some());
    let items = upserts.filter_map(|sent| {
        let content = match &sent.prior {
            None => None,
            Some(prior) => Some(prior.content.clone()?),
        };
        Some(Item {
            name: sent.item.name.clone(),
            content,
        })
    });
    items.collect()
}

fn is_prompt(item: &Item) -> bool {
    item.content.as_ref().is_none_or(|content| !may_warm(content))
}
