//! The layer around another one.

use tracing_core::span::{Attributes, Id, Record};
use tracing_core::subscriber::{Interest, Subscriber};
use tracing_core::{Dispatch, Event, LevelFilter, Metadata};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::names::Names;
use super::values::Values;
use crate::policy::Policy;

/// Hands another layer events and spans without tokens, and without values of tagged fields.
///
/// See [`redact`](super) for what is cut, and what is not.
#[derive(Clone, Debug)]
pub struct Redacting<L> {
    inner: L,
    names: Names,
}

impl<L> Redacting<L> {
    /// Cuts the tokens from what `inner` is told.
    pub fn new(inner: L) -> Self {
        Self { inner, names: Names::default() }
    }

    /// Cuts the values of the fields of `policy` as well, and their blind indexes: whatever goes by their names, or by the
    /// last names of their paths, in any case and style. May be called for several policies.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::redact::Redacting;
    /// use fieldseal::{Field, Policy, Tag};
    /// # use tracing_subscriber::layer::Identity;
    ///
    /// let customers = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
    /// let staff = Policy::builder("staff").field(Field::new("mobile", Tag::Phone)).build()?;
    /// # let layer = Identity::new();
    /// let redacting = Redacting::new(layer).fields_of(&customers).fields_of(&staff);
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    #[must_use]
    pub fn fields_of(mut self, policy: &Policy) -> Self {
        self.names.add(policy);
        self
    }
}

impl<S, L> Layer<S> for Redacting<L>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    L: Layer<S>,
{
    fn on_register_dispatch(&self, subscriber: &Dispatch) {
        self.inner.on_register_dispatch(subscriber);
    }

    fn on_layer(&mut self, subscriber: &mut S) {
        self.inner.on_layer(subscriber);
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.inner.register_callsite(metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        self.inner.enabled(metadata, context)
    }

    fn on_new_span(&self, span: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let metadata = span.metadata();
        let values = Values::take(&self.names, metadata.fields(), |visit| span.record(visit));
        values.hand_over(metadata.fields(), |values| {
            let span = match span.parent() {
                Some(parent) => Attributes::child_of(parent.clone(), metadata, values),
                None if span.is_root() => Attributes::new_root(metadata, values),
                None => Attributes::new(metadata, values),
            };
            self.inner.on_new_span(&span, id, context);
        });
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.inner.max_level_hint()
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        // Nothing is known of the fields of a span that is not there.
        let Some(fields) = context.metadata(id).map(Metadata::fields) else { return };
        let values = Values::take(&self.names, fields, |visit| record.record(visit));
        values.hand_over(fields, |values| self.inner.on_record(id, &Record::new(values), context));
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, context: Context<'_, S>) {
        self.inner.on_follows_from(id, follows, context);
    }

    fn event_enabled(&self, event: &Event<'_>, context: Context<'_, S>) -> bool {
        self.inner.event_enabled(event, context)
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let values = Values::take(&self.names, metadata.fields(), |visit| event.record(visit));
        values.hand_over(metadata.fields(), |values| {
            let event = if event.is_contextual() {
                Event::new(metadata, values)
            } else {
                Event::new_child_of(event.parent().cloned(), metadata, values)
            };
            self.inner.on_event(&event, context);
        });
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        self.inner.on_enter(id, context);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        self.inner.on_exit(id, context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        self.inner.on_close(id, context);
    }

    fn on_id_change(&self, old: &Id, new: &Id, context: Context<'_, S>) {
        self.inner.on_id_change(old, new, context);
    }
}
