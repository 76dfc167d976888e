// SPDX-License-Identifier: GPL-3.0-or-later
//! An sshd of our own, as whoever runs the test, on a port of the loopback device: one key, and one forced command for it.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::program::{Run, run_command};

/// Runs until it is dropped, be it by a panic.
pub struct Sshd {
    pub dir: tempfile::TempDir,
    /// The server, and a client that shares its connection.
    processes: Vec<Child>,
}

impl Sshd {
    /// A server that lets one key do what `era restrict` with these arguments lets it. `None`, after saying why, where
    /// there is none; that is a failure where everything is required.
    pub fn start(restrict: &str) -> Option<Self> {
        let Some(program) = find("sshd").filter(|_| find("ssh").is_some()) else {
            let why = "no ssh and sshd: install the Debian packages openssh-client and openssh-server";
            assert!(std::env::var_os("ERA_TEST_REQUIRE_ALL").is_none_or(|all| all != "1"), "{why}");
            eprintln!("skipped: {why}");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        for key in ["host", "key"] {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(dir.path().join(key));
            assert_eq!(run_command(keygen, b"").code, Some(0));
        }
        let public = fs::read_to_string(dir.path().join("key.pub")).unwrap();
        let era = env!("CARGO_BIN_EXE_era");
        let line = format!("restrict,command=\"{era} restrict {restrict}\" {public}");
        fs::write(dir.path().join("authorized_keys"), line).unwrap();
        if is_root() {
            // Where sshd puts those that are not let in yet; the service makes it, which may never have run here.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        // Somebody else may take the port first.
        let process = (0..5).find_map(|_| serve(&program, dir.path())).expect("sshd starts");
        Some(Self { dir, processes: vec![process] })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-F").arg(self.config());
        command
    }

    /// The client's configuration, in which every host is this one.
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("client")
    }

    /// From now on clients share a connection, for a test that asks for much; until it is there, they do without.
    pub fn share_connection(&mut self) {
        let config = fs::read_to_string(self.config()).unwrap();
        fs::write(self.config(), format!("{config}ControlPath {}/shared\n", self.dir.path().display()))
            .unwrap();
        let mut ssh = self.command("ssh");
        ssh.args(["-M", "-N", "host"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.processes.push(ssh.spawn().unwrap());
    }

    /// Has the server run a command line, as a client asks for it.
    pub fn ask(&self, line: &str, stdin: &[u8]) -> Run {
        self.ask_with(&[], &[line], stdin)
    }

    /// The same with variables in the client's environment, all of which the server accepts.
    pub fn ask_with(&self, environment: &[(&str, &str)], args: &[&str], stdin: &[u8]) -> Run {
        let mut ssh = self.command("ssh");
        for (name, value) in environment {
            ssh.env(name, value).arg(format!("-oSendEnv={name}"));
        }
        ssh.arg("host").args(args);
        run_command(ssh, stdin)
    }

    /// Runs scp or sftp.
    pub fn transfer(&self, program: &str, args: &[&str]) -> Run {
        let mut command = self.command(program);
        command.args(args);
        run_command(command, b"")
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// An ordinary user's PATH lacks the sbin directories.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/local/sbin:/usr/sbin:/sbin";
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|path| path.is_file())
}

/// Starts a server and waits until it can be reached.
fn serve(program: &Path, dir: &Path) -> Option<Child> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let at = dir.display();
    let server = format!(
        "ListenAddress 127.0.0.1:{port}\nHostKey {at}/host\nAuthorizedKeysFile {at}/authorized_keys\nPidFile {at}/pid\n\
         StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n\
         AcceptEnv *\nSubsystem sftp internal-sftp\n"
    );
    let client = format!(
        "HostName 127.0.0.1\nPort {port}\nIdentityFile {at}/key\nIdentitiesOnly yes\nIdentityAgent none\nBatchMode yes\n\
         UserKnownHostsFile /dev/null\nGlobalKnownHostsFile /dev/null\nStrictHostKeyChecking no\nLogLevel ERROR\n\
         KexAlgorithms curve25519-sha256\n"
    );
    fs::write(dir.join("server"), server).unwrap();
    fs::write(dir.join("client"), client).unwrap();
    let said = File::create(dir.join("said")).unwrap();
    let mut process = Command::new(program)
        .args(["-D", "-e", "-f"])
        .arg(dir.join("server"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(said)
        .spawn()
        .unwrap();
    for _ in 0..600 {
        if process.try_wait().unwrap().is_some() {
            eprintln!("{}", fs::read_to_string(dir.join("said")).unwrap());
            return None;
        }
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Some(process);
        }
        thread::sleep(Duration::from_millis(50));
    }
    let _ = process.kill();
    let _ = process.wait();
    None
}
