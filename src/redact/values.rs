//! The values of an event or span, put together anew without what must not be told.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::iter;

use tracing_core::Field;
use tracing_core::field::{FieldSet, Value, ValueSet, Visit, display};

use super::names::Names;
use super::text::{VALUE, redacted};

/// Fields that `tracing` and `log` themselves put in, whatever a policy calls its own.
const OF_THE_LOG: [&str; 5] = ["message", "log.target", "log.module_path", "log.file", "log.line"];

/// Values in the order of their fields, each of the type that it was recorded with unless something was cut from it.
pub(super) struct Values<'n> {
    names: &'n Names,
    values: Vec<Option<Box<dyn Value>>>,
}

impl<'n> Values<'n> {
    /// Takes what `record` shows, of `fields`.
    pub(super) fn take(names: &'n Names, fields: &FieldSet, record: impl FnOnce(&mut dyn Visit)) -> Self {
        let mut values = Self { names, values: fields.iter().map(|_| None).collect() };
        record(&mut values);
        values
    }

    /// Hands them over as values of `fields`.
    pub(super) fn hand_over(&self, fields: &FieldSet, to: impl FnOnce(&ValueSet<'_>)) {
        let values: Vec<_> = self.values.iter().map(|value| value.as_ref().map(|value| value as &dyn Value)).collect();
        to(&fields.value_set_all(&values));
    }

    fn put(&mut self, field: &Field, value: impl Value + 'static) {
        let is_told = OF_THE_LOG.contains(&field.name()) || !self.names.hold(field.name());
        let value: Box<dyn Value> = if is_told { Box::new(value) } else { Box::new(display(VALUE)) };
        if let Some(place) = self.values.get_mut(field.index()) {
            *place = Some(value);
        }
    }
}

impl Visit for Values<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.put(field, value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let text = redacted(value, self.names).into_owned();
        self.put(field, text);
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        let text = String::from_utf8_lossy(value);
        match redacted(&text, self.names) {
            cut if cut == text => self.put(field, Box::<[u8]>::from(value)),
            cut => self.put(field, cut.into_owned()),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let error: Box<dyn Error> = Box::new(Told::new(value, self.names));
        self.put(field, error);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = redacted_format(format_args!("{value:?}"), self.names);
        self.put(field, display(text));
    }
}

/// Puts `format` into a text and cuts it. What cannot be formatted is cut whole.
fn redacted_format(format: fmt::Arguments<'_>, names: &Names) -> String {
    let mut text = String::new();
    match text.write_fmt(format) {
        Ok(()) => redacted(&text, names).into_owned(),
        Err(_) => VALUE.to_owned(),
    }
}

/// What an error says, and its sources.
struct Told {
    display: String,
    debug: String,
    source: Option<Box<Self>>,
}

impl Told {
    fn new(error: &(dyn Error + 'static), names: &Names) -> Self {
        let told = |error: &dyn Error| Self {
            display: redacted_format(format_args!("{error}"), names),
            debug: redacted_format(format_args!("{error:?}"), names),
            source: None,
        };
        let sources: Vec<_> = iter::successors(error.source(), |&error| error.source()).map(told).collect();
        let source = sources.into_iter().rev().reduce(|source, error| error.with_source(source));
        let error = told(error);
        match source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }

    fn with_source(self, source: Self) -> Self {
        Self { source: Some(Box::new(source)), ..self }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display)
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.debug)
    }
}

impl Error for Told {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
