//! A picture of how costs grow: a small chart for each curve, both axes logarithmic.

use std::fmt::Write as _;

use crate::curve::{self, Curve};
use crate::peer::Peer;
use crate::plot::{begin, text};
use crate::report::{Measured, digits};

const COLUMNS: usize = 2;
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 40.0;
const TOP: f64 = 44.0;
const INNER_WIDTH: f64 = WIDTH - LEFT - 80.0;
const INNER_HEIGHT: f64 = HEIGHT - TOP - 70.0;

/// A curve, and what was measured of its points.
pub(crate) type Drawn = (Curve, Vec<Option<Measured>>);

/// Draws them, as SVG that is readable on light and on dark.
pub(crate) fn draw(curves: &[Drawn]) -> String {
    let lines = curves.len().div_ceil(COLUMNS);
    let mut svg = begin(WIDTH * as_number(COLUMNS), HEIGHT * as_number(lines));
    for (index, (curve, measured)) in curves.iter().enumerate() {
        let (column, line) = (index % COLUMNS, index / COLUMNS);
        // A string takes it all.
        let _ = writeln!(
            svg,
            "<g transform=\"translate({:.0} {:.0})\">",
            as_number(column) * WIDTH,
            as_number(line) * HEIGHT
        );
        chart(&mut svg, curve, measured);
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

fn chart(svg: &mut String, curve: &Curve, measured: &[Option<Measured>]) {
    let unit = measured.iter().flatten().next().map(|measured| measured.unit.name()).unwrap_or_default();
    text(svg, LEFT, 18.0, &format!("{}: {unit}", curve.name));
    let costs = measured.iter().flatten().flat_map(|measured| &measured.best).map(|best| best.cost);
    let (least, most) =
        costs.fold((f64::MAX, f64::MIN_POSITIVE), |(least, most), cost| (least.min(cost), most.max(cost)));
    // A curve that does not grow is a level line in the middle of a decade, not a mountain of noise.
    let (low, high) = (least.max(1e-6).log10().floor(), most.log10().ceil());
    let down = |cost: f64| TOP + (high - cost.max(1e-6).log10()) / (high - low).max(1.0) * INNER_HEIGHT;
    let across = |index: usize| LEFT + as_number(index) / as_number(curve.points.len() - 1) * INNER_WIDTH;
    for (index, point) in curve.points.iter().enumerate() {
        text(svg, across(index) - 8.0, HEIGHT - 34.0, &curve::told(curve.axis, point.size));
    }
    text(svg, LEFT, HEIGHT - 16.0, curve.axis);
    for peer in [Peer::Distribution, Peer::Ours] {
        let marks = measured.iter().enumerate().filter_map(|(index, measured)| {
            let best = measured.as_ref()?.best.iter().find(|best| best.peer == peer)?;
            let is_least = measured.as_ref()?.best.iter().all(|other| other.cost >= best.cost);
            Some(Mark { left: across(index), top: down(best.cost), cost: best.cost, is_least })
        });
        line(svg, peer, &marks.collect::<Vec<_>>());
    }
}

/// A point on the picture.
struct Mark {
    left: f64,
    top: f64,
    cost: f64,
    /// Nothing is below it.
    is_least: bool,
}

fn line(svg: &mut String, peer: Peer, marks: &[Mark]) {
    let (class, name) = if peer == Peer::Ours { ("ours", "ours") } else { ("other", "D3") };
    let path: Vec<String> = marks.iter().map(|mark| format!("{:.1},{:.1}", mark.left, mark.top)).collect();
    let _ = writeln!(svg, "<polyline class=\"{class}\" points=\"{}\"/>", path.join(" "));
    for Mark { left, top, cost, is_least } in marks {
        let _ = writeln!(svg, "<circle class=\"{class}\" cx=\"{left:.1}\" cy=\"{top:.1}\" r=\"3\"/>");
        // Where the lines meet, the figures stand on both sides of them.
        text(svg, left - 8.0, if *is_least { top + 17.0 } else { top - 7.0 }, &in_short(*cost));
    }
    if let Some(last) = marks.last() {
        text(svg, last.left + 40.0, last.top + if last.is_least { 17.0 } else { -7.0 }, name);
    }
}

/// Three digits that count, with `k` for thousands and `M` for millions.
fn in_short(cost: f64) -> String {
    match cost {
        1e6.. => format!("{}M", digits(cost / 1e6)),
        1e4.. => format!("{}k", digits(cost / 1e3)),
        _ => digits(cost),
    }
}

#[expect(clippy::cast_precision_loss, reason = "there are few of them")]
fn as_number(count: usize) -> f64 {
    count as f64
}
