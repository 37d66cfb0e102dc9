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
//! not there is left out, which is said. nginx serves the blob from a plain file, which is the limit of what can be had,
//! and stands with TLS in front of Distribution 2.8, as it does in many places.

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

use peer::{Peer, Programs};
use report::{Figures, Report};
use row::Row;
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
    /// Draws CPU time and throughput of the large blobs into this file.
    #[arg(long)]
    svg: Option<PathBuf>,
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
    for row in row::all() {
        let is_wanted = arguments.only.is_empty() || arguments.only.iter().any(|part| row.name.contains(part));
        if is_wanted {
            let figures = measure(&row, &programs, arguments)?;
            report.add(&row, &figures);
        }
    }
    println!("\n{}", report.table());
    if let Some(path) = &arguments.json {
        std::fs::write(path, report.json())?;
    }
    if let Some(path) = &arguments.svg {
        std::fs::write(path, plot::draw(&report))?;
    }
    Ok(())
}

/// Lets every server that can do the work have its turns.
fn measure(row: &Row, programs: &Programs, arguments: &Arguments) -> io::Result<Vec<Figures>> {
    println!("{}", row.name);
    let folder = tempfile::Builder::new().prefix("compare.").tempdir_in(&arguments.folder)?;
    served::fill(row, folder.path())?;
    let mut served = Vec::new();
    for peer in Peer::ALL {
        if peer.does(row) && programs.has(peer) {
            served.push(Served::start(peer, row, programs, folder.path())?);
        }
    }
    let mut figures: Vec<_> = served.iter().map(|served| Figures::new(served.peer())).collect();
    for round in 0..arguments.rounds {
        for turn in 0..served.len() {
            let index = (round + turn) % served.len();
            let done = served[index]
                .turn(row, round as u64, arguments.seconds)
                .map_err(|error| io::Error::other(format!("{}: {error}", served[index].peer().name())))?;
            println!("    round {}  {:24} {}", round + 1, served[index].peer().name(), row.work.unit().show(&done));
            figures[index].turns.push(done);
        }
    }
    Ok(figures)
}
