//! What a stolen dump exposes: how many people, which fields, under which keys, and what became of those.
//!
//! A [`Survey`] goes through the dump and opens nothing. It knows a token by its form, and the key by the id that the
//! token begins with; what the keyring says of that key, and what the thief had beside the dump ([`Reach`]), tells
//! whether the value can be read ([`Standing`]). Which field a token is of, it does not say itself: that is told by the
//! column or member in which it stands, and by the policy where one is given.
//!
//! | what is counted | as |
//! |---|---|
//! | people | records that hold at least one token, or a tagged value in the clear, each by the worst of its values |
//! | a record | a row of SQL or CSV; a JSON document that others follow line by line; else an element of the document, or of an array that is its member |
//! | tokens | what begins like one, those that were cut short or damaged too: who has the key reads what is left |
//! | what stands beside the records | heads of tokens elsewhere in the file, each of which may be of one more person |
//! | in the clear | values of tagged columns and members that hold no token; a policy is needed to know them |
//!
//! [`docs::breach`](crate::docs::breach) is the guide to the command that makes such a report.

mod csv;
mod form;
mod html;
mod input;
mod json;
mod lexer;
mod marks;
mod notice;
mod reach;
mod report;
mod sql;
mod survey;
mod tally;
mod told;
mod walk;

pub use self::form::Form;
pub use self::notice::{Duty, Notice};
pub use self::reach::{Reach, Standing};
pub use self::report::{Beside, KeyLine, KeyringLine, PlaceLine, Report, TableLine};
pub use self::survey::{Cell, Survey};
pub use self::tally::People;
