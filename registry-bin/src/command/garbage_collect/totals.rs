//! What a collection came to, for people.

use registry_core::gc::{Amount, GcReport};
use registry_core::retention::RetentionReport;

use super::bytes;

/// The last lines.
pub(super) fn of(report: &GcReport, uploads: usize, retention: Option<&RetentionReport>) -> Vec<String> {
    let would = if report.dry_run { "would be " } else { "" };
    let mut lines = vec![format!("{would}freed: {}", amount(report.purged))];
    // What was purged within the same command is told as such.
    if report.quarantined.bytes > report.purged.bytes || report.quarantined.count > report.purged.count {
        lines.push(format!("{would}in quarantine: {}", amount(report.quarantined)));
    }
    let counts = [
        (report.retired_manifests, "manifests"),
        (report.retired_layers, "layer links"),
        (report.dead_tags, "tags without a manifest"),
        (uploads as u64, "abandoned uploads"),
        (report.removed_repositories, "empty repositories"),
    ];
    let gone: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    if !gone.is_empty() {
        lines.push(format!("{would}taken away: {}", gone.join(", ")));
    }
    lines.extend(retention.into_iter().flat_map(of_tags));
    if report.restored + report.restored_links > 0 {
        lines.push(format!("{would}brought back: {} blobs, {} links", report.restored, report.restored_links));
    }
    if let Some(brake) = report.braked {
        let (condemned, blobs, percent) = (brake.condemned, brake.blobs, brake.max_percent);
        lines.push(format!(
            "{condemned} of {blobs} blobs are more than {percent} %: it would be refused without --force"
        ));
    }
    lines.extend(report.skipped.iter().map(|skipped| format!("left alone: {}: {}", skipped.place, skipped.reason)));
    let unnamed = report.skipped_total.saturating_sub(report.skipped.len() as u64);
    if unnamed > 0 {
        lines.push(format!("left alone: {unnamed} more"));
    }
    if report.unresolved_runs > 0 {
        lines.push(format!("runs whose end is not known, so that what they took stays: {}", report.unresolved_runs));
    }
    lines
}

fn of_tags(report: &RetentionReport) -> Vec<String> {
    let RetentionReport { expired, tags, protected, .. } = report;
    let would = if report.dry_run { "would be " } else { "" };
    let mut lines = vec![format!("{would}deleted by rules: {expired} of {tags} tags")];
    if *protected > 0 {
        lines.push(format!("kept only because they are protected: {protected} tags"));
    }
    if report.pulls_unknown {
        lines.push("pulls were not noted all the time: rules that ask for them keep everything".to_owned());
    }
    lines
}

fn amount(amount: Amount) -> String {
    format!("{} blobs, {}", amount.count, bytes(amount.bytes))
}
