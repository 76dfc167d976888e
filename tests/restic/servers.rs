// SPDX-License-Identifier: GPL-3.0-or-later
//! Real servers on the loopback device: restic's REST protocol by rclone, S3 by moto, SFTP by sshd. Each ends with what
//! has started it, be it by a panic or by a signal.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::made;

/// What must not be printed.
pub const SECRET: &str = "open-sesame-7";

/// A server that runs.
pub struct Server {
    process: Child,
    pub port: u16,
    pub dir: tempfile::TempDir,
}

impl Server {
    /// What `rclone serve restic` serves; a client that may only add cannot delete.
    pub fn rest(append_only: bool) -> Self {
        Self::start("rclone", |command, port, dir| {
            command.args(["serve", "restic", "--user", "me", "--pass", SECRET, "--addr"]);
            command.arg(format!("127.0.0.1:{port}")).arg(dir.join("files"));
            command.env("RCLONE_CONFIG", dir.join("no-configuration"));
            if append_only {
                command.arg("--append-only");
            }
        })
    }

    /// moto, which keeps everything in memory, with a bucket of the name `bucket`.
    pub fn s3() -> Self {
        let program = moto();
        let server = Self::start(program.to_str().unwrap(), |command, port, _| {
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        });
        server.put("bucket", &[]);
        server
    }

    /// A bucket of S3, or an object in one.
    fn put(&self, path: &str, bytes: &[u8]) {
        let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        let len = bytes.len();
        let head = format!(
            "PUT /{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {len}\r\n\r\n"
        );
        connection.write_all(head.as_bytes()).unwrap();
        connection.write_all(bytes).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// The same with a repository at `bucket/r`.
    pub fn s3_made() -> Self {
        let server = Self::s3();
        for (path, bytes) in made::FILES {
            server.put(&format!("bucket/r/{path}"), bytes);
        }
        server
    }

    /// What `rclone serve restic` serves, with a repository there.
    pub fn rest_made(append_only: bool) -> Self {
        let server = Self::rest(append_only);
        made::make(&server.dir.path().join("files"));
        server
    }

    /// An sshd, whose host key the client knows.
    pub fn sftp() -> Self {
        let sshd = find("sshd").expect("sshd is installed: apt-get install openssh-server");
        let server = Self::start(sshd.to_str().unwrap(), |command, port, dir| {
            for key in ["host", "key"] {
                let _ = fs::remove_file(dir.join(key));
                let mut keygen = Command::new("ssh-keygen");
                keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(dir.join(key));
                assert!(keygen.status().unwrap().success());
            }
            if rustix::process::geteuid().is_root() {
                // Where sshd puts those that are not let in yet; the service makes it, which may never have run here.
                fs::create_dir_all("/run/sshd").unwrap();
            }
            let at = dir.display();
            let said = format!(
                "ListenAddress 127.0.0.1:{port}\nHostKey {at}/host\nAuthorizedKeysFile {at}/key.pub\nPidFile none\n\
                 StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
                 PermitRootLogin yes\nSubsystem sftp internal-sftp\n"
            );
            fs::write(dir.join("server"), said).unwrap();
            command.args(["-D", "-e", "-f"]).arg(dir.join("server"));
        });
        server.know(true);
        server
    }

    /// Whether the client knows the key of the sshd, or another one.
    pub fn know(&self, right: bool) {
        let key =
            fs::read_to_string(self.dir.path().join(if right { "host.pub" } else { "key.pub" })).unwrap();
        fs::write(self.dir.path().join("known"), format!("[127.0.0.1]:{} {key}", self.port)).unwrap();
    }

    /// A directory there, as rclone is told of it.
    pub fn sftp_place(&self) -> String {
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        let (user, at) = (String::from_utf8(user).unwrap(), self.dir.path().display());
        format!(
            "rclone::sftp,host=127.0.0.1,port={},user={},key_file={at}/key,known_hosts_file={at}/known:{at}/repository",
            self.port,
            user.trim()
        )
    }

    fn start(program: &str, prepare: impl Fn(&mut Command, u16, &Path)) -> Self {
        // Somebody else may take the port first.
        (0..5)
            .find_map(|_| Self::try_start(program, &prepare))
            .unwrap_or_else(|| panic!("{program} does not start"))
    }

    fn try_start(program: &str, prepare: impl Fn(&mut Command, u16, &Path)) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", program]);
        prepare(&mut command, port, dir.path());
        let said = File::create(dir.path().join("said")).unwrap();
        command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
        let process = command.spawn().expect("setpriv is installed: apt-get install util-linux");
        let mut server = Self { process, port, dir };
        for _ in 0..1200 {
            if server.process.try_wait().unwrap().is_some() {
                break;
            }
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Some(server);
            }
            thread::sleep(Duration::from_millis(50));
        }
        eprintln!("{program}: {}", fs::read_to_string(server.dir.path().join("said")).unwrap());
        None
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where scripts/install-moto puts it.
fn moto() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"))).unwrap();
    let program = cache.join("era/tools/moto/bin/moto_server");
    assert!(program.exists(), "{} is not there: scripts/install-moto makes it", program.display());
    program
}

/// An ordinary user's PATH lacks the sbin directories.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/local/sbin:/usr/sbin:/sbin";
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|path| path.is_file())
}
