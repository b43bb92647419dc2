//! What must not be found.

use crate::customer::Cell;
use crate::people::Account;
use crate::search::ANCHOR;

/// Every personal value that was ever sent, once.
///
/// A value of less than eight bytes, such as four digits of a card, stands in any large file by chance, so it is looked
/// for together with what would stand before it: its key in JSON, and in a row the end of the cell to its left. (The
/// cell to its right would not do, since one token in two thousand ends in four digits.)
pub(crate) fn plaintexts(accounts: &[Account]) -> Vec<String> {
    let mut plaintexts = Vec::new();
    for document in accounts.iter().flat_map(Account::documents) {
        let cells = document.customer.cells();
        for (place, cell) in cells.iter().enumerate().filter(|(_, cell)| cell.is_tagged) {
            let Cell { column, text, .. } = cell;
            if text.len() >= ANCHOR {
                plaintexts.push((*text).to_owned());
            }
            // UTF-16 is the shortest spelling of scripts that take three bytes in UTF-8.
            if text.len().min(2 * text.encode_utf16().count()) >= ANCHOR {
                continue;
            }
            plaintexts.push(format!(r#""{column}":"{text}""#));
            let left = place.checked_sub(1).and_then(|left| cells.get(left));
            plaintexts.extend(left.map(|left| format!("{}{text}", last(left.text))));
        }
    }
    plaintexts.sort_unstable();
    plaintexts.dedup();
    plaintexts
}

/// The last characters of `text`, at least eight bytes where it has so many.
fn last(text: &str) -> &str {
    let start = text.char_indices().rev().map(|(start, _)| start).find(|&start| text.len() - start >= ANCHOR);
    &text[start.unwrap_or(0)..]
}
