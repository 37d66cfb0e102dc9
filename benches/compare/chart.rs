//! A picture of how costs grow: a small chart for each curve, both axes logarithmic.

use std::fmt::Write as _;

use crate::curve::{self, Curve};
use crate::peer::Peer;
use crate::plot::{begin, text};
use crate::report::{Measured, digits};

const COLUMNS: usize = 2;
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 40.0;
const TOP: f64 = 44.0;
const INNER_WIDTH: f64 = WIDTH - LEFT - 60.0;
const INNER_HEIGHT: f64 = HEIGHT - TOP - 50.0;

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
        let costs = measured.iter().enumerate().filter_map(|(index, measured)| {
            let best = measured.as_ref()?.best.iter().find(|best| best.peer == peer)?;
            Some((across(index), down(best.cost), best.cost))
        });
        line(svg, peer, &costs.collect::<Vec<_>>());
    }
}

fn line(svg: &mut String, peer: Peer, points: &[(f64, f64, f64)]) {
    let class = if peer == Peer::Ours { "ours" } else { "other" };
    let path: Vec<String> = points.iter().map(|(left, top, _)| format!("{left:.1},{top:.1}")).collect();
    let _ = writeln!(svg, "<polyline class=\"{class}\" points=\"{}\"/>", path.join(" "));
    for (left, top, cost) in points {
        let _ = writeln!(svg, "<circle class=\"{class}\" cx=\"{left:.1}\" cy=\"{top:.1}\" r=\"3\"/>");
        text(svg, left - 8.0, top - 7.0, &digits(*cost));
    }
    if let Some((left, top, _)) = points.last() {
        text(svg, left + 6.0, top + 12.0, if peer == Peer::Ours { "ours" } else { "D3" });
    }
}

#[expect(clippy::cast_precision_loss, reason = "there are few of them")]
fn as_number(count: usize) -> f64 {
    count as f64
}
