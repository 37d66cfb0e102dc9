//! `/ui/monitoring`: requests, errors, latency and traffic.

use std::time::Duration;

use askama::Template;
use http::StatusCode;

use super::chart::Chart;
use super::traffic::Span;
use crate::access::Authorized;
use crate::call::Call;
use crate::dispatch::Answer;
use crate::error::Refusal;
use crate::ui::shown::{Moment, Size, Took};
use crate::ui::viewer::{Frame, html};

/// How much is shown at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Period {
    Hour,
    Hours,
    Day,
}

impl Period {
    const ALL: [Self; 3] = [Self::Hour, Self::Hours, Self::Day];

    fn of(call: &Call) -> Self {
        let asked = call.query.get("period").unwrap_or_default();
        Self::ALL.into_iter().find(|period| period.word() == asked).unwrap_or(Self::Hour)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Hours => "6h",
            Self::Day => "24h",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Hour => "Last hour",
            Self::Hours => "Last 6 hours",
            Self::Day => "Last day",
        }
    }

    /// How many bars there are.
    fn count(self) -> usize {
        match self {
            Self::Hour => 60,
            Self::Hours => 72,
            Self::Day => 96,
        }
    }

    /// How many minutes each stands for.
    fn minutes(self) -> usize {
        match self {
            Self::Hour => 1,
            Self::Hours => 5,
            Self::Day => 15,
        }
    }
}

#[derive(Template)]
#[template(path = "monitoring.html")]
struct MonitoringPage {
    frame: Frame,
    /// Each that there is, and whether it is this one.
    periods: [(Period, bool); Period::ALL.len()],
    begun: Moment,
    total: Span,
    pictures: Vec<Picture>,
    rows: Vec<Row>,
}

/// One chart with what stands around it.
struct Picture {
    title: &'static str,
    /// What it shows, for those who do not see it.
    label: String,
    /// The names of the series, which are also those of their colours.
    series: &'static [&'static str],
    chart: Chart,
    top: String,
    spots: Vec<Spot>,
}

/// Where a pointer finds out more.
struct Spot {
    x: usize,
    width: usize,
    text: String,
}

/// Some minutes in numbers.
struct Row {
    time: Moment,
    span: Span,
}

impl MonitoringPage {
    fn first(&self) -> Option<Moment> {
        self.rows.first().map(|row| row.time)
    }

    /// What happened at all, the newest first.
    fn eventful(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().rev().filter(|row| row.span != Span::default())
    }
}

impl Picture {
    /// The series, each with its words.
    fn legend(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.series.iter().map(|name| {
            let word = match *name {
                "half" => "half of all within",
                "most" => "99 of 100 within",
                "refused" => "refused (4xx)",
                "failed" => "failed (5xx)",
                name => name,
            };
            (*name, word)
        })
    }

    /// The series, each with its bars.
    fn bars(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.series.iter().copied().zip(self.chart.paths.iter().map(String::as_str))
    }
}

impl Span {
    fn took(&self, percent: u64) -> Option<Took> {
        self.latencies.percentile(percent).map(Took)
    }
}

pub(in crate::ui) fn show(call: &Call, at: &Authorized<()>) -> Answer {
    let Some(traffic) = &call.settings.observer.traffic else { return Err(Refusal::no_page()) };
    let (now, period) = (call.settings.registry.clock().now(), Period::of(call));
    let (first, spans) = traffic.last(period.count(), period.minutes());
    let step = Duration::from_secs(60 * period.minutes() as u64);
    let time = |at: usize| first + step * u32::try_from(at).unwrap_or(u32::MAX);
    let rows: Vec<Row> =
        spans.iter().enumerate().map(|(at, span)| Row { time: Moment::new(time(at), now), span: *span }).collect();
    let mut total = Span::default();
    for span in &spans {
        total.add(span);
    }
    let page = MonitoringPage {
        frame: Frame::new(call, Some(at.principal())),
        periods: Period::ALL.map(|one| (one, one == period)),
        begun: Moment::new(traffic.begun().min(now), now),
        total,
        pictures: pictures(&rows),
        rows,
    };
    html(call, StatusCode::OK, &page)
}

fn pictures(rows: &[Row]) -> Vec<Picture> {
    vec![
        picture(
            "Requests",
            &["answered", "refused", "failed"],
            rows,
            |span| [span.answered, span.refused, span.failed],
            |number| number.to_string(),
            |span| format!("{} answered, {} refused, {} failed", span.answered, span.refused, span.failed),
        ),
        picture(
            "Latency",
            &["half", "most"],
            rows,
            |span| {
                let of = |percent| span.latencies.percentile(percent).map_or(0, micros);
                [of(50), of(99) - of(50)]
            },
            |number| Took(Duration::from_micros(number)).to_string(),
            |span| match (span.took(50), span.took(99)) {
                (Some(half), Some(most)) => format!("half within {half}, 99 of 100 within {most}"),
                _ => "no requests".to_owned(),
            },
        ),
        picture(
            "Traffic",
            &["sent", "received"],
            rows,
            |span| [span.sent, span.received],
            |number| Size(number).to_string(),
            |span| format!("{} sent, {} received", Size(span.sent), Size(span.received)),
        ),
    ]
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn picture<const SERIES: usize>(
    title: &'static str,
    series: &'static [&'static str; SERIES],
    rows: &[Row],
    values: impl Fn(&Span) -> [u64; SERIES],
    number: impl Fn(u64) -> String,
    tell: impl Fn(&Span) -> String,
) -> Picture {
    let values: Vec<_> = rows.iter().map(|row| values(&row.span)).collect();
    let chart = Chart::stacked(&values);
    let spots = chart.places().zip(rows);
    let spots = spots
        .map(|((x, width), row)| Spot { x, width, text: format!("{}: {}", row.time.exact(), tell(&row.span)) })
        .collect();
    let top = number(chart.top);
    let label = format!("{title} over time, up to {top}; the numbers stand in the table below");
    Picture { title, label, series, chart, top, spots }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn no_period_is_longer_than_what_is_kept() {
        for period in Period::ALL {
            assert!(period.count() * period.minutes() <= 24 * 60);
        }
    }

    #[test]
    fn a_picture_tells_each_number() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
        let span = Span { answered: 5, failed: 1, sent: 2_000, ..Span::default() };
        let rows = [Row { time: Moment::new(now, now), span }];
        let texts: Vec<_> = pictures(&rows).into_iter().map(|picture| picture.spots[0].text.clone()).collect();
        assert_eq!(
            texts,
            [
                "2027-01-15T08:00:00Z: 5 answered, 0 refused, 1 failed",
                "2027-01-15T08:00:00Z: no requests",
                "2027-01-15T08:00:00Z: 2.00 kB sent, 0 B received",
            ]
        );
    }
}
