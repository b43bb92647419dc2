//! Hands what the crate `metrics` is told on to OpenTelemetry. An instrument is made once for each name and its labels.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, SharedString, Unit};
use metrics_util::registry::{Registry, Storage};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

pub(crate) struct Recorder {
    registry: Registry<Key, Arc<Instruments>>,
    instruments: Arc<Instruments>,
}

struct Instruments {
    meter: Meter,
    descriptions: Mutex<HashMap<String, (&'static str, SharedString)>>,
}

/// An instrument of OpenTelemetry, and the labels it is told with.
struct Bound<I>(I, Vec<KeyValue>);

impl Recorder {
    pub(crate) fn new(meter: Meter) -> Self {
        let instruments = Arc::new(Instruments { meter, descriptions: Mutex::default() });
        Self { registry: Registry::new(Arc::clone(&instruments)), instruments }
    }

    fn describe(&self, name: &KeyName, unit: Option<Unit>, text: SharedString) {
        let unit = match unit {
            Some(Unit::Bytes) => "By",
            Some(Unit::Seconds) => "s",
            _ => "",
        };
        let mut descriptions = self.instruments.descriptions.lock().unwrap_or_else(PoisonError::into_inner);
        descriptions.insert(name.as_str().to_owned(), (unit, text));
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe(&name, unit, text);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe(&name, unit, text);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe(&name, unit, text);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.registry.get_or_create_counter(key, |counter| Counter::from_arc(Arc::clone(counter)))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.registry.get_or_create_gauge(key, |gauge| Gauge::from_arc(Arc::clone(gauge)))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.registry.get_or_create_histogram(key, |histogram| Histogram::from_arc(Arc::clone(histogram)))
    }
}

impl Instruments {
    fn described(&self, key: &Key) -> (String, &'static str, String, Vec<KeyValue>) {
        let descriptions = self.descriptions.lock().unwrap_or_else(PoisonError::into_inner);
        let (unit, text) = descriptions.get(key.name()).cloned().unwrap_or_default();
        let labels = key.labels().map(|label| KeyValue::new(label.key().to_owned(), label.value().to_owned()));
        (key.name().to_owned(), unit, text.into_owned(), labels.collect())
    }
}

impl Storage<Key> for Instruments {
    type Counter = Arc<Bound<opentelemetry::metrics::Counter<u64>>>;
    type Gauge = Arc<Bound<opentelemetry::metrics::Gauge<f64>>>;
    type Histogram = Arc<Bound<opentelemetry::metrics::Histogram<f64>>>;

    fn counter(&self, key: &Key) -> Self::Counter {
        let (name, unit, text, labels) = self.described(key);
        Arc::new(Bound(self.meter.u64_counter(name).with_unit(unit).with_description(text).build(), labels))
    }

    fn gauge(&self, key: &Key) -> Self::Gauge {
        let (name, unit, text, labels) = self.described(key);
        Arc::new(Bound(self.meter.f64_gauge(name).with_unit(unit).with_description(text).build(), labels))
    }

    fn histogram(&self, key: &Key) -> Self::Histogram {
        let (name, unit, text, labels) = self.described(key);
        Arc::new(Bound(self.meter.f64_histogram(name).with_unit(unit).with_description(text).build(), labels))
    }
}

impl CounterFn for Bound<opentelemetry::metrics::Counter<u64>> {
    fn increment(&self, value: u64) {
        self.0.add(value, &self.1);
    }

    /// OpenTelemetry counts up only, and `fieldseal` does no other thing.
    fn absolute(&self, _: u64) {}
}

impl GaugeFn for Bound<opentelemetry::metrics::Gauge<f64>> {
    /// A gauge of OpenTelemetry is set only, and `fieldseal` has none.
    fn increment(&self, _: f64) {}
    fn decrement(&self, _: f64) {}
    fn set(&self, value: f64) {
        self.0.record(value, &self.1);
    }
}

impl HistogramFn for Bound<opentelemetry::metrics::Histogram<f64>> {
    fn record(&self, value: f64) {
        self.0.record(value, &self.1);
    }
}
