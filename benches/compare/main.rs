//! The same work for this registry and for others on this machine, one after the other, again and again.
//!
//!     cargo build --release && cargo run --release -p registry-benches --bin compare
//!
//! Each row of the table is a piece of work. All servers of a row are started on volumes of their own and made ready; then
//! they take turns, in another order each round, and the best round of each counts. What is compared is the CPU time that
//! a server spends, its children's too: it is the same whatever else the machine does, and it is what a machine runs out
//! of. The throughput stands beside it. The client runs in this process and is not counted.
//!
//! CNCF Distribution 3 is looked for as `distribution`, 2.8 as Debian's `docker-registry`, and nginx as `nginx`; what is
//! not there is left out, which is said. nginx serves the blob or the manifest from a plain file, which is the limit of what
//! can be had, and stands with TLS in front of Distribution 2.8, as it does in many places.

mod chart;
mod curve;
mod peer;
mod plot;
mod process;
mod report;
mod row;
mod served;
mod work;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use chart::Drawn;
use peer::{Peer, Programs};
use report::{Figures, Measured, Report};
use row::{Row, Work};
use served::Served;

#[derive(Debug, Parser)]
#[command(about = "Measures this registry beside others on this machine")]
struct Arguments {
    /// How often each server has its turn; the best one counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long a turn of small requests takes.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Only the rows whose name contains this; may be given several times.
    #[arg(long)]
    only: Vec<String>,
    /// This registry; the program beside this one unless given.
    #[arg(long)]
    ours: Option<PathBuf>,
    /// CNCF Distribution 3.
    #[arg(long, default_value = "distribution")]
    distribution: PathBuf,
    /// CNCF Distribution 2.8.
    #[arg(long, default_value = "docker-registry")]
    distribution2: PathBuf,
    /// nginx.
    #[arg(long, default_value = "nginx")]
    nginx: PathBuf,
    /// The volumes are made below this folder, and removed at the end.
    #[arg(long, default_value = ".")]
    folder: PathBuf,
    /// Writes the figures to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Draws CPU time and throughput of the large blobs into this file, or the curves.
    #[arg(long)]
    svg: Option<PathBuf>,
    /// Leaves out what needs more tags, repositories or blobs than this in the volume.
    #[arg(long, default_value_t = usize::MAX)]
    most: usize,
    /// How large the blobs are where the most memory counts, in MiB; that many times 33 lie on the disk meanwhile.
    #[arg(long, default_value_t = 1024)]
    peak_mebibytes: usize,
    /// How costs grow with clients, bytes, tags and blobs, instead of the table; of this registry and Distribution 3.
    #[arg(long)]
    curves: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> io::Result<()> {
    let programs = Programs::find(arguments)?;
    let mut report = Report::default();
    let picture = if arguments.curves {
        chart::draw(&follow(&programs, arguments, &mut report)?)
    } else {
        for row in row::all(arguments.peak_mebibytes).iter().filter(|row| arguments.wants(&row.name)) {
            if let Some(figures) = measure(row, &Peer::ALL, &programs, arguments)? {
                report.add(Measured::new(row, &figures));
            }
        }
        plot::draw(&report)
    };
    println!("\n{}", report.table());
    if let Some(path) = &arguments.json {
        std::fs::write(path, report.json())?;
    }
    if let Some(path) = &arguments.svg {
        std::fs::write(path, picture)?;
    }
    Ok(())
}

/// Measures the points of the curves; each is a row of the report, too.
fn follow(programs: &Programs, arguments: &Arguments, report: &mut Report) -> io::Result<Vec<Drawn>> {
    let mut curves = Vec::new();
    for curve in curve::all().into_iter().filter(|curve| arguments.wants(curve.name)) {
        let mut points = Vec::new();
        for point in &curve.points {
            let figures = measure(&point.row, &[Peer::Ours, Peer::Distribution], programs, arguments)?;
            let measured = figures.map(|figures| Measured::new(&point.row, &figures));
            points.push(measured.clone());
            if let Some(measured) = measured {
                report.add(measured);
            }
        }
        curves.push((curve, points));
    }
    Ok(curves)
}

impl Arguments {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part))
    }
}

/// Lets every server that can do the work have its turns; `None` if the disk has no room for it.
fn measure(row: &Row, peers: &[Peer], programs: &Programs, arguments: &Arguments) -> io::Result<Option<Vec<Figures>>> {
    println!("{}", row.name);
    if row.work.filled() > arguments.most {
        println!("    LEFT OUT: it needs {} in the volume", row.work.filled());
        return Ok(None);
    }
    let disk = rustix::fs::statvfs(&arguments.folder)?;
    if disk.f_bavail.saturating_mul(disk.f_frsize) < row.work.disk_bytes() as u64
        || disk.f_ffree < 2 * row.work.blobs() as u64
    {
        println!("    LEFT OUT: the disk of {} has no room for it", arguments.folder.display());
        return Ok(None);
    }
    let folder = tempfile::Builder::new().prefix("compare.").tempdir_in(&arguments.folder)?;
    served::fill(row, folder.path())?;
    let mut served = Vec::new();
    for peer in peers.iter().copied().filter(|peer| peer.does(row) && programs.has(*peer)) {
        served.push(Served::start(peer, row, programs, folder.path())?);
    }
    let mut figures: Vec<_> = served.iter().map(|served| Figures::new(served.peer())).collect();
    // It takes minutes, and chance has little to say.
    let rounds = if matches!(row.work, Work::PushAndPull { .. }) { 1 } else { arguments.rounds };
    for round in 0..rounds {
        for turn in 0..served.len() {
            let index = (round + turn) % served.len();
            let done = served[index]
                .turn(row, round as u64, arguments.seconds)
                .map_err(|error| io::Error::other(format!("{}: {error}", served[index].peer().name())))?;
            println!("    round {}  {:24} {}", round + 1, served[index].peer().name(), row.work.unit().show(&done));
            figures[index].turns.push(done);
        }
    }
    Ok(Some(figures))
}
