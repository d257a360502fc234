//! Lines as events.

use std::str::{FromStr, Split};
use std::sync::Arc;

use bytes::Bytes;

use super::Configurations;
use crate::attrs::{LargeCommunity, Protocol};
use crate::event::{ConnId, Event, LocalPrefix, LocalService, PlaneReport};
use crate::name::ServiceName;
use crate::operate::{Operation, PeerAct};
use crate::route::{Destination, Endpoint, PlaneStatus};

/// The reverse of [`escaped`](super::write::escaped).
pub(super) fn unescaped(field: &str) -> Option<String> {
    if field == "%" {
        return Some(String::new());
    }
    let (mut bytes, mut rest) = (Vec::new(), field.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first == b'%' {
            let (digits, after) = rest.split_first_chunk::<2>()?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(first);
        }
    }
    String::from_utf8(bytes).ok()
}

fn bytes(field: &str) -> Option<Bytes> {
    if field == "%" {
        return Some(Bytes::new());
    }
    let digit = |at: usize| u8::from_str_radix(field.get(at..at + 2)?, 16).ok();
    (0..field.len()).step_by(2).map(digit).collect()
}

/// The fields of a line, front to back.
struct Fields<'a>(Split<'a, char>);

impl<'a> Fields<'a> {
    fn raw(&mut self) -> Option<&'a str> {
        self.0.next()
    }

    fn text(&mut self) -> Option<Arc<str>> {
        unescaped(self.raw()?).map(Arc::from)
    }

    fn parsed<T: FromStr>(&mut self) -> Option<T> {
        self.raw()?.parse().ok()
    }

    fn list<T>(&mut self, item: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
        match self.raw()? {
            "%" => Some(Vec::new()),
            items => items.split(',').map(item).collect(),
        }
    }

    fn conn(&mut self) -> Option<ConnId> {
        self.parsed().map(ConnId)
    }

    fn name(&mut self) -> Option<ServiceName> {
        ServiceName::parse(self.raw()?).ok()
    }

    fn number(&mut self) -> Option<Option<u32>> {
        match self.raw()? {
            "%" => Some(None),
            number => number.parse().ok().map(Some),
        }
    }
}

/// The event of a line, and the word of the configuration in it.
pub(super) fn event(line: &str, configurations: &impl Configurations) -> Result<(Event, String), String> {
    let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
    let mut fields = Fields(rest.split(' '));
    let bad = || format!("{kind}: its fields cannot be read");
    if let "peer-add" | "reconfigure" = kind {
        let word = fields.text().ok_or_else(bad)?;
        let event = match kind {
            "peer-add" => configurations.peer_add(&word),
            _ => configurations
                .speaker(&word)
                .map(|config| Event::Reconfigure(Box::new(config))),
        };
        let event = event.ok_or_else(|| format!("nobody knows the configuration {word}"))?;
        return Ok((event, word.to_string()));
    }
    let event = plain(kind, &mut fields).ok_or_else(bad)?;
    Ok((event, String::new()))
}

fn plain(kind: &str, fields: &mut Fields<'_>) -> Option<Event> {
    Some(match kind {
        "connected" => Event::Connected {
            peer: fields.text()?,
            conn: fields.conn()?,
            local: fields.parsed()?,
            remote: fields.parsed()?,
        },
        "connect-failed" => Event::ConnectFailed {
            peer: fields.text()?,
            error: fields.text()?,
        },
        "accepted" => Event::Accepted {
            conn: fields.conn()?,
            local: fields.parsed()?,
            remote: fields.parsed()?,
        },
        "frame" => Event::Frame {
            conn: fields.conn()?,
            kind: fields.parsed()?,
            body: bytes(fields.raw()?)?,
        },
        "bad-frame" => Event::BadFrame {
            conn: fields.conn()?,
            length: fields.parsed()?,
        },
        "closed" => Event::Closed {
            conn: fields.conn()?,
            reason: fields.text()?,
        },
        "sent" => Event::Sent {
            conn: fields.conn()?,
            bytes: fields.parsed()?,
        },
        "heard" => Event::Heard { conn: fields.conn()? },
        "timeout" => Event::Timeout,
        "service-add" => Event::ServiceAdd(service(fields)?),
        "service-remove" => Event::ServiceRemove(fields.name()?),
        "prefix-add" => Event::PrefixAdd(prefix(fields)?),
        "prefix-remove" => Event::PrefixRemove(fields.parsed()?),
        "plane-up" => Event::PlaneUp(fields.text()?),
        "plane-down" => Event::PlaneDown(fields.text()?),
        "plane-report" => Event::PlaneReport(PlaneReport {
            plane: fields.text()?,
            version: fields.parsed()?,
            statuses: fields.list(status)?,
        }),
        "next-hop" => Event::NextHop {
            address: fields.parsed()?,
            usable: fields.parsed()?,
        },
        "tunnel" => Event::Tunnel {
            address: fields.parsed()?,
            up: fields.parsed()?,
        },
        "listeners" => Event::Listeners {
            plane: fields.text()?,
            closed: fields.list(closed)?,
        },
        "peer-remove" => Event::PeerRemove(fields.text()?),
        "operate" => Event::Operate(operation(fields)?),
        "leave" => Event::Leave,
        "shutdown" => Event::Shutdown(fields.text()?),
        _ => return None,
    })
}

fn service(fields: &mut Fields<'_>) -> Option<LocalService> {
    Some(LocalService {
        name: fields.name()?,
        protocol: Protocol::parse(fields.raw()?)?,
        path: Some(fields.text()?).filter(|path| !path.is_empty()),
        weight: fields.parsed()?,
        endpoints: fields.list(endpoint)?,
        communities: fields.list(|it| it.parse().ok())?,
        large_communities: fields.list(large)?,
        med: fields.number()?,
    })
}

fn prefix(fields: &mut Fields<'_>) -> Option<LocalPrefix> {
    Some(LocalPrefix {
        prefix: fields.parsed()?,
        communities: fields.list(|it| it.parse().ok())?,
        large_communities: fields.list(large)?,
        med: fields.number()?,
    })
}

fn endpoint(item: &str) -> Option<Endpoint> {
    let mut parts = item.split('=');
    Some(Endpoint {
        host: unescaped(parts.next()?)?.into(),
        port: parts.next()?.parse().ok()?,
        weight: parts.next()?.parse().ok()?,
    })
}

fn large(item: &str) -> Option<LargeCommunity> {
    let mut parts = item.split(':').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next()??))
}

fn status(item: &str) -> Option<(Destination, PlaneStatus)> {
    let mut parts = item.split('=');
    let destination = parts.next()?.parse().ok()?;
    let (status, words) = (parts.next()?, unescaped(parts.next()?)?.into());
    let status = match status {
        "pending" => PlaneStatus::Pending(words),
        "programmed" => PlaneStatus::Programmed,
        "rejected" => PlaneStatus::Rejected(words),
        _ => return None,
    };
    Some((destination, status))
}

fn closed(item: &str) -> Option<(Arc<str>, Arc<str>)> {
    let (organisation, why) = item.split_once('=')?;
    Some((unescaped(organisation)?.into(), unescaped(why)?.into()))
}

fn operation(fields: &mut Fields<'_>) -> Option<Operation> {
    let (peer, act, message) = (fields.text()?, fields.raw()?, fields.text()?);
    let act = match act {
        "disable" => PeerAct::Disable { message },
        "enable" => PeerAct::Enable,
        "reset" => PeerAct::Reset { message, hard: false },
        "hard-reset" => PeerAct::Reset { message, hard: true },
        "refresh" => PeerAct::Refresh,
        _ => return None,
    };
    Some(Operation { peer, act })
}
