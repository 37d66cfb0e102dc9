//! Programs that run beside this one, and what they use up.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::peer::Command;

/// A program that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Running(Child);

impl Running {
    /// Starts a program without the settings that a registry would read from the environment.
    pub(crate) fn start(command: &Command, log: &Path) -> io::Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        let mut process = std::process::Command::new(&command.program);
        process.args(&command.arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("REGISTRY_") || name.starts_with("OTEL_")) {
                process.env_remove(name);
            }
        }
        Ok(Self(process.env("OTEL_TRACES_EXPORTER", "none").spawn()?))
    }

    /// Whether it ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().is_ok_and(|ended| ended.is_some())
    }

    /// CPU seconds of it and its children, in user code and in the kernel.
    pub(crate) fn cpu_seconds(&self) -> io::Result<f64> {
        tree(self.0.id()).into_iter().map(cpu_seconds).sum()
    }

    /// Bytes of memory that it and its children have, in the kernel's count.
    pub(crate) fn resident_bytes(&self) -> io::Result<f64> {
        tree(self.0.id()).into_iter().map(|id| memory(id, "VmRSS:")).sum()
    }

    /// The most bytes of memory that it and its children had since [`forget_peak`](Self::forget_peak).
    pub(crate) fn peak_bytes(&self) -> io::Result<f64> {
        tree(self.0.id()).into_iter().map(|id| memory(id, "VmHWM:")).sum()
    }

    /// From now on the most memory counts.
    pub(crate) fn forget_peak(&self) -> io::Result<()> {
        tree(self.0.id()).into_iter().try_for_each(|id| fs::write(format!("/proc/{id}/clear_refs"), "5"))
    }
}

impl Drop for Running {
    #[expect(clippy::disallowed_methods, reason = "another program takes the time that it takes")]
    fn drop(&mut self) {
        // A parent that is killed does not end its children, so it is asked first.
        let begun = Instant::now();
        let asked = kill_process(Pid::from_child(&self.0), Signal::TERM);
        while asked.is_ok() && !self.has_ended() && begun.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(5));
        }
        if !self.has_ended() {
            eprintln!("process {} does not end, and is killed", self.0.id());
            if let Err(error) = self.0.kill().and_then(|()| self.0.wait()) {
                eprintln!("process {} is still there: {error}", self.0.id());
            }
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(30);

/// A process and all below it.
fn tree(id: u32) -> Vec<u32> {
    let mut all = vec![id];
    let tasks = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    for task in tasks {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|child| child.parse().ok());
        all.extend(children.flat_map(tree));
    }
    all
}

/// The kernel counts in hundredths of a second, wherever Linux runs.
const TICKS: f64 = 100.0;

fn cpu_seconds(id: u32) -> io::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name in front may have spaces.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    let ticks = fields.skip(11).take(2).map(|field| field.parse::<f64>().map_err(io::Error::other));
    Ok(ticks.sum::<io::Result<f64>>()? / TICKS)
}

/// A line of what the kernel tells of a process's memory.
fn memory(id: u32, name: &str) -> io::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")).ok_or(io::ErrorKind::InvalidData)?;
    Ok(kibibytes.trim().parse::<f64>().map_err(io::Error::other)? * 1024.0)
}
