//! A next server in Python, which says on its standard output what happens to it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::certs::Identity;
use crate::server::tool;
use crate::wait_for;

pub struct PythonNext {
    child: Child,
    pub port: u16,
    said: Arc<Mutex<Vec<String>>>,
}

impl PythonNext {
    /// Starts a script of this folder with these words, its certificate and its key behind them;
    /// none where there is no Python.
    pub fn start(script: &str, words: &[&str], identity: &Identity) -> Option<PythonNext> {
        let mut command = Command::new(tool("python3")?);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program");
        command.arg(folder.join(script)).args(words);
        command.arg(&identity.certificate).arg(&identity.key);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        let port = first.strip_prefix("port ").unwrap().parse().unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let record = said.clone();
        thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| record.lock().unwrap().push(line));
        });
        Some(PythonNext { child, port, said })
    }

    /// What it said that begins so.
    pub fn said(&self, words: &str) -> Vec<String> {
        let said = self.said.lock().unwrap();
        said.iter().filter(|line| line.starts_with(words)).cloned().collect()
    }

    pub fn wait(&self, words: &str, count: usize) -> Vec<String> {
        wait_for(words, || Some(self.said(words)).filter(|said| said.len() >= count))
    }
}

impl Drop for PythonNext {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("---- the next server said:\n{}", self.said.lock().unwrap().join("\n"));
        }
    }
}
