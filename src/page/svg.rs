//! Charts as SVG inside of the page: rectangles and text, nothing else.

use std::fmt::Write as _;

use super::charts::{Bar, Chart, Scale};
use super::{escaped, safe};

const WIDTH: usize = 800;
/// What stands behind the longest bar: its value.
const VALUE: usize = 100;
const ROW: usize = 20;
const TOP: usize = 28;
/// Characters of a label in front of the bars; at least so wide is the place for it.
const MAX_LABEL: usize = 50;
const MIN_LABEL: usize = 12;
/// A character of a label is seldom wider: 12px of a usual face without serifs.
const CHARACTER: usize = 8;

/// A chart, with its title for those who do not see it.
pub(super) fn draw(chart: &Chart) -> String {
    let height = TOP + chart.bars.len() * ROW + 4;
    let how = if chart.scale == Scale::Log { " (logarithmic)" } else { "" };
    let title = format!("{}{how}", escaped(safe(chart.title).as_str()));
    let mut out = format!(
        "<svg role=\"img\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\">\n<title>{title}</title>\n<text x=\"0\" y=\"16\">{title}</text>\n"
    );
    let most = chart.bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    let least = chart.bars.iter().map(|bar| bar.value).filter(|v| *v > 0.0).fold(most, f64::min);
    let labels: Vec<String> = chart.bars.iter().map(|bar| short(&bar.label)).collect();
    let longest = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
    let left = longest.max(MIN_LABEL) * CHARACTER + 8;
    for (row, (bar, label)) in chart.bars.iter().zip(&labels).enumerate() {
        let share = share(bar.value, least, most, chart.scale);
        let length = share * (WIDTH - left - VALUE) as f64;
        draw_bar(&mut out, bar, label, (left, TOP + row * ROW), length);
    }
    out.push_str("</svg>\n");
    out
}

/// A label that fits. What is left out is in the middle, and said: how an address ends and how it
/// begins tells more than either alone.
fn short(label: &str) -> String {
    let label = safe(label).as_str().chars().collect::<Vec<_>>();
    if label.len() <= MAX_LABEL {
        return label.into_iter().collect();
    }
    let (head, tail) = (MAX_LABEL / 2, MAX_LABEL - MAX_LABEL / 2 - 1);
    label[..head].iter().chain(&['…']).chain(&label[label.len() - tail..]).collect()
}

fn draw_bar(out: &mut String, bar: &Bar, label: &str, (left, y): (usize, usize), length: f64) {
    let (label, shown) = (escaped(label), escaped(safe(&bar.shown).as_str()));
    let (text, class) = (y + 12, bar.tone.class());
    let (label_x, value_x) = (left - 8, left as f64 + length + 6.0);
    let _ = writeln!(
        out,
        "<text x=\"{label_x}\" y=\"{text}\" text-anchor=\"end\">{label}</text>\
         <rect class=\"{class}\" x=\"{left}\" y=\"{y}\" width=\"{length:.1}\" height=\"14\"/>\
         <text x=\"{value_x:.1}\" y=\"{text}\">{shown}</text>"
    );
}

/// The length of a bar, of the longest that there may be. On a logarithmic scale the shortest still
/// shows.
fn share(value: f64, least: f64, most: f64, scale: Scale) -> f64 {
    if value <= 0.0 || most <= 0.0 {
        return 0.0;
    }
    let share = match scale {
        Scale::Linear => value / most,
        Scale::Log if most > least => 0.05 + 0.95 * (value / least).ln() / (most / least).ln(),
        Scale::Log => 1.0,
    };
    share.clamp(0.0, 1.0)
}
