//! Who may use a name. Listeners share one scope per name; each stamps its class on its requests, and the routes in a
//! scope say which classes they take.

use std::sync::Arc;

use envoy_types::pb::envoy::config::route::v3::Route;
use envoy_types::pb::envoy::extensions::filters::http::set_metadata::v3 as stamp;
use envoy_types::pb::envoy::r#type::matcher::v3 as matcher;
use envoy_types::pb::google::protobuf;

use super::proto::any;

/// The namespace of the stamp. Only filters write there: no request brings it along.
const NAMESPACE: &str = "catalyst";
const CLASS: &str = "class";
const VIA: &str = "via";
const GRAPH: &str = "graph";

/// Whose names a listener knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class<'a> {
    /// Everything that is selected: ingress, egress and our own organisation's nodes.
    Own,
    /// What is exported to one outside organisation.
    Org(&'a str),
}

impl Class<'_> {
    fn value(self) -> String {
        match self {
            Self::Own => "own".into(),
            Self::Org(org) => format!("org:{org}"),
        }
    }
}

/// Whose requests a route takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody's: there is nothing to keep from them.
    Everybody,
    /// Our own and those of these outside organisations, in order.
    Only(Vec<Arc<str>>),
}

impl Access {
    /// Has the routes take nothing but what is allowed.
    pub(crate) fn restrict(&self, routes: &mut [Route]) {
        let Self::Only(orgs) = self else { return };
        let condition = condition(orgs);
        for matches in routes.iter_mut().filter_map(|route| route.r#match.as_mut()) {
            matches.dynamic_metadata.push(condition.clone());
        }
    }
}

fn condition(orgs: &[Arc<str>]) -> matcher::MetadataMatcher {
    let others = orgs.iter().map(|org| Class::Org(org));
    let classes: Vec<_> = std::iter::once(Class::Own).chain(others).map(is).collect();
    let segment = matcher::metadata_matcher::PathSegment {
        segment: Some(matcher::metadata_matcher::path_segment::Segment::Key(CLASS.into())),
    };
    matcher::MetadataMatcher {
        filter: NAMESPACE.into(),
        path: vec![segment],
        value: Some(any_of(classes)),
        ..Default::default()
    }
}

fn is(class: Class<'_>) -> matcher::ValueMatcher {
    let exact = matcher::StringMatcher {
        match_pattern: Some(matcher::string_matcher::MatchPattern::Exact(class.value())),
        ..Default::default()
    };
    matcher::ValueMatcher {
        match_pattern: Some(matcher::value_matcher::MatchPattern::StringMatch(exact)),
    }
}

fn any_of(mut matchers: Vec<matcher::ValueMatcher>) -> matcher::ValueMatcher {
    if matchers.len() == 1 {
        return matchers.remove(0);
    }
    matcher::ValueMatcher {
        match_pattern: Some(matcher::value_matcher::MatchPattern::OrMatch(matcher::OrMatcher {
            value_matchers: matchers,
        })),
    }
}

/// The stamp of a listener: its class, what its Lua filter does with the via header, and whether it knows the graph.
/// A filter of its own and not the Lua filter sets it, so that no mistake in a script can open a name.
pub(crate) fn stamp(class: Class<'_>, via: &str, graph: bool) -> stamp::Config {
    let text = |text: &str| protobuf::value::Kind::StringValue(text.into());
    // A list in order, not a map: the same listener has the same bytes.
    let fields = [
        (CLASS, text(&class.value())),
        (VIA, text(via)),
        (GRAPH, protobuf::value::Kind::BoolValue(graph)),
    ];
    let metadata = fields.map(|(key, kind)| {
        let value = protobuf::Value { kind: Some(kind) };
        stamp::Metadata {
            metadata_namespace: NAMESPACE.into(),
            allow_overwrite: true,
            value: Some(protobuf::Struct {
                fields: [(key.to_owned(), value)].into(),
            }),
            ..Default::default()
        }
    });
    stamp::Config {
        metadata: metadata.into(),
        ..Default::default()
    }
}

/// The stamp as a filter's configuration.
pub(crate) fn stamp_filter(class: Class<'_>, via: &str, graph: bool) -> protobuf::Any {
    any(&stamp(class, via, graph))
}
