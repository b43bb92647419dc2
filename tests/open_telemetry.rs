//! Proves that the example `open_telemetry` exports who saw how many values of which field, and no value or token.
#![cfg(all(feature = "layer", feature = "metrics"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../examples/open_telemetry/recorder.rs"]
mod recorder;
#[path = "../examples/open_telemetry/report.rs"]
mod report;
#[path = "../examples/open_telemetry/shop.rs"]
mod shop;
#[path = "../examples/open_telemetry/telemetry.rs"]
mod telemetry;

use report::report;
use telemetry::Telemetry;

#[tokio::test]
async fn who_saw_what_is_exported_and_no_value_is() {
    let telemetry = Telemetry::install().unwrap();
    shop::spend_a_day().await.unwrap();
    let lines = report(&telemetry).unwrap();
    let text = lines.join("\n");

    let find = |words: &[&str]| {
        let line = lines.iter().find(|line| words.iter().all(|word| line.contains(word)));
        line.unwrap_or_else(|| panic!("nothing says {words:?}:\n{text}"))
    };
    for field in ["field=name", "field=phone"] {
        let said = ["kind=revealed", "collection=customers", field, "who=siti@example.sg", "count=2"];
        let log = find(&[&["log INFO"], &said[..]].concat());
        // The log record and the event belong to the same request.
        let trace = log.split(' ').find(|word| word.starts_with("trace=")).unwrap();
        assert_eq!(trace.len(), "trace=".len() + 32);
        find(&[&["span request", trace, "method=GET", "path=/customers"], &said[..]].concat());
        find(&["metric fieldseal_values_encrypted_total", "collection=customers", field]);
        find(&["metric fieldseal_values_decrypted_total", "collection=customers", field, "= 4"]);
        find(&["metric fieldseal_values_revealed_total", "collection=customers", field, "= 2"]);
    }
    find(&["log WARN", "kind=token_submitted", "field=phone", "who=mallory", "key_id=", "count=1"]);
    find(&["metric fieldseal_refusals_total", "direction=request", "kind=token_submitted", "= 1"]);
    find(&["metric fieldseal_body_duration_seconds", "direction=response", "= 2 times", " s in all"]);
    find(&["metric fieldseal_body_received_bytes", "direction=request", "= 3 times", " By in all"]);

    // Not in the report only: in nothing that was exported.
    let spans = telemetry.spans.get_finished_spans().unwrap();
    let logs = telemetry.logs.get_emitted_logs().unwrap();
    let metrics = telemetry.metrics.get_finished_metrics().unwrap();
    let all = format!("{text}{spans:?}{logs:?}{metrics:?}");
    for secret in ["Tan Wei", "Wei Ming", "9123", "8123 4567", "李小龍", "Mallory", "fs1."] {
        assert!(!all.contains(secret), "{secret} was exported");
    }
}
