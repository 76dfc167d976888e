// SPDX-License-Identifier: GPL-3.0-or-later
//! A work bench: a device in memory that is written and sent, and the repository that receives it.

use std::fs;
use std::path::{Path, PathBuf};

use era::blockio::Piece;
use era::repository::manifest::Manifest;
use era::runs::Run;
use era::stream::{
    AUDIT, Audit, BASE, Consistency, Encode, EncoderV2, HashListHeader, HashListWriter, Header, Kind,
};
use era::units::{Era, Extent};
use uuid::Uuid;

use crate::program::{self, Run as Outcome};

pub const BLOCK: u64 = 4096;

/// A device that remembers which blocks were written since it was last sent, as dm-era does.
#[derive(Clone)]
pub struct Device {
    pub id: Uuid,
    pub generation: Uuid,
    pub bytes: Vec<u8>,
    pub era: u32,
    changed: Vec<u64>,
    random: u64,
}

impl Device {
    pub fn new(len: usize) -> Self {
        Self {
            id: Uuid::from_u128(0xde),
            generation: Uuid::from_u128(0x6e),
            bytes: vec![0; len],
            era: 1,
            changed: Vec::new(),
            random: 88_172_645_463_325_252,
        }
    }

    /// The next number of a fixed sequence: a failure can be looked at again.
    pub fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    pub fn blocks(&self) -> u64 {
        (self.bytes.len() as u64).div_ceil(BLOCK)
    }

    /// Writes noise, or zeros, to a block.
    pub fn write(&mut self, block: u64, zeros: bool) {
        let begin = (block * BLOCK) as usize;
        let end = (begin + BLOCK as usize).min(self.bytes.len());
        for at in begin..end {
            self.bytes[at] = if zeros { 0 } else { self.random() as u8 };
        }
        self.changed.push(block);
    }

    /// Some blocks by chance, one in five of them zeros.
    pub fn write_some(&mut self, count: u64) {
        for _ in 0..count {
            let (block, zeros) = (self.random() % self.blocks(), self.random().is_multiple_of(5));
            self.write(block, zeros);
        }
    }

    /// Grows with zeros, or shrinks.
    pub fn resize(&mut self, len: usize) {
        self.bytes.resize(len, 0);
        let blocks = self.blocks();
        self.changed.retain(|block| *block < blocks);
    }

    fn header(&self, kind: Kind, since: u32) -> Header {
        Header {
            device: self.id,
            generation: self.generation,
            device_bytes: self.bytes.len() as u64,
            block_bytes: BLOCK,
            since: Era(since),
            kind,
            consistency: Consistency::Snapshot,
            time: format!("2026-01-01T00:{:02}:{:02}Z", self.era / 60 % 60, self.era % 60).parse().unwrap(),
        }
    }

    /// Everything, as a stream.
    pub fn full(&mut self) -> Vec<u8> {
        self.era += 1;
        self.changed.clear();
        self.stream(&self.header(Kind::Full, 0), &[Run { begin: 0, end: self.blocks() }])
    }

    /// Everything, from a device with blocks of another size.
    pub fn full_in_blocks(&self, block_bytes: u64) -> Vec<u8> {
        let mut stream = Vec::new();
        let header = Header { block_bytes, ..self.header(Kind::Full, 0) };
        let mut encoder = EncoderV2::new(&mut stream, &header, None, Era(1)).unwrap();
        let extent = Extent { offset: 0, len: self.bytes.len() as u64 };
        encoder.piece(&Piece { extent, offset: 0, bytes: &self.bytes }).unwrap();
        encoder.finish().unwrap();
        drop(encoder);
        stream
    }

    /// What was written since the last stream.
    pub fn increment(&mut self) -> Vec<u8> {
        let since = self.era;
        self.era += 1;
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        let runs: Vec<_> = changed.into_iter().map(|block| Run { begin: block, end: block + 1 }).collect();
        self.stream(&self.header(Kind::Increment, since), &runs)
    }

    /// The list of hashes of a device that holds this.
    pub fn list_of(&self, bytes: &[u8]) -> Vec<u8> {
        let header = HashListHeader {
            device: self.id,
            device_bytes: bytes.len() as u64,
            unit_bytes: BLOCK,
            first: 0,
            stride: 1,
        };
        let mut list = Vec::new();
        let mut writer = HashListWriter::new(&mut list, &header).unwrap();
        for unit in bytes.chunks(BLOCK as usize) {
            writer.push(blake3::hash(unit).as_bytes()).unwrap();
        }
        writer.finish().unwrap();
        list
    }

    /// What is not as in a list.
    pub fn difference_to(&mut self, list: &[u8]) -> Vec<u8> {
        self.era += 1;
        self.changed.clear();
        let hashes: Vec<_> = list[64..list.len() - 32].chunks(32).collect();
        let runs: Vec<_> = self
            .bytes
            .chunks(BLOCK as usize)
            .zip(0..)
            .filter(|(block, at)| hashes.get(*at as usize) != Some(&&blake3::hash(block).as_bytes()[..]))
            .map(|(_, at)| Run { begin: at, end: at + 1 })
            .collect();
        let base = &list[list.len() - 32..];
        self.stream_with(&self.header(Kind::Difference, 0), &runs, Some((BASE, base)))
    }

    /// What is not as in `before`, of which this is the list.
    pub fn difference(&mut self, list: &[u8], before: &[u8]) -> Vec<u8> {
        self.era += 1;
        self.changed.clear();
        let block = |bytes: &[u8], at: u64| bytes.chunks(BLOCK as usize).nth(at as usize).map(<[u8]>::to_vec);
        let runs: Vec<_> = (0..self.blocks())
            .filter(|&at| block(&self.bytes, at) != block(before, at))
            .map(|at| Run { begin: at, end: at + 1 })
            .collect();
        let base = &list[list.len() - 32..];
        self.stream_with(&self.header(Kind::Difference, 0), &runs, Some((BASE, base)))
    }

    /// Everything of a device that has so many zeros.
    pub fn full_of_zeros(&mut self, device_bytes: u64) -> Vec<u8> {
        self.era += 1;
        let header = Header { device_bytes, ..self.header(Kind::Full, 0) };
        let (mut stream, zeros) = (Vec::new(), vec![0; 1 << 20]);
        let mut encoder = EncoderV2::new(&mut stream, &header, None, Era(self.era)).unwrap();
        for offset in (0..device_bytes).step_by(zeros.len()) {
            let extent = Extent { offset, len: zeros.len() as u64 };
            encoder.piece(&Piece { extent, offset, bytes: &zeros }).unwrap();
        }
        encoder.finish().unwrap();
        drop(encoder);
        stream
    }

    /// A stream that says that it is full, and has these bytes of the device, one range after another.
    pub fn full_of(&mut self, ranges: &[std::ops::Range<u64>]) -> Vec<u8> {
        self.era += 1;
        let mut bytes = Vec::new();
        let mut encoder =
            EncoderV2::new(&mut bytes, &self.header(Kind::Full, 0), None, Era(self.era)).unwrap();
        for range in ranges {
            let extent = Extent { offset: range.start, len: range.end - range.start };
            let contents = &self.bytes[range.start as usize..range.end as usize];
            encoder.piece(&Piece { extent, offset: extent.offset, bytes: contents }).unwrap();
            encoder.close_frame().unwrap();
        }
        encoder.finish().unwrap();
        drop(encoder);
        bytes
    }

    /// An increment that has these bytes, which need not be whole blocks.
    pub fn increment_of(&mut self, range: std::ops::Range<u64>) -> Vec<u8> {
        let header = self.header(Kind::Increment, self.era);
        self.era += 1;
        self.changed.clear();
        let mut bytes = Vec::new();
        let mut encoder = EncoderV2::new(&mut bytes, &header, None, Era(self.era)).unwrap();
        let extent = Extent { offset: range.start, len: range.end - range.start };
        let contents = &self.bytes[range.start as usize..range.end as usize];
        encoder.piece(&Piece { extent, offset: extent.offset, bytes: contents }).unwrap();
        encoder.finish().unwrap();
        drop(encoder);
        bytes
    }

    /// What was written since the last stream, and what an audit has found.
    pub fn audited_increment(&mut self, audit: &Audit) -> Vec<u8> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        let runs: Vec<_> = changed.into_iter().map(|block| Run { begin: block, end: block + 1 }).collect();
        let header = self.header(Kind::Increment, self.era);
        self.era += 1;
        self.stream_with(&header, &runs, Some((AUDIT, &audit.pack())))
    }

    /// What was written since the last stream, in passes: each sends what is written before it, and after the pass before.
    pub fn in_passes(&mut self, passes: &[&dyn Fn(&mut Self)]) -> Vec<u8> {
        let header = self.header(Kind::Increment, self.era);
        self.era += 1;
        let mut bytes = Vec::new();
        let mut encoder = EncoderV2::new(&mut bytes, &header, None, Era(self.era)).unwrap();
        for pass in passes {
            pass(self);
            let mut changed = std::mem::take(&mut self.changed);
            changed.sort_unstable();
            changed.dedup();
            for block in changed {
                let begin = block * BLOCK;
                let extent = Extent { offset: begin, len: BLOCK.min(self.bytes.len() as u64 - begin) };
                let bytes = &self.bytes[begin as usize..extent.end() as usize];
                encoder.piece(&Piece { extent, offset: begin, bytes }).unwrap();
            }
        }
        encoder.conclude(Era(self.era), passes.len() as u32, 1000);
        encoder.finish().unwrap();
        drop(encoder);
        bytes
    }

    fn stream(&self, header: &Header, runs: &[Run]) -> Vec<u8> {
        self.stream_with(header, runs, None)
    }

    fn stream_with(&self, header: &Header, runs: &[Run], record: Option<(u32, &[u8])>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = EncoderV2::new(&mut bytes, header, None, Era(self.era)).unwrap();
        for run in runs {
            let (begin, end) = (run.begin * BLOCK, (run.end * BLOCK).min(self.bytes.len() as u64));
            let extent = Extent { offset: begin, len: end - begin };
            let bytes = &self.bytes[begin as usize..end as usize];
            encoder.piece(&Piece { extent, offset: begin, bytes }).unwrap();
        }
        if let Some((kind, payload)) = record {
            encoder.optional(kind, payload).unwrap();
        }
        encoder.conclude(Era(self.era), 1, 1000);
        encoder.finish().unwrap();
        drop(encoder);
        bytes
    }
}

/// A repository, and what its points must be.
pub struct Bench {
    dir: tempfile::TempDir,
    /// Number of the point and the device then.
    pub kept: Vec<(u64, Vec<u8>)>,
}

impl Bench {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), kept: Vec::new() }
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("repo")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Runs a command on the repository; its path stands in the place of `REPO`.
    pub fn run(&self, args: &[&str], stdin: &[u8], crash_at: Option<u64>) -> Outcome {
        let repo = self.path();
        let args: Vec<String> = args.iter().map(|arg| arg.replace("REPO", repo.to_str().unwrap())).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut command = program::command("era", &args);
        command.current_dir(self.dir.path());
        if let Some(at) = crash_at {
            command.env("ERA_CRASH_AT", at.to_string());
        }
        program::run_command(command, stdin)
    }

    /// Puts the points at these times.
    pub fn set_times(&self, times: &[&str]) {
        let mut manifest = Manifest::read(&self.path()).unwrap().unwrap();
        for (point, time) in manifest.points.iter_mut().zip(times) {
            point.time = time.parse().unwrap();
        }
        manifest.write(&self.path()).unwrap();
    }

    /// What it has, as a list of hashes.
    pub fn list(&self) -> Vec<u8> {
        let out = self.run(&["hashes", "REPO"], b"", None);
        assert_eq!(out.code, Some(0), "{}", out.stderr);
        out.stdout
    }

    /// Receives a stream, which must become the next point.
    #[track_caller]
    pub fn receive(&mut self, stream: &[u8], device: &Device) {
        let out = self.run(&["receive", "REPO"], stream, None);
        assert_eq!(out.code, Some(0), "{}", out.stderr);
        let id = self.kept.last().map_or(1, |(id, _)| id + 1);
        self.kept.push((id, device.bytes.clone()));
    }

    /// The numbers of the points that there are.
    pub fn ids(&self) -> Vec<u64> {
        let out = self.run(&["points", "--json", "REPO"], b"", None);
        let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap_or_default();
        json["points"].as_array().into_iter().flatten().map(|point| point["id"].as_u64().unwrap()).collect()
    }

    /// A point as it is restored.
    #[track_caller]
    pub fn restored(&self, point: &str) -> Vec<u8> {
        let target = self.dir.path().join("restored");
        let out = self.run(&["restore", "--force", &format!("REPO@{point}"), "restored"], b"", None);
        assert_eq!(out.code, Some(0), "{}", out.stderr);
        fs::read(target).unwrap()
    }

    /// All points are there, and what they were, and nothing else is.
    #[track_caller]
    pub fn check(&self) {
        let ids: Vec<u64> = self.kept.iter().map(|(id, _)| *id).collect();
        assert_eq!(self.ids(), ids);
        for (id, bytes) in &self.kept {
            assert!(self.restored(&id.to_string()) == *bytes, "point {id} is not what it was");
        }
        let (_, last) = self.kept.last().expect("a point");
        assert!(fs::read(self.file("image")).unwrap() == *last, "the image is not the last point");
        let out = self.run(&["verify", "REPO"], b"", None);
        assert_eq!((out.code, out.stdout.as_slice()), (Some(0), &b""[..]), "{}", out.stderr);
    }

    /// The same after a command that changes something has brought things in order: no file is left over.
    #[track_caller]
    pub fn check_tidy(&self) {
        self.check();
        let names = |path: PathBuf| -> Vec<String> {
            let mut names: Vec<_> = fs::read_dir(path)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .filter(|name| !name.starts_with("lock"))
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(self.path()), ["hashes", "image", "manifest.json", "reserve", "undo"]);
        let mut undos: Vec<String> = self
            .kept
            .windows(2)
            .flat_map(|pair| {
                let name = format!("{}-{}", pair[0].0, pair[1].0);
                [format!("{name}.index"), name]
            })
            .collect();
        undos.sort();
        assert_eq!(names(self.file("undo")), undos);
    }

    /// A copy that was left, by a run that was killed, when all was overwritten and before the manifest says so.
    pub fn broken_off(&self, stream: &[u8]) -> Self {
        (1..)
            .map(|step| {
                let crashed = self.copy();
                crashed.run(&["receive", "REPO"], stream, Some(step));
                crashed
            })
            .find(|crashed| crashed.file("manifest.json.new").exists())
            .unwrap()
    }

    /// The same repository once more, elsewhere.
    pub fn copy(&self) -> Self {
        let copy = Self { dir: tempfile::tempdir().unwrap(), kept: self.kept.clone() };
        if self.path().exists() {
            copy_dir(&self.path(), &copy.path());
        }
        copy
    }
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
