//! Lines over logarithmic axes, as SVG: no script, nothing from elsewhere, and a ground of its own, so that it can be read on
//! light pages and dark ones.

use std::fmt::Write as _;

/// Figures that belong together: bytes of the body, and MB a second.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) colour: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 400.0;
/// Where the axes are.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 610.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 340.0;

pub(crate) fn draw(lines: &[Line]) -> String {
    let points = || lines.iter().flat_map(|line| &line.points);
    let range = |of: fn(&(f64, f64)) -> f64| {
        points().map(of).fold((f64::MAX, f64::MIN), |(least, most), it| (least.min(it), most.max(it)))
    };
    let ((shortest, longest), (slowest, fastest)) = (range(|point| point.0), range(|point| point.1));
    // Room above and below, to a factor of a quarter.
    let (slowest, fastest) = (slowest / 1.25, fastest * 1.25);
    let place = |value: f64, least: f64, most: f64| (value / least).ln() / (most / least).ln();
    let x = |bytes: f64| LEFT + place(bytes, shortest, longest) * (RIGHT - LEFT);
    let y = |speed: f64| BOTTOM - place(speed, slowest, fastest) * (BOTTOM - TOP);

    let mut out = String::new();
    // Writing to a string does not fail.
    let mut add = |element: String| writeln!(out, "{element}").unwrap_or_default();
    add(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"100%\" role=\"img\" \
         font-family=\"sans-serif\" font-size=\"13\" fill=\"#1a1a1a\">"
    ));
    add("<title>Throughput against body size</title>".to_owned());
    add(format!("<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"6\" fill=\"#fff\"/>"));
    add(format!(
        "<text x=\"{LEFT}\" y=\"26\" font-size=\"15\">MB of plaintext a second, against the size of the body</text>"
    ));
    for magnitude in 0..6 {
        for step in [1.0, 2.0, 5.0] {
            let speed = step * 10_f64.powi(magnitude);
            if speed > slowest && speed < fastest {
                let at = y(speed);
                add(format!("<path d=\"M{LEFT} {at:.1}H{RIGHT}\" stroke=\"#ddd\"/>"));
                add(format!("<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{speed}</text>", LEFT - 8.0, at + 4.0));
            }
        }
    }
    for (bytes, _) in lines.first().into_iter().flat_map(|line| &line.points) {
        let at = x(*bytes);
        add(format!("<path d=\"M{at:.1} {TOP}V{BOTTOM}\" stroke=\"#eee\"/>"));
        add(format!("<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>", BOTTOM + 20.0, size(*bytes)));
    }
    add(format!("<path d=\"M{LEFT} {TOP}V{BOTTOM}H{RIGHT}\" fill=\"none\" stroke=\"#555\"/>"));
    for Line { name, colour, points } in lines {
        let path: Vec<_> = points.iter().map(|(bytes, speed)| format!("{:.1} {:.1}", x(*bytes), y(*speed))).collect();
        add(format!("<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>", path.join("L")));
        for (bytes, speed) in points {
            let (x, y) = (x(*bytes), y(*speed));
            let told = format!("{name}: {speed:.0} MB/s at {bytes} bytes");
            add(format!(
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"><title>{told}</title></circle>"
            ));
        }
        if let Some((bytes, speed)) = points.last() {
            let (x, y) = (x(*bytes) + 10.0, y(*speed) + 4.0);
            add(format!("<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{colour}\">{name}</text>"));
        }
    }
    add("</svg>".to_owned());
    out
}

/// As it is said: 256 B, 16 KiB, 1 MiB. Bodies are a little shorter than what they are called by.
fn size(bytes: f64) -> String {
    let bytes = bytes.log2().round().exp2();
    match bytes.log2() {
        ..10.0 => format!("{bytes} B"),
        10.0..20.0 => format!("{} KiB", bytes / 1024.0),
        _ => format!("{} MiB", bytes / 1024.0 / 1024.0),
    }
}
