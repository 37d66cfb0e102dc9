//! The process, under the names that every Prometheus knows: what Linux tells of it.

use std::fs;

use prometheus::Opts;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::read::{Read, as_float};

/// The numbers of this process. What the system does not tell stays at 0.
pub(super) fn numbers() -> prometheus::Result<Read> {
    Read::default()
        .counter(Opts::new("process_cpu_seconds_total", "Total user and system CPU time spent in seconds."), || {
            Some(seconds(stat(14)? + stat(15)?))
        })?
        .gauge(
            Opts::new("process_open_fds", "Number of open file descriptors."),
            // Looking opens one more.
            || Some(as_float(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as u64)),
        )?
        .gauge(Opts::new("process_max_fds", "Maximum number of open file descriptors."), || {
            Some(getrlimit(Resource::Nofile).current.map_or(f64::INFINITY, as_float))
        })?
        .gauge(Opts::new("process_virtual_memory_bytes", "Virtual memory size in bytes."), || {
            Some(as_float(stat(23)?))
        })?
        .gauge(
            Opts::new("process_virtual_memory_max_bytes", "Maximum amount of virtual memory available in bytes."),
            // As Go's client tells that there is no limit.
            || Some(as_float(getrlimit(Resource::As).current.unwrap_or(u64::MAX))),
        )?
        .counter(
            Opts::new(
                "process_network_receive_bytes_total",
                "Number of bytes received by the process over the network.",
            ),
            || Some(as_float(octets("InOctets")?)),
        )?
        .counter(
            Opts::new("process_network_transmit_bytes_total", "Number of bytes sent by the process over the network."),
            || Some(as_float(octets("OutOctets")?)),
        )?
        .gauge(Opts::new("process_resident_memory_bytes", "Resident memory size in bytes."), || {
            Some(as_float(stat(24)? * page_size() as u64))
        })?
        .gauge(
            Opts::new("process_start_time_seconds", "Start time of the process since unix epoch in seconds."),
            || Some(seconds(stat(22)?) + as_float(booted_at()?)),
        )
}

fn seconds(ticks: u64) -> f64 {
    as_float(ticks) / as_float(clock_ticks_per_second().max(1))
}

/// A field of `/proc/self/stat`, by its number in proc(5).
fn stat(number: usize) -> Option<u64> {
    field(&fs::read_to_string("/proc/self/stat").ok()?, number)
}

/// The second field is the name of the program, which may hold anything.
fn field(stat: &str, number: usize) -> Option<u64> {
    let (_, behind) = stat.rsplit_once(')')?;
    behind.split_ascii_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

/// A number of the network that the process is in, as Go's client takes it.
fn octets(name: &str) -> Option<u64> {
    extended(&fs::read_to_string("/proc/self/net/netstat").ok()?, name)
}

/// Names stand in one line, and their values in the next.
fn extended(netstat: &str, name: &str) -> Option<u64> {
    let mut lines = netstat.lines().filter(|line| line.starts_with("IpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let at = names.split_ascii_whitespace().position(|known| known == name)?;
    values.split_ascii_whitespace().nth(at)?.parse().ok()
}

fn booted_at() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use registry_core::{Clock as _, SystemClock};

    use super::*;

    #[test]
    fn the_name_of_a_program_may_hold_anything() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21\n";
        assert_eq!((field(stat, 4), field(stat, 24), field(stat, 99)), (Some(1), Some(21), None));
    }

    #[test]
    fn names_and_values_of_the_network() {
        let text = "TcpExt: A B\nTcpExt: 1 2\nIpExt: InNoRoutes InOctets OutOctets\nIpExt: 3 4 5\n";
        assert_eq!((extended(text, "InOctets"), extended(text, "OutOctets")), (Some(4), Some(5)));
        assert_eq!(extended(text, "A"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process() {
        let now = SystemClock.now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let began = seconds(stat(22).unwrap()) + as_float(booted_at().unwrap());
        assert!(began < now + 2.0 && now - began < 3600.0, "{began} {now}");
        assert!(stat(24).unwrap() * page_size() as u64 > 100_000);
        assert!(stat(23).unwrap() > stat(24).unwrap());
    }
}
