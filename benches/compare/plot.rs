//! A picture of the rows that move many bytes: what a gigabyte costs, and how fast it goes.

use std::fmt::Write as _;

use crate::report::{Best, Measured, Report, digits};
use crate::row::Unit;

const WIDTH: f64 = 960.0;
const NAME: f64 = 190.0;
const PANEL: f64 = 300.0;
const GAP: f64 = 80.0;
const BAR: f64 = 18.0;
const LINE: f64 = 24.0;

/// Draws it, as SVG that is readable on light and on dark.
pub(crate) fn draw(report: &Report) -> String {
    let rows: Vec<_> = report.rows().iter().filter(|row| row.unit == Unit::Gigabyte).collect();
    let lines: usize = rows.iter().map(|row| row.best.len() + 2).sum();
    #[expect(clippy::cast_precision_loss, reason = "there are few lines")]
    let height = 40.0 + lines as f64 * LINE;
    let mut svg = begin(WIDTH, height);
    text(&mut svg, NAME, 20.0, "CPU seconds of the server for a gigabyte");
    text(&mut svg, NAME + PANEL + GAP, 20.0, "gigabytes a second");
    let mut top = 44.0;
    for row in rows {
        text(&mut svg, 0.0, top + 13.0, &row.row);
        top += LINE;
        top = bars(&mut svg, row, top) + LINE;
    }
    svg.push_str("</svg>\n");
    svg
}

/// The head of a picture.
pub(crate) fn begin(width: f64, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<style>text {{ fill: #777 }} .ours {{ fill: #d9480f; stroke: #d9480f }} \
         .other {{ fill: #8fa3b8; stroke: #8fa3b8 }} polyline {{ stroke-width: 2 }} polyline.ours, polyline.other {{ fill: none }}\
         </style>\n"
    )
}

fn bars(svg: &mut String, row: &Measured, mut top: f64) -> f64 {
    let most = |of: fn(&Best) -> f64| row.best.iter().map(of).fold(f64::MIN_POSITIVE, f64::max);
    let rate = |best: &Best| best.rate.unwrap_or_default();
    let (most_cost, most_rate) = (most(|best| best.cost), most(rate));
    for best in &row.best {
        let class = if best.peer == crate::peer::Peer::Ours { "ours" } else { "other" };
        text(svg, 12.0, top + 13.0, best.peer.name());
        bar(svg, class, NAME, top, best.cost / most_cost, best.cost);
        bar(svg, class, NAME + PANEL + GAP, top, rate(best) / most_rate, rate(best));
        top += LINE;
    }
    top
}

fn bar(svg: &mut String, class: &str, left: f64, top: f64, share: f64, figure: f64) {
    let width = share * PANEL;
    // A string takes it all.
    let _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{left}\" y=\"{top}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"2\"/>"
    );
    text(svg, left + width + 6.0, top + 13.0, &digits(figure));
}

pub(crate) fn text(svg: &mut String, left: f64, top: f64, said: &str) {
    let _ = writeln!(svg, "<text x=\"{left:.1}\" y=\"{top:.1}\">{said}</text>");
}
