//! Names as people in Singapore write them.

use rand::{Rng, RngExt};

/// A name in the script that its owner writes, and in Latin letters where that is another one.
#[derive(Debug)]
pub(crate) struct PersonName {
    pub(crate) written: String,
    pub(crate) romanised: Option<String>,
}

impl PersonName {
    pub(crate) fn draw(rng: &mut impl Rng) -> Self {
        // Roughly the census, with more Tamil script than people use, since it is the hardest to carry.
        match rng.random_range(0..20) {
            0..12 => chinese(rng),
            12..15 => malay(rng),
            15..18 => tamil(rng),
            _ => english(rng),
        }
    }

    pub(crate) fn in_latin_letters(&self) -> &str {
        self.romanised.as_deref().unwrap_or(&self.written)
    }
}

fn chinese(rng: &mut impl Rng) -> PersonName {
    let (surname, first, second) = (pick(rng, &SURNAMES), pick(rng, &SYLLABLES), pick(rng, &SYLLABLES));
    let romanised = if rng.random_range(0..8) == 0 {
        return PersonName {
            written: format!("{}{}", surname.0, first.0),
            romanised: Some(format!("{} {}", surname.1, first.1)),
        };
    } else {
        format!("{} {} {}", surname.1, first.1, second.1)
    };
    PersonName { written: format!("{}{}{}", surname.0, first.0, second.0), romanised: Some(romanised) }
}

fn malay(rng: &mut impl Rng) -> PersonName {
    let (given, link) =
        if rng.random() { (pick(rng, &MALAY_SONS), "bin") } else { (pick(rng, &MALAY_DAUGHTERS), "binte") };
    PersonName { written: format!("{given} {link} {}", pick(rng, &MALAY_FATHERS)), romanised: None }
}

fn tamil(rng: &mut impl Rng) -> PersonName {
    let (given, link) =
        if rng.random() { (pick(rng, &TAMIL_SONS), "s/o") } else { (pick(rng, &TAMIL_DAUGHTERS), "d/o") };
    let father = pick(rng, &TAMIL_SONS);
    PersonName {
        written: format!("{} {}", given.0, father.0),
        romanised: Some(format!("{} {link} {}", given.1, father.1)),
    }
}

fn english(rng: &mut impl Rng) -> PersonName {
    PersonName { written: format!("{} {}", pick(rng, &ENGLISH_GIVEN), pick(rng, &ENGLISH_FAMILY)), romanised: None }
}

pub(crate) fn pick<T: Copy>(rng: &mut impl Rng, from: &[T]) -> T {
    from[rng.random_range(0..from.len())]
}

type InBoth = (&'static str, &'static str);

#[rustfmt::skip]
const SURNAMES: [InBoth; 16] = [
    ("陈", "Tan"), ("林", "Lim"), ("李", "Lee"), ("黄", "Ng"), ("王", "Ong"), ("蔡", "Chua"), ("张", "Teo"), ("吴", "Goh"),
    ("刘", "Low"), ("杨", "Yeo"), ("许", "Koh"), ("郑", "Tay"), ("谢", "Chia"), ("沈", "Sim"), ("何", "Ho"), ("洪", "Ang"),
];
#[rustfmt::skip]
const SYLLABLES: [InBoth; 24] = [
    ("伟", "Wei"), ("明", "Ming"), ("慧", "Hui"), ("玲", "Ling"), ("俊", "Jun"), ("杰", "Jie"), ("美", "Mei"), ("芳", "Fang"),
    ("志", "Zhi"), ("强", "Qiang"), ("淑", "Shu"), ("敏", "Min"), ("家", "Jia"), ("豪", "Hao"), ("欣", "Xin"), ("怡", "Yi"),
    ("国", "Guo"), ("华", "Hua"), ("文", "Wen"), ("彬", "Bin"), ("秀", "Xiu"), ("珍", "Zhen"), ("凯", "Kai"), ("雯", "Wen"),
];
#[rustfmt::skip]
const MALAY_SONS: [&str; 8] = [
    "Muhammad Faizal", "Ahmad Firdaus", "Mohamed Hafiz", "Iskandar", "Nur Hakim", "Syed Zulkifli", "Ridhwan", "Khairul Anwar",
];
#[rustfmt::skip]
const MALAY_DAUGHTERS: [&str; 8] = [
    "Siti Nurhaliza", "Nur Aisyah", "Noraini", "Farah Diyana", "Siti Khadijah", "Nurul Huda", "Rosmah", "Hidayah",
];
const MALAY_FATHERS: [&str; 8] =
    ["Abdul Rahman", "Ismail", "Osman", "Mohamed Yusof", "Kamaruddin", "Sulaiman", "Abu Bakar", "Jumaat"];
#[rustfmt::skip]
const TAMIL_SONS: [InBoth; 8] = [
    ("முருகன்", "Murugan"), ("கார்த்திக்", "Karthik"), ("அருண்", "Arun"), ("ராஜேஷ்", "Rajesh"),
    ("செல்வம்", "Selvam"), ("கணேசன்", "Ganesan"), ("பாலகிருஷ்ணன்", "Balakrishnan"), ("விஜய்", "Vijay"),
];
#[rustfmt::skip]
const TAMIL_DAUGHTERS: [InBoth; 8] = [
    ("லட்சுமி", "Lakshmi"), ("பிரியா", "Priya"), ("மீனா", "Meena"), ("கவிதா", "Kavitha"),
    ("ஆனந்தி", "Anandhi"), ("சரஸ்வதி", "Saraswathi"), ("தீபா", "Deepa"), ("மாலதி", "Malathi"),
];
#[rustfmt::skip]
const ENGLISH_GIVEN: [&str; 10] =
    ["Grace", "Kevin", "Rachel", "Daniel", "Cheryl", "Marcus", "Joanna", "Adrian", "Natalie", "Bryan"];
#[rustfmt::skip]
const ENGLISH_FAMILY: [&str; 8] =
    ["Pereira", "de Souza", "Fernandez", "Oliveiro", "Shepherdson", "Braga", "O'Connor", "Da Silva"];
