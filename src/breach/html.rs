//! A report as one page: no script, nothing from elsewhere, everything escaped.

use std::fmt::{self, Write as _};

use super::reach::Standing;
use super::report::{PlaceLine, Report};

const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#1a1a1a;background:#fff}\
h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}table{border-collapse:collapse;width:100%}\
th,td{text-align:left;padding:.3em .6em;border-bottom:1px solid #ccc;vertical-align:top}td.n,th.n{text-align:right}\
.big{font-size:1.3em}.bad{color:#a3000b;font-weight:bold}code{font-family:monospace}";

/// The colour of each part of the picture, told apart without colour by its pattern of lightness as well.
fn colour(standing: Standing) -> &'static str {
    match standing {
        Standing::InReach => "#a3000b",
        Standing::Unknown => "#e07b00",
        Standing::Alive => "#5b9bd5",
        Standing::Forgotten => "#a9c4a0",
        Standing::Shredded => "#d9d9d9",
    }
}

fn legend(standing: Standing) -> &'static str {
    match standing {
        Standing::InReach => "exposed",
        Standing::Unknown => "unknown key",
        Standing::Alive => "closed, key alive",
        Standing::Forgotten => "closed, key forgotten",
        Standing::Shredded => "closed, key shredded",
    }
}

/// A text of which nothing is markup.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            c => f.write_char(c),
        })
    }
}

impl Report {
    /// Writes the report as an HTML page with a picture, which needs nothing beside it and runs nothing.
    #[must_use]
    pub fn to_html(&self) -> String {
        let mut page = String::new();
        // Writing to a string does not fail.
        let _ = self.write_html(&mut page);
        page
    }

    fn write_html(&self, out: &mut String) -> fmt::Result {
        let (people, notice) = (&self.people, &self.notice);
        writeln!(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")?;
        writeln!(
            out,
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        )?;
        writeln!(out, "<title>Breach report</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>Breach report</h1>")?;
        let class = if self.is_anything_exposed() { "big bad" } else { "big" };
        let (least, most, taken) = (notice.exposed_at_least, notice.exposed_at_most, notice.taken_at_most);
        writeln!(out, "<p class=\"{class}\">Exposed: at least {least}, at most {most} of at most {taken} people.</p>")?;
        self.picture(out)?;

        let keyrings: Vec<_> = self
            .keyrings
            .iter()
            .map(|keyring| {
                let proof = if keyring.is_authenticated { "authenticated" } else { "not authenticated" };
                format!("{} at revision {}, {proof}", keyring.name, keyring.revision)
            })
            .collect();
        let end = if self.is_complete { "read to its end" } else { "not read to its end" };
        let dump = format!("{}, {} bytes, {end}", self.form, self.bytes);
        writeln!(out, "<h2>What was looked at</h2>\n<table>")?;
        let at = self.at.clone().unwrap_or_else(|| "not told".to_owned());
        for (name, text) in [
            ("Dump", dump),
            ("Keyring", keyrings.join("; ")),
            ("The thief had", self.thief_had.join(", ")),
            ("Time of the theft", at),
        ] {
            writeln!(out, "<tr><th>{name}</th><td>{}</td></tr>", Escaped(&text))?;
        }
        writeln!(
            out,
            "</table>\n<h2>People</h2>\n<table>\n<tr><th>what became of the worst of their values</th><th class=\"n\">people</th></tr>"
        )?;
        for standing in Standing::ALL {
            let count = people.with(standing);
            writeln!(out, "<tr><td>{}</td><td class=\"n\">{count}</td></tr>", legend(standing))?;
        }
        let clear = people.in_the_clear;
        writeln!(out, "<tr><td>of those exposed, with values in the clear</td><td class=\"n\">{clear}</td></tr>")?;
        writeln!(out, "<tr><th>all</th><th class=\"n\">{}</th></tr>\n</table>", people.touched)?;

        table(
            out,
            "Fields",
            &["where", "people", "exposed", "unknown key", "tokens", "in the clear", "blind indexes"],
            self.places.iter().map(|place| {
                let people = place.people;
                let numbers = [
                    people.touched,
                    people.exposed,
                    people.unknown_key,
                    place.tokens,
                    place.in_the_clear,
                    place.indexes,
                ];
                (vec![place.name()], numbers.to_vec())
            }),
        )?;
        table(
            out,
            "Keys",
            &["key", "what is known of it", "made", "receipt", "tokens", "people"],
            self.keys.iter().map(|key| {
                let id = key.id.clone().unwrap_or_else(|| "further keys".to_owned());
                let known = format!("{}: {}", key.standing, key.meaning);
                let texts =
                    vec![id, known, key.created.clone().unwrap_or_default(), key.receipt.clone().unwrap_or_default()];
                (texts, vec![key.tokens, key.people])
            }),
        )?;
        self.write_notice(out)?;
        writeln!(out, "</body>\n</html>")
    }

    fn write_notice(&self, out: &mut String) -> fmt::Result {
        let notice = &self.notice;
        let reached = |is_reached| if is_reached { "reached" } else { "not reached" };
        let threshold = notice.threshold;
        writeln!(out, "<h2>Notice</h2>\n<ul>")?;
        let taken = reached(notice.taken_reaches_threshold);
        writeln!(
            out,
            "<li>Data taken of at most {} people: threshold of {threshold} {taken}.</li>",
            notice.taken_at_most
        )?;
        let (least, most) = (notice.exposed_at_least, notice.exposed_at_most);
        let exposed = reached(notice.exposed_reaches_threshold);
        writeln!(out, "<li>Exposed at least {least}, at most {most} people: threshold of {threshold} {exposed}.</li>")?;
        let days = notice.days;
        match (&notice.assessed, &notice.notify_by) {
            (Some(on), Some(by)) => writeln!(
                out,
                "<li>Assessed on {}: where there is a duty, notify by {} ({days} calendar days).</li>",
                Escaped(on),
                Escaped(by)
            )?,
            _ => {
                writeln!(out, "<li>Where there is a duty, notify within {days} calendar days of the assessment.</li>")?;
            }
        }
        writeln!(out, "</ul>\n<h2>To know</h2>\n<ul>")?;
        self.notes.iter().try_for_each(|note| writeln!(out, "<li>{}</li>", Escaped(note)))?;
        writeln!(out, "</ul>")
    }

    /// A bar of all people, with the threshold, and one of each field.
    fn picture(&self, out: &mut String) -> fmt::Result {
        const WIDTH: u64 = 600;
        let shown: Vec<&PlaceLine> = self.places.iter().filter(|place| place.people.touched > 0).take(20).collect();
        let most = self.people.touched.max(1);
        let height = 95 + 30 * shown.len();
        let told = format!("{} people, {} of them exposed", self.people.touched, self.people.exposed);
        writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 920 {height}\" role=\"img\" width=\"100%\" font-family=\"sans-serif\" font-size=\"13\">"
        )?;
        writeln!(out, "<title>{told}</title>")?;
        let mut x = 0;
        for standing in Standing::ALL {
            let (colour, name) = (colour(standing), legend(standing));
            writeln!(out, "<rect x=\"{x}\" y=\"2\" width=\"12\" height=\"12\" fill=\"{colour}\"/>")?;
            writeln!(out, "<text x=\"{}\" y=\"13\">{name}</text>", x + 17)?;
            x += 170;
        }
        let bar = |out: &mut String, y: usize, name: &str, parts: &[(u64, &str)], total: u64| -> fmt::Result {
            let mut name: String = name.chars().take(30).collect();
            if name.chars().count() == 30 {
                name.push('…');
            }
            writeln!(out, "<text x=\"0\" y=\"{}\">{}</text>", y + 15, Escaped(&name))?;
            let (mut before, scaled) = (0, |count: u64| u128::from(count) * u128::from(WIDTH) / u128::from(most));
            for &(count, colour) in parts.iter().filter(|(count, _)| *count > 0) {
                let (from, to) = (scaled(before), scaled(before + count));
                // One person of a million is a line, too.
                let width = (to - from).max(1);
                writeln!(
                    out,
                    "<rect x=\"{}\" y=\"{y}\" width=\"{width}\" height=\"20\" fill=\"{colour}\"/>",
                    230 + from
                )?;
                before += count;
            }
            writeln!(out, "<text x=\"{}\" y=\"{}\">{total}</text>", 238 + scaled(before), y + 15)
        };
        let parts = Standing::ALL.map(|standing| (self.people.with(standing), colour(standing)));
        bar(out, 40, "all people", &parts, self.people.touched)?;
        if let Some(at) = Some(self.notice.threshold).filter(|&threshold| (1..=most).contains(&threshold)) {
            let x = 230 + u128::from(at) * u128::from(WIDTH) / u128::from(most);
            writeln!(
                out,
                "<line x1=\"{x}\" y1=\"34\" x2=\"{x}\" y2=\"66\" stroke=\"#000\" stroke-dasharray=\"3 2\"/>"
            )?;
            writeln!(out, "<text x=\"{x}\" y=\"79\" text-anchor=\"middle\" font-size=\"11\">{at}</text>")?;
        }
        for (line, place) in shown.into_iter().enumerate() {
            let parts = Standing::ALL.map(|standing| (place.people.with(standing), colour(standing)));
            bar(out, 90 + 30 * line, &place.name(), &parts, place.people.touched)?;
        }
        writeln!(out, "</svg>")
    }
}

/// A table of texts and, behind them, numbers.
fn table(
    out: &mut String,
    title: &str,
    heads: &[&str],
    rows: impl Iterator<Item = (Vec<String>, Vec<u64>)>,
) -> fmt::Result {
    writeln!(out, "<h2>{title}</h2>\n<table>\n<tr>")?;
    heads.iter().try_for_each(|head| write!(out, "<th>{head}</th>"))?;
    writeln!(out, "</tr>")?;
    for (texts, numbers) in rows {
        write!(out, "<tr>")?;
        texts.iter().try_for_each(|text| write!(out, "<td>{}</td>", Escaped(text)))?;
        numbers.iter().try_for_each(|number| write!(out, "<td class=\"n\">{number}</td>"))?;
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</table>")
}
