//! Starting and ending the program.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The program, with an environment of its own.
#[derive(Debug)]
pub(crate) struct Program {
    command: Command,
    folder: PathBuf,
}

impl Program {
    /// Will run in `folder`.
    pub(crate) fn in_folder(folder: &TempDir) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_registry"));
        command.env_clear().current_dir(folder).stdin(Stdio::null());
        Self { command, folder: folder.path().to_owned() }
    }

    /// Will run in `folder`, after the shell has set these limits.
    pub(crate) fn limited(folder: &TempDir, limits: &str) -> Self {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("{limits} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_registry")]);
        command.env_clear().current_dir(folder).stdin(Stdio::null());
        Self { command, folder: folder.path().to_owned() }
    }

    /// Writes a configuration and gives it as the last argument.
    pub(crate) fn config(self, text: &str) -> Self {
        let path = self.folder.join("config.yml");
        std::fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap().to_owned();
        self.args(&[&path])
    }

    pub(crate) fn args(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<Path>) -> Self {
        self.command.env(name, value.as_ref());
        self
    }

    /// Runs to the end.
    pub(crate) fn output(mut self) -> Output {
        self.command.output().unwrap()
    }

    /// Runs to the end, which must be a failure with this exit code; gives standard error.
    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> String {
        let output = self.output();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{told}");
        told
    }

    /// Begins to run.
    pub(crate) fn spawn(mut self) -> Begun {
        let mut child = self.command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = lines(child.stderr.take().unwrap());
        Begun { child, log }
    }

    /// Runs until it listens.
    #[track_caller]
    pub(crate) fn serve(mut self) -> Server {
        let mut child = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = lines(child.stderr.take().unwrap());
        let access_log = lines(child.stdout.take().unwrap());
        let mut server = Server { child, log, access_log, address: String::new(), told: Vec::new() };
        let line = server.wait_for("listening on ");
        let address = line.split("listening on ").nth(1).unwrap().split('"').next().unwrap();
        address.clone_into(&mut server.address);
        server
    }
}

/// The program, of which nothing is known. It is killed when dropped.
#[derive(Debug)]
pub(crate) struct Begun {
    child: Child,
    log: Receiver<String>,
}

impl Begun {
    /// The first lines of its log.
    #[track_caller]
    pub(crate) fn wait_for_lines(&self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.log.recv_timeout(PATIENCE).expect("a line of the log")).collect()
    }

    /// Connects to its socket as soon as it is there.
    #[track_caller]
    pub(crate) fn connect(&mut self, path: &Path) -> UnixStream {
        for _ in 0..PATIENCE.as_millis() / 10 {
            assert_eq!(self.child.try_wait().unwrap(), None, "it ended");
            if let Ok(stream) = UnixStream::connect(path) {
                return stream;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("nobody listens at {}", path.display());
    }

    /// Tells it to end, and gives its exit code.
    pub(crate) fn end(mut self) -> Option<i32> {
        terminate(&self.child, Signal::TERM);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn terminate(child: &Child, signal: Signal) {
    let id = i32::try_from(child.id()).unwrap();
    kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
}

/// The program, serving. It is killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    log: Receiver<String>,
    access_log: Receiver<String>,
    /// Where it listens.
    pub(crate) address: String,
    /// The lines of its log so far.
    pub(crate) told: Vec<String>,
}

impl Server {
    /// Waits for a line of the log.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, part: &str) -> String {
        loop {
            match self.log.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.told.push(line.clone());
                    if line.contains(part) {
                        return line;
                    }
                }
                Err(error) => panic!("no {part:?}, but {error}, in {:#?}", self.told),
            }
        }
    }

    /// The next line of the access log.
    #[track_caller]
    pub(crate) fn access_line(&self) -> String {
        self.access_log.recv_timeout(PATIENCE).expect("a line in the access log")
    }

    /// What the access log has when the program has ended.
    pub(crate) fn rest_of_access_log(&self) -> Vec<String> {
        self.access_log.iter().collect()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        terminate(&self.child, signal);
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn end(&mut self) -> ExitStatus {
        // The log ends with the process.
        loop {
            match self.log.recv_timeout(PATIENCE) {
                Ok(line) => self.told.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => return self.child.wait().unwrap(),
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end: {:#?}", self.told),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
