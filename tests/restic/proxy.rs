// SPDX-License-Identifier: GPL-3.0-or-later
//! A connection between a program and a server that fails when it has let so much through.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How it fails.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Connections are closed, in the middle of a request, too.
    Close,
    /// Nothing is read or written any more.
    Stall,
    /// Every request is answered with this.
    Answer(&'static str),
    /// Everything comes through, a little at a time.
    Slow,
}

/// A proxy that runs until it is dropped.
pub struct Proxy {
    pub port: u16,
    state: Arc<State>,
    listener: Option<JoinHandle<()>>,
}

struct State {
    server: u16,
    /// What is going wrong, after how many bytes from the client.
    fault: Mutex<Option<(Fault, u64)>>,
    passed: AtomicU64,
    /// Connections that were made while it failed.
    tries: AtomicU64,
    is_over: AtomicBool,
}

impl Proxy {
    pub fn start(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            server,
            fault: Mutex::new(None),
            passed: AtomicU64::new(0),
            tries: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        });
        let shared = state.clone();
        let listener = thread::spawn(move || {
            for client in listener.incoming() {
                if shared.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let (client, state) = (client.unwrap(), shared.clone());
                thread::spawn(move || state.serve(client));
            }
        });
        Self { port, state, listener: Some(listener) }
    }

    /// It fails from so many bytes on, counted from now.
    pub fn fail(&self, fault: Fault, after: u64) {
        self.state.passed.store(0, Ordering::SeqCst);
        self.state.tries.store(0, Ordering::SeqCst);
        *self.state.fault.lock().unwrap() = Some((fault, after));
    }

    pub fn heal(&self) {
        *self.state.fault.lock().unwrap() = None;
    }

    /// Connections that were made while it failed.
    pub fn tries(&self) -> u64 {
        self.state.tries.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::SeqCst);
        self.heal();
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

impl State {
    /// What goes wrong now.
    fn fault(&self) -> Option<Fault> {
        let (fault, after) = (*self.fault.lock().unwrap())?;
        (self.passed.load(Ordering::SeqCst) >= after).then_some(fault)
    }

    fn serve(&self, client: TcpStream) {
        if self.fault().is_some() {
            self.tries.fetch_add(1, Ordering::SeqCst);
        }
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.server)) else { return };
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut answers = &server;
                self.pass(&mut answers, &client, |_| ());
                // The client has gone, or the server.
                let _ = client.shutdown(Shutdown::Write);
            });
            let mut requests = &client;
            self.pass(&mut requests, &server, |len| {
                self.passed.fetch_add(len, Ordering::SeqCst);
            });
            match self.fault() {
                // The server must not take a part of a request for the whole.
                Some(fault) => self.break_off(fault, &client, &server),
                None => drop(server.shutdown(Shutdown::Write)),
            }
        });
    }

    /// Passes on until there is no more, or it fails.
    fn pass(&self, from: &mut &TcpStream, mut to: &TcpStream, count: impl Fn(u64)) {
        let mut buffer = [0; 16384];
        loop {
            let Ok(len @ 1..) = from.read(&mut buffer) else { return };
            match self.fault() {
                Some(Fault::Slow) => thread::sleep(Duration::from_millis(2)),
                Some(_) => return,
                None => {}
            }
            count(len as u64);
            if to.write_all(&buffer[..len]).is_err() {
                return;
            }
        }
    }

    fn break_off(&self, fault: Fault, mut client: &TcpStream, server: &TcpStream) {
        match fault {
            Fault::Close | Fault::Slow => {}
            Fault::Stall => {
                while self.fault().is_some() {
                    thread::sleep(Duration::from_millis(20));
                }
            }
            Fault::Answer(status) => {
                // Whoever is asked something listens to the end; a client that still sends does not read.
                let mut rest = [0; 65536];
                let _ = client.set_read_timeout(Some(Duration::from_millis(300)));
                while matches!(client.read(&mut rest), Ok(1..)) {}
                let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
                let _ = client.write_all(answer.as_bytes());
                let _ = client.shutdown(Shutdown::Write);
                // Closed with something unread, the answer might be lost on its way.
                while matches!(client.read(&mut rest), Ok(1..)) {}
            }
        }
        let _ = server.shutdown(Shutdown::Both);
        let _ = client.shutdown(Shutdown::Both);
    }
}
