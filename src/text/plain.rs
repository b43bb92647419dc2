//! Characters that text for people is made of.

/// Whether `c` stands for something that a person can read, or only for itself: no control character, no line or
/// paragraph separator, no bidirectional embedding, override or isolate (UAX #9), no noncharacter.
///
/// Marks of direction and joiners are plain: Arabic, Hebrew and Indic names are written with them.
pub(super) fn is_plain(c: char) -> bool {
    let is_control = c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let turns_direction = matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let is_noncharacter = matches!(c, '\u{FDD0}'..='\u{FDEF}') || u32::from(c) & 0xFFFE == 0xFFFE;
    !(is_control || turns_direction || is_noncharacter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_scripts_are_plain() {
        for name in ["Tan Wei Ming", "Zoë O’Brien-Nguyễn", "陈伟明", "นางสาวสุดา", "محمد\u{200F}", "ന്‍", "😀"]
        {
            assert!(name.chars().all(is_plain), "{name}");
        }
    }

    #[test]
    fn what_steers_a_screen_or_is_no_character_is_not_plain() {
        for c in "\0\t\n\r\u{1B}\u{7F}\u{85}\u{2028}\u{2029}\u{202A}\u{202E}\u{2066}\u{2069}\u{FDD0}\u{FFFE}\u{10FFFF}"
            .chars()
        {
            assert!(!is_plain(c), "{c:?}");
        }
    }
}
