//! Prints the figures of the daemons side by side, as a table or as JSON.

use serde_json::{Map, Value, json};

use super::rows::{Figures, Row};

/// A column: the daemon's name, and its figures unless it was not there to be measured.
pub(super) type Column = (&'static str, Option<Figures>);

/// `{"rows":[{"name","unit", one key per daemon}]}`; what was not measured is null.
pub(super) fn json(columns: &[Column]) -> Value {
    let rows: Vec<Value> = measured(columns).map(|row| json_row(row, columns)).collect();
    json!({ "rows": rows })
}

fn json_row(row: Row, columns: &[Column]) -> Value {
    let (name, unit, _) = row.describe();
    let mut object = Map::new();
    object.insert("name".into(), name.into());
    object.insert("unit".into(), unit.into());
    for column in columns {
        let value = figure(column, row).map(|value| (value * 1000.0).round() / 1000.0);
        object.insert(column.0.into(), json!(value));
    }
    object.into()
}

/// The table in Markdown, as the README carries it.
pub(super) fn table(columns: &[Column]) -> String {
    let names: String = columns.iter().map(|column| format!(" {:>9} |", column.0)).collect();
    let mut out = format!("| {:<30} | {:<17} |{names} {:>7} |\n", "", "", "target");
    out.push_str(&format!("|---|---|{}---|\n", "---|".repeat(columns.len())));
    for row in measured(columns) {
        let (name, unit, target) = row.describe();
        let cells: String = columns
            .iter()
            .map(|column| format!(" {:>9} |", cell(figure(column, row))))
            .collect();
        out.push_str(&format!("| {name:<30} | {unit:<17} |{cells} {:>7} |\n", cell(target)));
    }
    out
}

fn measured(columns: &[Column]) -> impl Iterator<Item = Row> + '_ {
    let rows = Row::ALL.into_iter();
    rows.filter(|row| columns.iter().any(|column| figure(column, *row).is_some()))
}

fn figure(column: &Column, row: Row) -> Option<f64> {
    column.1.as_ref()?.get(row)
}

fn cell(value: Option<f64>) -> String {
    match value {
        None => "-".into(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_null() {
        let mut figures = Figures::default();
        figures.set(Row::Receive, 0.2104);
        let printed = json(&[("catalyst", Some(figures)), ("bird", None)]);
        let expected = json!({ "rows": [{
            "name": "receive and install, 100k", "unit": "CPU us/route", "catalyst": 0.21, "bird": null,
        }]});
        assert_eq!(printed, expected);
    }
}
