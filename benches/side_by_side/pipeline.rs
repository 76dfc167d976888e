// SPDX-License-Identifier: GPL-3.0-or-later
//! A command line, run without a shell: `|`, `;`, `<` and `>` as words of their own.
//!
//! Input that is not redirected is empty, output that is not goes to /dev/null.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::names::Names;
use crate::peak::Sampler;

/// What one run cost.
pub struct Cost {
    pub time: Duration,
    pub peaks: Vec<Peak>,
}

/// The most memory that a program had at any time.
#[derive(Clone)]
pub struct Peak {
    pub program: String,
    pub bytes: u64,
}

pub struct Pipeline {
    /// One after another; the programs of each at the same time.
    steps: Vec<Vec<Program>>,
    environment: Vec<(&'static str, OsString)>,
    /// Where the programs complain.
    complaints: PathBuf,
}

#[derive(Default)]
struct Program {
    name: String,
    words: Vec<OsString>,
    input: Option<OsString>,
    output: Option<OsString>,
}

impl Pipeline {
    pub fn new(command: &str, names: &Names, complaints: PathBuf) -> Self {
        let step = |step: &str| step.split(" | ").map(|program| Program::new(program, names)).collect();
        let steps = command.split(" ; ").map(step).collect();
        Self { steps, environment: names.environment().to_vec(), complaints }
    }

    /// The name of a program that is not there.
    pub fn missing(&self, names: &Names) -> Option<&str> {
        self.steps.iter().flatten().map(|program| program.name.as_str()).find(|name| !names.has_program(name))
    }

    /// Runs it to the end of its last program.
    pub fn run(&self) -> anyhow::Result<Cost> {
        let complaints = File::create(&self.complaints)?;
        let mut peaks = Vec::new();
        let begin = Instant::now();
        for programs in &self.steps {
            peaks.extend(self.run_step(programs, &complaints)?);
        }
        Ok(Cost { time: begin.elapsed(), peaks })
    }

    fn run_step(&self, programs: &[Program], complaints: &File) -> anyhow::Result<Vec<Peak>> {
        let mut children = start(programs, &self.environment, complaints)?;
        let sampler = Sampler::start(children.iter().map(Child::id).collect());
        let ends: Vec<_> = children.iter_mut().map(Child::wait).collect();
        let peaks = sampler.finish();
        for (program, end) in programs.iter().zip(ends) {
            let end = end?;
            if !end.success() {
                let said = fs::read_to_string(&self.complaints).unwrap_or_default();
                bail!("{}: {end}\n{}", program.name, said.trim_end());
            }
        }
        let peak = |(program, bytes): (&Program, u64)| Peak { program: program.name.clone(), bytes };
        Ok(programs.iter().zip(peaks).map(peak).collect())
    }
}

/// Starts programs, each reading what the one before writes.
fn start(
    programs: &[Program],
    environment: &[(&'static str, OsString)],
    complaints: &File,
) -> anyhow::Result<Vec<Child>> {
    let mut children = Vec::new();
    let mut upstream: Option<io::PipeReader> = None;
    for (i, program) in programs.iter().enumerate() {
        let input = match (&program.input, upstream.take()) {
            (Some(path), _) => File::open(path)?.into(),
            (None, Some(pipe)) => pipe.into(),
            (None, None) => Stdio::null(),
        };
        let output = match &program.output {
            Some(path) => File::create(path)?.into(),
            None if i + 1 < programs.len() => {
                let (reader, writer) = io::pipe()?;
                upstream = Some(reader);
                writer.into()
            }
            None => Stdio::null(),
        };
        let child = Command::new(&program.words[0])
            .args(&program.words[1..])
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(input)
            .stdout(output)
            .stderr(complaints.try_clone()?)
            .spawn()
            .with_context(|| format!("cannot start {}", program.name))?;
        children.push(child);
    }
    Ok(children)
}

impl Program {
    fn new(text: &str, names: &Names) -> Self {
        let mut program = Self::default();
        let mut words = text.split_whitespace();
        while let Some(word) = words.next() {
            match word {
                "<" => program.input = words.next().map(|name| names.resolve(name)),
                ">" => program.output = words.next().map(|name| names.resolve(name)),
                _ => program.words.push(names.resolve(word)),
            }
        }
        program.name = text.split_whitespace().next().unwrap_or_default().into();
        program
    }
}
