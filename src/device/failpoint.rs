// SPDX-License-Identifier: GPL-3.0-or-later
//! Places where tests make the program die or fail.
//!
//! A build with debug assertions looks into `ERA_FAILPOINT` when it starts work: a list, with commas between, of
//! `STEP=ACTION`, or `STEP@N=ACTION` for the Nth time that a step is reached. Any other build has none of this.
//! Reaching a step looks at memory only, as the root filesystem may be suspended.

/// What happens at a step.
#[cfg(debug_assertions)]
#[derive(Clone, Copy, Debug)]
enum Action {
    /// The process gets a signal.
    Signal(rustix::process::Signal),
    /// Whoever reads the standard output goes away.
    BrokenPipe,
}

#[cfg(debug_assertions)]
struct Point {
    step: String,
    /// How often the step is yet to be reached until something happens.
    left: std::sync::atomic::AtomicU32,
    action: Action,
}

#[cfg(debug_assertions)]
static ARMED: std::sync::OnceLock<Vec<Point>> = std::sync::OnceLock::new();

/// Looks what is asked for; to be called before anything is suspended.
///
/// # Panics
/// In builds with debug assertions, when what is asked for makes no sense.
#[cfg(debug_assertions)]
pub fn arm() {
    ARMED.get_or_init(|| {
        let text = std::env::var("ERA_FAILPOINT").unwrap_or_default();
        text.split(',').filter(|point| !point.is_empty()).map(parse).collect()
    });
}

#[cfg(debug_assertions)]
fn parse(text: &str) -> Point {
    use rustix::process::Signal;
    let (place, action) = text.split_once('=').expect("ERA_FAILPOINT is STEP=ACTION,...");
    let (step, count) = place.split_once('@').unwrap_or((place, "1"));
    let action = match action {
        "kill" => Action::Signal(Signal::KILL),
        "term" => Action::Signal(Signal::TERM),
        "hup" => Action::Signal(Signal::HUP),
        "stop" => Action::Signal(Signal::STOP),
        "epipe" => Action::BrokenPipe,
        other => panic!("ERA_FAILPOINT: {other} is not kill, term, hup, stop or epipe"),
    };
    let left = count.parse::<u32>().expect("ERA_FAILPOINT: STEP@N=ACTION").into();
    Point { step: step.into(), left, action }
}

/// The program is at this step.
#[cfg(debug_assertions)]
pub fn reach(step: &str) {
    use std::sync::atomic::Ordering;
    for point in ARMED.get().into_iter().flatten().filter(|point| point.step == step) {
        let left = point.left.load(Ordering::Relaxed);
        point.left.store(left.saturating_sub(1), Ordering::Relaxed);
        if left == 1 {
            act(point.action);
        }
    }
}

#[cfg(debug_assertions)]
fn act(action: Action) {
    use rustix::process::{Signal, getpid, kill_process};
    match action {
        Action::Signal(signal) => {
            let _ = kill_process(getpid(), signal);
            if signal == Signal::TERM || signal == Signal::HUP {
                // Their handler has a thread of its own. What it does, it does at this step.
                std::thread::sleep(std::time::Duration::from_secs(1));
            }
        }
        Action::BrokenPipe => {
            if let Ok((reader, writer)) = rustix::pipe::pipe() {
                drop(reader);
                let _ = rustix::stdio::dup2_stdout(writer);
            }
        }
    }
}

/// Nothing, in this build.
#[cfg(not(debug_assertions))]
pub fn arm() {}

/// Nothing, in this build.
#[cfg(not(debug_assertions))]
#[inline]
pub fn reach(_step: &str) {}
