// SPDX-License-Identifier: GPL-3.0-or-later
//! A work and those who do it, in turn.

use std::any::Any;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};

use crate::cache;
use crate::names::Names;
use crate::pipeline::{Cost, Peak, Pipeline};

/// Rounds that count. A warm-up comes first, in which programs and file maps get into memory.
pub const ROUNDS: u32 = 5;

pub struct Work {
    pub title: String,
    /// What each contestant has to get through.
    pub bytes: u64,
    /// The first is the reference.
    contestants: Vec<Contestant>,
    /// Commands that cannot run here, and the programs that they lack.
    pub left_out: Vec<(String, String)>,
    /// Read by the contestants; put out of the page cache before each run.
    inputs: Vec<PathBuf>,
    /// Written by the contestants, a file or a directory; removed before each run, so that each begins with nothing.
    output: PathBuf,
    names: Names,
    /// What the commands use goes away with the work.
    held: Vec<Box<dyn Any>>,
}

struct Contestant {
    label: String,
    run: Box<dyn Fn() -> anyhow::Result<Cost>>,
}

/// How a contestant did.
pub struct Standing {
    pub label: String,
    /// Seconds of each round.
    rounds: Vec<f64>,
    /// Of each program, the highest of all rounds.
    pub peaks: Vec<Peak>,
}

/// All contestants' standings in one work.
pub struct Standings {
    /// The word that chooses the work.
    pub name: &'static str,
    pub title: String,
    pub contestants: Vec<Standing>,
}

impl Work {
    /// A work on the file that is called FILE in the commands. OUT is a new file in the directory of TMP.
    pub fn new(title: &str, bytes: u64, names: &Names) -> Self {
        let tmp = names.path("TMP").expect("every work has a directory");
        let output = tmp.join("out");
        let names = names.with("OUT", &output);
        let input = names.path("FILE").expect("every work reads something").to_owned();
        Self {
            title: title.into(),
            bytes,
            contestants: Vec::new(),
            left_out: Vec::new(),
            inputs: vec![input],
            output,
            names,
            held: Vec::new(),
        }
    }

    /// Adds a command line.
    pub fn command(mut self, label: &str) -> Self {
        let complaints = self.names.path("TMP").expect("see new").join("complaints");
        let pipeline = Pipeline::new(label, &self.names, complaints);
        match pipeline.missing(&self.names) {
            // Nobody expects the classic tools to be there.
            Some(program) if program.starts_with("classic/") => {}
            Some(program) => self.left_out.push((label.into(), program.into())),
            None => self
                .contestants
                .push(Contestant { label: label.into(), run: Box::new(move || pipeline.run()) }),
        }
        self
    }

    /// Adds something that this program does itself.
    pub fn function(mut self, label: &str, run: impl Fn() -> anyhow::Result<Cost> + 'static) -> Self {
        self.contestants.push(Contestant { label: label.into(), run: Box::new(run) });
        self
    }

    /// Keeps something that the commands use: a device, a directory, a mount. What was added last goes first.
    pub fn holding(mut self, what: impl Any) -> Self {
        self.held.insert(0, Box::new(what));
        self
    }

    /// One more file that must come from the disk.
    pub fn reading(mut self, path: impl Into<PathBuf>) -> Self {
        self.inputs.push(path.into());
        self
    }

    /// Has each contestant run once, so that nothing is new to the first round.
    pub fn warm_up(&self, interrupted: &AtomicBool) -> anyhow::Result<()> {
        for contestant in &self.contestants {
            self.run(contestant, interrupted)?;
        }
        Ok(())
    }

    /// Runs all contestants, in turn, the first one of a round being another each time.
    pub fn compete(&self, name: &'static str, interrupted: &AtomicBool) -> anyhow::Result<Standings> {
        let count = self.contestants.len();
        let mut costs: Vec<Vec<Cost>> = (0..count).map(|_| Vec::new()).collect();
        for round in 0..ROUNDS as usize {
            for turn in 0..count {
                let who = (round + turn) % count;
                costs[who].push(self.run(&self.contestants[who], interrupted)?);
            }
        }
        self.remove_output()?;
        let standing = |(contestant, own): (&Contestant, &Vec<Cost>)| Standing {
            label: contestant.label.clone(),
            rounds: own.iter().map(|cost| cost.time.as_secs_f64()).collect(),
            peaks: highest(own),
        };
        let contestants = self.contestants.iter().zip(&costs).map(standing).collect();
        Ok(Standings { name, title: self.title.clone(), contestants })
    }

    fn run(&self, contestant: &Contestant, interrupted: &AtomicBool) -> anyhow::Result<Cost> {
        self.remove_output()?;
        for input in &self.inputs {
            cache::evict(input)?;
        }
        let cost = (contestant.run)();
        if interrupted.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        cost.with_context(|| contestant.label.clone())
    }

    fn remove_output(&self) -> anyhow::Result<()> {
        let removed = if self.output.is_dir() {
            fs::remove_dir_all(&self.output)
        } else {
            fs::remove_file(&self.output)
        };
        match removed {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e).context("cannot remove the last output"),
            _ => Ok(()),
        }
    }
}

impl Standings {
    /// What the others are compared with.
    pub fn reference(&self) -> &Standing {
        &self.contestants[0]
    }

    pub fn of(&self, label: &str) -> Option<&Standing> {
        self.contestants.iter().find(|standing| standing.label == label)
    }
}

impl Standing {
    /// The median.
    pub fn seconds(&self) -> f64 {
        median(self.rounds.iter().copied())
    }

    /// How many times as fast as another: the median of the rounds' ratios. A disk whose speed drifts from round to
    /// round does not change it.
    pub fn ratio_to(&self, other: &Standing) -> f64 {
        median(other.rounds.iter().zip(&self.rounds).map(|(other, own)| other / own))
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn highest(costs: &[Cost]) -> Vec<Peak> {
    let mut peaks = costs[0].peaks.clone();
    for cost in costs {
        for (peak, other) in peaks.iter_mut().zip(&cost.peaks) {
            peak.bytes = peak.bytes.max(other.bytes);
        }
    }
    peaks
}
