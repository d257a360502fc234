//! The rows of the table: names, units, targets, and the figures that a daemon was measured at.

use std::collections::BTreeMap;

/// One row. Lower is better in all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Row {
    Receive,
    ReceiveLarge,
    PairSender,
    PairReceiver,
    PairSenderLarge,
    PairReceiverLarge,
    Memory,
    MemoryLarge,
    FanInCpu,
    FanInMemory,
    FanOut10,
    FanOut50,
    LatencyP50,
    LatencyP99,
    Drop,
    LastWithdraw,
    UpdatesToExport,
    UpdatesToWithdraw,
    Wire,
    GrowthReceive,
    GrowthPair,
    GrowthMemory,
    ShowPeersCpu,
    ShowPeersLatency,
}

impl Row {
    /// In the order of the table.
    pub(super) const ALL: [Self; 24] = [
        Self::Receive,
        Self::ReceiveLarge,
        Self::PairSender,
        Self::PairReceiver,
        Self::PairSenderLarge,
        Self::PairReceiverLarge,
        Self::Memory,
        Self::MemoryLarge,
        Self::FanInCpu,
        Self::FanInMemory,
        Self::FanOut10,
        Self::FanOut50,
        Self::LatencyP50,
        Self::LatencyP99,
        Self::Drop,
        Self::LastWithdraw,
        Self::UpdatesToExport,
        Self::UpdatesToWithdraw,
        Self::Wire,
        Self::GrowthReceive,
        Self::GrowthPair,
        Self::GrowthMemory,
        Self::ShowPeersCpu,
        Self::ShowPeersLatency,
    ];

    /// Name, unit, and the target of Catalyst where there is one.
    pub(super) fn describe(self) -> (&'static str, &'static str, Option<f64>) {
        const CPU: &str = "CPU us/route";
        match self {
            Self::Receive => ("receive and install, 100k", CPU, Some(0.4)),
            Self::ReceiveLarge => ("receive and install, 1M", CPU, Some(0.8)),
            Self::PairSender => ("pair 100k, sender", CPU, Some(0.8)),
            Self::PairReceiver => ("pair 100k, receiver", CPU, Some(0.8)),
            Self::PairSenderLarge => ("pair 1M, sender", CPU, Some(0.8)),
            Self::PairReceiverLarge => ("pair 1M, receiver", CPU, Some(0.8)),
            Self::Memory => ("memory, 100k", "B/route", Some(110.0)),
            Self::MemoryLarge => ("memory, 1M", "B/route", Some(110.0)),
            Self::FanInCpu => ("fan-in 10 x 100k", "CPU us/path", Some(0.35)),
            Self::FanInMemory => ("fan-in 10 x 100k, memory", "B/path", Some(50.0)),
            Self::FanOut10 => ("fan-out 100k to 10 peers", "CPU us/route/peer", None),
            Self::FanOut50 => ("fan-out 100k to 50 peers", "CPU us/route/peer", None),
            Self::LatencyP50 => ("latency A-B-C at 100k, p50", "ms", Some(0.15)),
            Self::LatencyP99 => ("latency A-B-C at 100k, p99", "ms", Some(0.5)),
            Self::Drop => ("session drop of 100k", CPU, Some(0.2)),
            Self::LastWithdraw => ("last withdrawal at C of 100k", "ms", Some(25.0)),
            Self::UpdatesToExport => ("UPDATEs to export 100k", "messages", None),
            Self::UpdatesToWithdraw => ("UPDATEs to withdraw 100k", "messages", None),
            Self::Wire => ("wire, export of 100k", "B/route", Some(12.0)),
            Self::GrowthReceive => ("receive CPU, 1M over 100k", "times", Some(20.0)),
            Self::GrowthPair => ("pair CPU, 1M over 100k", "times", Some(20.0)),
            Self::GrowthMemory => ("memory, 1M over 100k", "times", Some(11.0)),
            Self::ShowPeersCpu => ("show peers at 1M, daemon", "CPU ms", None),
            Self::ShowPeersLatency => ("show peers at 1M, answer", "ms", Some(5.0)),
        }
    }
}

/// What one daemon was measured at; rows that are not there were not measured.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures(BTreeMap<Row, f64>);

impl Figures {
    pub(super) fn set(&mut self, row: Row, value: f64) {
        self.0.insert(row, value);
    }

    pub(super) fn get(&self, row: Row) -> Option<f64> {
        self.0.get(&row).copied()
    }

    /// Takes over the figures of other rows.
    pub(super) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Each row's median on its own.
    pub(super) fn median(runs: &[Self]) -> Self {
        let mut medians = Self::default();
        for row in Row::ALL {
            let mut values: Vec<f64> = runs.iter().filter_map(|run| run.get(row)).collect();
            values.sort_by(f64::total_cmp);
            if let Some(&median) = values.get(values.len() / 2) {
                medians.set(row, median);
            }
        }
        medians
    }

    /// Fills in what ten times the routes cost, in times of what they cost at first.
    pub(super) fn add_growth(&mut self) {
        let growth = |small: &[Row], large: &[Row]| {
            let sum = |rows: &[Row]| rows.iter().map(|row| self.get(*row)).sum::<Option<f64>>();
            // Both are per route.
            Some(10.0 * sum(large)? / sum(small)?)
        };
        let pair = growth(
            &[Row::PairSender, Row::PairReceiver],
            &[Row::PairSenderLarge, Row::PairReceiverLarge],
        );
        for (row, times) in [
            (Row::GrowthReceive, growth(&[Row::Receive], &[Row::ReceiveLarge])),
            (Row::GrowthPair, pair),
            (Row::GrowthMemory, growth(&[Row::Memory], &[Row::MemoryLarge])),
        ] {
            if let Some(times) = times {
                self.set(row, times);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(row: Row, value: f64) -> Figures {
        Figures(BTreeMap::from([(row, value)]))
    }

    #[test]
    fn the_median_is_of_each_row_and_missing_rows_stay_missing() {
        let runs = [3.0, 1.0, 2.0].map(|value| one(Row::Receive, value));
        let median = Figures::median(&runs);
        assert_eq!((median.get(Row::Receive), median.get(Row::Wire)), (Some(2.0), None));
    }

    #[test]
    fn growth_is_of_the_total_not_of_the_cost_per_route() {
        let mut figures = one(Row::Memory, 100.0);
        figures.add_growth();
        assert_eq!(figures.get(Row::GrowthMemory), None);
        figures.set(Row::MemoryLarge, 110.0);
        figures.add_growth();
        assert_eq!(figures.get(Row::GrowthMemory), Some(11.0));
    }

    #[test]
    fn rows_have_different_names() {
        let names: std::collections::BTreeSet<_> = Row::ALL.iter().map(|row| row.describe().0).collect();
        assert_eq!(names.len(), Row::ALL.len());
    }
}
