//! Prints the figures beside the targets, as a table or as JSON.

use super::measure::Figures;

struct Row {
    name: &'static str,
    unit: &'static str,
    get: fn(&Figures) -> f64,
    /// The goal for names of 30 bytes at 100,000 routes.
    target: f64,
}

const ROWS: [Row; 9] = [
    Row {
        name: "receive and install",
        unit: "CPU us/route",
        get: |f| f.receive_us,
        target: 0.4,
    },
    Row {
        name: "pair, sender",
        unit: "CPU us/route",
        get: |f| f.pair_sender_us,
        target: 0.8,
    },
    Row {
        name: "pair, receiver",
        unit: "CPU us/route",
        get: |f| f.pair_receiver_us,
        target: 0.8,
    },
    Row {
        name: "memory",
        unit: "B/route",
        get: |f| f.memory_bytes,
        target: 110.0,
    },
    Row {
        name: "latency A-B-C, p50",
        unit: "ms",
        get: |f| f.latency_p50_ms,
        target: 0.15,
    },
    Row {
        name: "latency A-B-C, p99",
        unit: "ms",
        get: |f| f.latency_p99_ms,
        target: 0.5,
    },
    Row {
        name: "session drop",
        unit: "CPU us/route",
        get: |f| f.drop_us,
        target: 0.2,
    },
    Row {
        name: "last withdrawal at C",
        unit: "ms",
        get: |f| f.last_withdraw_ms,
        target: 25.0,
    },
    Row {
        name: "wire",
        unit: "B/route",
        get: |f| f.wire_bytes,
        target: 12.0,
    },
];

/// Prints all rows. Lower is better throughout.
pub(super) fn print(json: bool, routes: u32, catalyst: &Figures, bird: Option<&Figures>) {
    if json {
        print_json(routes, catalyst, bird);
    } else {
        print_table(routes, catalyst, bird);
    }
}

fn print_json(routes: u32, catalyst: &Figures, bird: Option<&Figures>) {
    let rows: Vec<_> = ROWS
        .iter()
        .map(|row| {
            serde_json::json!({
                "name": row.name, "unit": row.unit, "catalyst": (row.get)(catalyst), "bird": bird.map(row.get),
                "target": row.target,
            })
        })
        .collect();
    println!("{:#}", serde_json::json!({ "routes": routes, "rows": rows }));
}

fn print_table(routes: u32, catalyst: &Figures, bird: Option<&Figures>) {
    println!("{routes} routes, 10 to an attribute set; BIRD moves IPv4 prefixes, Catalyst names of 30 bytes");
    println!(
        "{:<22} {:<13} {:>9} {:>9} {:>9}",
        "", "unit", "catalyst", "BIRD", "target"
    );
    for row in &ROWS {
        let other = bird.map_or_else(|| "-".to_owned(), |figures| format!("{:.2}", (row.get)(figures)));
        println!(
            "{:<22} {:<13} {:>9.2} {other:>9} {:>9.2}",
            row.name,
            row.unit,
            (row.get)(catalyst),
            row.target
        );
    }
}
