//! From a snapshot to text, by the encoders of prometheus-client.

use std::borrow::Cow;
use std::fmt;

use hyper::HeaderMap;
use hyper::header::ACCEPT;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::catalogue;
use super::snapshot::Snapshot;

/// What all names begin with.
const PREFIX: &str = "catalyst";

/// The formats in which metrics are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// OpenMetrics 1.0.0, for those who ask for it.
    OpenMetrics,
    /// The text format of Prometheus, for everybody else.
    Text,
}

impl Format {
    /// What a client wants. Who takes OpenMetrics at all, as Prometheus does, gets it.
    pub(super) fn wanted(headers: &HeaderMap) -> Self {
        let mut accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        if accepted.any(|value| value.contains("application/openmetrics-text")) {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => prometheus_text::CONTENT_TYPE,
        }
    }
}

/// The whole answer to a scrape.
///
/// # Errors
/// None: text takes everything. The encoders allow for writers that do not.
pub(super) fn expose(snapshot: Snapshot, format: Format) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(snapshot));
    let mut out = String::new();
    match format {
        Format::OpenMetrics => text::encode(&mut out, &registry)?,
        Format::Text => prometheus_text::encode(&mut out, &registry)?,
    }
    Ok(out)
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        catalogue::all()
            .iter()
            .try_for_each(|metric| metric.encode(self, &mut encoder))
    }
}

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It only grows, until what is counted begins anew.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It says something by its labels.
    Info,
}

/// A metric: what it is called, what it says, and where its values are.
pub(super) struct Metric {
    /// Without [`PREFIX`], unit, `_total` and `_info`.
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: Kind,
    pub(super) unit: Option<Unit>,
    pub(super) read: for<'a> fn(&'a Snapshot, &mut Samples<'a>),
}

/// The values of a metric.
#[derive(Debug, Default)]
pub(super) struct Samples<'a>(Vec<(Labels<'a>, u64)>);

/// Labels, in order.
pub(super) type Labels<'a> = Vec<(&'static str, Cow<'a, str>)>;

impl<'a> Samples<'a> {
    pub(super) fn add(&mut self, labels: Labels<'a>, value: u64) {
        self.0.push((labels, value));
    }
}

impl Metric {
    /// One that has no value now is left out.
    fn encode(&self, snapshot: &Snapshot, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut samples = Samples::default();
        (self.read)(snapshot, &mut samples);
        if samples.0.is_empty() {
            return Ok(());
        }
        let kind = match self.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Info => MetricType::Info,
        };
        let mut encoder = encoder.encode_descriptor(self.name, self.help, self.unit.as_ref(), kind)?;
        let mut samples = samples.0.iter();
        samples.try_for_each(|(labels, value)| self.encode_sample(labels, *value, &mut encoder))
    }

    fn encode_sample(&self, labels: &Labels<'_>, value: u64, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        match self.kind {
            Kind::Counter => encoder
                .encode_family(labels)?
                .encode_counter::<NoLabelSet, _, u64>(&value, None),
            Kind::Gauge => encoder.encode_family(labels)?.encode_gauge(&value),
            Kind::Info => encoder.encode_info(labels),
        }
    }
}
