//! The figures, for people and for programs.

use std::fmt::Write as _;

use crate::peer::Peer;
use crate::row::{Row, Unit};
use crate::work::Turn;

/// The turns of one server.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    pub(crate) peer: Peer,
    pub(crate) turns: Vec<Turn>,
}

/// Every row that was measured.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<Measured>);

/// The servers in one row.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) row: String,
    pub(crate) unit: Unit,
    pub(crate) best: Vec<Best>,
}

/// The best turn of a server.
#[derive(Debug, Clone)]
pub(crate) struct Best {
    pub(crate) peer: Peer,
    pub(crate) cost: f64,
    pub(crate) rate: Option<f64>,
    /// What all of its turns cost.
    pub(crate) costs: Vec<f64>,
}

impl Figures {
    pub(crate) fn new(peer: Peer) -> Self {
        Self { peer, turns: Vec::new() }
    }

    fn best(&self, unit: Unit) -> Option<Best> {
        let costs: Vec<_> = self.turns.iter().map(|turn| unit.cost(turn)).collect();
        let cost = costs.iter().copied().min_by(f64::total_cmp)?;
        let rate = self.turns.iter().filter_map(|turn| unit.rate(turn)).max_by(f64::total_cmp);
        Some(Best { peer: self.peer, cost, rate, costs })
    }
}

impl Report {
    pub(crate) fn add(&mut self, measured: Measured) {
        self.0.push(measured);
    }

    pub(crate) fn rows(&self) -> &[Measured] {
        &self.0
    }

    /// As a table in Markdown.
    pub(crate) fn table(&self) -> String {
        let mut table = String::from("| | | cost | of Distribution 3 | throughput |\n|---|---|---:|---:|---:|\n");
        for measured in &self.0 {
            let mut name = measured.row.as_str();
            for best in &measured.best {
                let share = measured.share(best).map(in_short).unwrap_or_default();
                let rate = best.rate.map(|rate| format!("{} {}", digits(rate), measured.unit.rate_name()));
                let (peer, cost, unit) = (best.peer.name(), digits(best.cost), measured.unit.name());
                let rate = rate.unwrap_or_default();
                // A string takes it all.
                let _ = writeln!(table, "| {name} | {peer} | {cost} {unit} | {share} | {rate} |");
                name = "";
            }
        }
        table
    }

    /// As JSON: a list of rows.
    pub(crate) fn json(&self) -> String {
        let rows = self.0.iter().map(|measured| {
            let servers = measured.best.iter().map(|best| {
                serde_json::json!({
                    "server": best.peer.id(),
                    "cost": best.cost,
                    "costs": best.costs,
                    "share_of_distribution3": measured.share(best),
                    "rate": best.rate,
                })
            });
            serde_json::json!({
                "row": measured.row,
                "cost_unit": measured.unit.name(),
                "rate_unit": measured.unit.rate_name(),
                "servers": servers.collect::<Vec<_>>(),
            })
        });
        format!("{:#}\n", serde_json::Value::Array(rows.collect()))
    }
}

impl Measured {
    pub(crate) fn new(row: &Row, figures: &[Figures]) -> Self {
        let unit = row.work.unit();
        let best = figures.iter().filter_map(|figures| figures.best(unit)).collect();
        Self { row: row.name.clone(), unit, best }
    }

    /// The cost as a share of that of Distribution 3.
    fn share(&self, best: &Best) -> Option<f64> {
        let theirs = self.best.iter().find(|other| other.peer == Peer::Distribution)?;
        (best.peer != Peer::Distribution).then(|| best.cost / theirs.cost)
    }
}

/// Two digits behind the point, unless that is nothing.
fn in_short(share: f64) -> String {
    if share < 0.01 { format!("{share:.4}") } else { format!("{share:.2}") }
}

/// Three digits that count.
pub(crate) fn digits(figure: f64) -> String {
    let decimals = if figure >= 100.0 {
        0
    } else if figure >= 10.0 {
        1
    } else if figure >= 1.0 {
        2
    } else {
        3
    };
    format!("{figure:.decimals$}")
}
