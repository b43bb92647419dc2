//! What was exported, a line each.

use opentelemetry::KeyValue;
use opentelemetry::logs::AnyValue;
use opentelemetry_sdk::logs::SdkLogRecord;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Metric, MetricData, ScopeMetrics};
use opentelemetry_sdk::trace::SpanData;
use tower::BoxError;

use super::telemetry::Telemetry;

pub(crate) fn report(telemetry: &Telemetry) -> Result<Vec<String>, BoxError> {
    telemetry.flush()?;
    let mut lines: Vec<_> = telemetry.spans.get_finished_spans()?.iter().map(span).collect();
    lines.extend(telemetry.logs.get_emitted_logs()?.iter().map(|log| log_record(&log.record)));
    // Counts are since the start: the last export holds all.
    if let Some(last) = telemetry.metrics.get_finished_metrics()?.last() {
        lines.extend(last.scope_metrics().flat_map(ScopeMetrics::metrics).flat_map(metric));
    }
    Ok(lines)
}

fn span(span: &SpanData) -> String {
    let trace = span.span_context.trace_id();
    let mut lines = vec![format!("span {} trace={trace} {}", span.name, pairs(&span.attributes))];
    lines.extend(span.events.iter().map(|event| format!("event {}", pairs(&event.attributes))));
    lines.join(", ")
}

fn log_record(record: &SdkLogRecord) -> String {
    let attributes = record.attributes_iter().map(|(key, value)| match value {
        AnyValue::String(text) => format!("{key}={text}"),
        AnyValue::Int(number) => format!("{key}={number}"),
        other => format!("{key}={other:?}"),
    });
    let attributes = attributes.collect::<Vec<_>>().join(" ");
    let trace = record.trace_context().map(|trace| trace.trace_id.to_string()).unwrap_or_default();
    format!("log {} trace={trace} {attributes}", record.severity_text().unwrap_or_default())
}

fn metric(metric: &Metric) -> Vec<String> {
    let (name, unit) = (metric.name(), metric.unit());
    match metric.data() {
        AggregatedMetrics::U64(MetricData::Sum(sum)) => sum
            .data_points()
            .map(|point| format!("metric {name} {} = {}", pairs(point.attributes()), point.value()))
            .collect(),
        AggregatedMetrics::F64(MetricData::Histogram(histogram)) => histogram
            .data_points()
            .map(|point| {
                let labels = pairs(point.attributes());
                format!("metric {name} {labels} = {} times, {} {unit} in all", point.count(), point.sum())
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn pairs<'a>(attributes: impl IntoIterator<Item = &'a KeyValue>) -> String {
    let mut pairs: Vec<_> = attributes.into_iter().map(|pair| format!("{}={}", pair.key, pair.value)).collect();
    pairs.sort();
    pairs.join(" ")
}
