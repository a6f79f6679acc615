//! Charts as SVG inside of the page: rectangles and text, nothing else.

use std::fmt::Write as _;

use super::charts::{Bar, Chart, Scale};
use super::{escaped, safe};

const WIDTH: usize = 800;
/// Where bars begin, and how long the longest is.
const LEFT: usize = 260;
const LONGEST: f64 = 440.0;
const ROW: usize = 20;
const TOP: usize = 28;
/// Characters of a label that fit in front of the bars.
const MAX_LABEL: usize = 38;

/// A chart, with its title for those who do not see it.
pub(super) fn draw(chart: &Chart) -> String {
    let height = TOP + chart.bars.len() * ROW + 4;
    let title = escaped(safe(chart.title).as_str());
    let mut out = format!(
        "<svg role=\"img\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\">\n<title>{title}</title>\n<text x=\"0\" y=\"16\">{title}</text>\n"
    );
    let most = chart.bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    let least = chart.bars.iter().map(|bar| bar.value).filter(|v| *v > 0.0).fold(most, f64::min);
    for (row, bar) in chart.bars.iter().enumerate() {
        let length = length(bar.value, least, most, chart.scale);
        draw_bar(&mut out, bar, TOP + row * ROW, length);
    }
    out.push_str("</svg>\n");
    out
}

fn draw_bar(out: &mut String, bar: &Bar, y: usize, length: f64) {
    let label: String = safe(&bar.label).as_str().chars().take(MAX_LABEL).collect();
    let (label, shown) = (escaped(&label), escaped(safe(&bar.shown).as_str()));
    let (text, class) = (y + 12, bar.tone.class());
    let (label_x, value_x) = (LEFT - 8, LEFT as f64 + length + 6.0);
    let _ = writeln!(
        out,
        "<text x=\"{label_x}\" y=\"{text}\" text-anchor=\"end\">{label}</text>\
         <rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"14\"/>\
         <text x=\"{value_x:.1}\" y=\"{text}\">{shown}</text>"
    );
}

/// The length of a bar. On a logarithmic scale the shortest still shows.
fn length(value: f64, least: f64, most: f64, scale: Scale) -> f64 {
    if value <= 0.0 || most <= 0.0 {
        return 0.0;
    }
    let share = match scale {
        Scale::Linear => value / most,
        Scale::Log if most > least => 0.05 + 0.95 * (value / least).ln() / (most / least).ln(),
        Scale::Log => 1.0,
    };
    LONGEST * share.clamp(0.0, 1.0)
}
