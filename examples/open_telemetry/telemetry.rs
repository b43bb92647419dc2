//! Where spans, log records and metrics go: into memory here. Put the exporters of `opentelemetry-otlp` in their places.

use opentelemetry::metrics::MeterProvider;
use opentelemetry::trace::TracerProvider;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::logs::{InMemoryLogExporter, SdkLoggerProvider};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tower::BoxError;
use tracing::Level;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;

use super::recorder::Recorder;

/// The target of the application's own spans.
pub(crate) const SHOP: &str = "shop";

/// What was exported, and what exports it.
#[derive(Default)]
pub(crate) struct Telemetry {
    pub(crate) spans: InMemorySpanExporter,
    pub(crate) logs: InMemoryLogExporter,
    pub(crate) metrics: InMemoryMetricExporter,
    providers: Option<(SdkTracerProvider, SdkLoggerProvider, SdkMeterProvider)>,
}

impl Telemetry {
    /// Sends all that this process tells to OpenTelemetry.
    pub(crate) fn install() -> Result<Self, BoxError> {
        let telemetry = Self::default();
        let tracers = SdkTracerProvider::builder().with_simple_exporter(telemetry.spans.clone()).build();
        let loggers = SdkLoggerProvider::builder().with_simple_exporter(telemetry.logs.clone()).build();
        let meters = SdkMeterProvider::builder().with_periodic_exporter(telemetry.metrics.clone()).build();

        // Spans with their events, and what `fieldseal` tells as log records, too, each with the id of its trace: events
        // alone are lost where the trace is not sampled, and where a body flows on after its span has ended.
        let spans = tracing_opentelemetry::layer().with_tracer(tracers.tracer(SHOP));
        let spans = spans.with_location(false).with_threads(false).with_tracked_inactivity(false);
        let fieldseal = Targets::new().with_target("fieldseal", Level::INFO);
        let subscriber = tracing_subscriber::registry()
            .with(spans.with_filter(fieldseal.clone().with_target(SHOP, Level::INFO)))
            .with(OpenTelemetryTracingBridge::new(&loggers).with_filter(fieldseal));
        tracing::subscriber::set_global_default(subscriber)?;

        metrics::set_global_recorder(Recorder::new(meters.meter(SHOP))).map_err(|_| "there is a recorder already")?;
        fieldseal::metrics::describe();
        Ok(Self { providers: Some((tracers, loggers, meters)), ..telemetry })
    }

    /// Exports what was not exported yet.
    pub(crate) fn flush(&self) -> Result<(), BoxError> {
        if let Some((tracers, loggers, meters)) = &self.providers {
            tracers.force_flush()?;
            loggers.force_flush()?;
            meters.force_flush()?;
        }
        Ok(())
    }
}
