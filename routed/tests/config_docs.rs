//! docs/config.md and docs/config.schema.json say what the types say.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;

use catalyst_routed::config::docs;

#[test]
fn reference_is_up_to_date() {
    up_to_date("config.md", &docs::markdown());
}

#[test]
fn schema_is_up_to_date() {
    up_to_date("config.schema.json", &docs::schema_json());
}

fn up_to_date(name: &str, expected: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, expected).unwrap();
        return;
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == expected,
        "docs/{name} is out of date; write it anew by: BLESS=1 cargo test -p catalyst-routed --test config_docs"
    );
}
