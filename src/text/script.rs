//! Words that are written in one script: UTS #39, section 5.1, word by word.

use icu_properties::props::Script;
use icu_properties::script::ScriptWithExtensions;

/// What a word can be written in: a script, or several that one language writes together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writing {
    Of(Script),
    ChineseWithBopomofo,
    Japanese,
    Korean,
}

/// Whether every word of `text` is written in one script. Names of several words may be of several scripts.
pub(super) fn is_one_per_word(text: &str) -> bool {
    text.split(is_between_words).all(is_of_one)
}

/// Apostrophes and marks stand within words, and say nothing of their script.
fn is_between_words(c: char) -> bool {
    c.is_whitespace() || matches!(c, '-' | '\u{2010}'..='\u{2015}' | '/' | '.' | ',' | '(' | ')' | '&' | '+' | '@')
}

fn is_of_one(word: &str) -> bool {
    let mut shared: Option<Vec<Writing>> = None;
    for c in word.chars() {
        let Some(writings) = writings(c) else { continue };
        let both = match shared {
            Some(shared) => shared.into_iter().filter(|writing| writings.contains(writing)).collect(),
            None => writings,
        };
        if both.is_empty() {
            return false;
        }
        shared = Some(both);
    }
    true
}

/// What `c` is a part of; nothing where it goes with any script.
fn writings(c: char) -> Option<Vec<Writing>> {
    let mut writings = Vec::new();
    for script in ScriptWithExtensions::new().get_script_extensions_val(c).iter() {
        writings.push(Writing::Of(script));
        match script {
            Script::Common | Script::Inherited => return None,
            Script::Han => writings.extend([Writing::ChineseWithBopomofo, Writing::Japanese, Writing::Korean]),
            Script::Bopomofo => writings.push(Writing::ChineseWithBopomofo),
            Script::Hiragana | Script::Katakana => writings.push(Writing::Japanese),
            Script::Hangul => writings.push(Writing::Korean),
            _ => {}
        }
    }
    Some(writings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_people_pass_in_every_script_and_in_several() {
        for name in [
            "",
            "Tan Wei Ming",
            "陈伟明 Tan Wei-Ming",
            "கவிதா s/o Ravi",
            "T.ராமன்",
            "Zoë O’Brien-Nguyễn",
            "Zoe\u{308} D'Souza",
            "小野 さくら",
            "お田ロボー々",
            "金민수",
            "ㄅ陈",
            "محمد\u{200F} بن",
            "Иванов Пётр Jr.",
            "ศิริ 3",
            "क\u{200D}ष",
            "😀 7",
        ] {
            assert!(is_one_per_word(name), "{name}");
        }
    }

    #[test]
    fn a_word_that_borrows_letters_of_another_script_does_not_pass() {
        // Each looks like a Latin or Cyrillic name.
        for name in [
            "T\u{430}n Wei Ming",
            "Wei Ming T\u{430}\u{301}n",
            "\u{41E}'Brien",
            "Иv\u{430}нов",
            "T\u{3B1}n",
            "さくらTan",
            "한a",
        ] {
            assert!(!is_one_per_word(name), "{name}");
        }
    }
}
