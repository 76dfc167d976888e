// SPDX-License-Identifier: GPL-3.0-or-later
//! What `era status` shows to people: of one device everything, of several a line each and what is wrong.
//!
//! On a terminal all lines fit. In a pipe nothing is cut short or broken, so that a line can be searched for.

use crate::device::status::{Activity, Kind, Status};
use crate::report;
use crate::report::terminal::{self, Terminal};

/// Columns of what is said of the device before it is said.
const MARGIN: usize = 14;
/// Columns of the table but for the name and the path.
const FIXED: usize = 53;
/// Columns of a bar.
const BAR: u64 = 20;

const GOOD: &str = "32";
const BAD: &str = "1;31";

pub(super) fn describe(devices: &[Status], terminal: &Terminal) -> String {
    match devices {
        [device] => details(device, terminal),
        [] => String::new(),
        devices => table(devices, terminal),
    }
}

fn details(status: &Status, terminal: &Terminal) -> String {
    let (state, colour) = state(status);
    let bare = if status.kind == Kind::Bare { ", made by hand: without a header and snapshots" } else { "" };
    // It works, and that is not all.
    let state = if status.state == Activity::Untracked { format!("open, {state}") } else { state.into() };
    let mut text = entry(terminal, &status.name, "", &format!("{state}{bare}"), colour);
    let size = |bytes: Option<u64>| bytes.map(|bytes| report::size(bytes).to_string());
    let facts = [
        ("data", status.data.clone()),
        ("size", size(status.data_bytes)),
        ("block size", size(status.block_size_bytes)),
        ("metadata", status.metadata.clone()),
        ("in use", usage(status, terminal)),
        ("era", status.current_era.map(|era| era.to_string())),
        (
            "snapshot",
            status.snapshot.then(|| "is in place, of a command that is at work or was interrupted".into()),
        ),
        ("snapshot", (status.metadata_snapshot == Some(true)).then(|| "a metadata snapshot is held".into())),
        ("cow space", size(status.cow_bytes)),
        ("discards", status.discards.map(|on| if on { PASSED.into() } else { "off".into() })),
        ("device", status.device.map(|id| id.to_string())),
        ("generation", status.generation.map(|id| id.to_string())),
    ];
    for (what, fact) in facts {
        text.extend(fact.map(|fact| entry(terminal, &format!("  {what}"), "", &fact, "")));
    }
    text + &problems(status, terminal)
}

const PASSED: &str = "passed on: what is discarded is not mirrored";

fn table(devices: &[Status], terminal: &Terminal) -> String {
    let path = |status: &Status| terminal::harmless(status.data.as_deref().unwrap_or("-"));
    let longest = |of: &dyn Fn(&Status) -> String| devices.iter().map(|s| terminal::width(&of(s))).max();
    let mut names = longest(&|status| terminal::harmless(&status.name)).unwrap_or(0).max(4);
    let mut paths = longest(&path).unwrap_or(0);
    if terminal.is_terminal {
        // The half of the room at least is for what people know a device by.
        let room = terminal.columns.saturating_sub(FIXED);
        names = names.min(room.saturating_sub(paths).max(room / 2));
        paths = room.saturating_sub(names);
    }
    let line = |name: &str, (state, colour): (&str, &str), facts: [String; 3], path: &str| {
        let [size, era, used] = facts;
        let name = pad(&terminal::shorten(name, names), names);
        let state = coloured(terminal, &format!("{state:<11}"), colour);
        let path = terminal::shorten(path, paths.max(4));
        format!("{name}  {state}  {size:>10}  {era:>10}  {used:>6}  {path}").trim_end().to_owned() + "\n"
    };
    let mut text = line("name", ("state", ""), ["size", "era", "in use"].map(Into::into), "data");
    for status in devices {
        let or = |value: Option<String>| value.unwrap_or_else(|| "-".into());
        let facts = [
            or(status.data_bytes.map(|bytes| report::size(bytes).to_string())),
            or(status.current_era.map(|era| era.to_string())),
            or(percent(status).map(|percent| format!("{percent} %"))),
        ];
        text += &line(&status.name, state(status), facts, &path(status));
    }
    for status in devices.iter().filter(|status| !status.problems.is_empty()) {
        text += &format!("\n{}", entry(terminal, &status.name, "", "", ""));
        text += &problems(status, terminal);
    }
    text
}

fn problems(status: &Status, terminal: &Terminal) -> String {
    status.problems.iter().map(|problem| entry(terminal, "  PROBLEM", BAD, problem, "")).collect()
}

/// What the device is doing, and the colour of that.
fn state(status: &Status) -> (&'static str, &'static str) {
    match status.state {
        Activity::Closed => ("closed", ""),
        Activity::Open => ("open", GOOD),
        Activity::Suspended => ("suspended", BAD),
        Activity::Untracked => ("NOT TRACKED", BAD),
        Activity::Partial => ("half open", BAD),
    }
}

/// How full the metadata device is; none where that makes no sense.
fn percent(status: &Status) -> Option<u64> {
    let (used, total) = (status.metadata_used_blocks?, status.metadata_total_blocks?);
    u64::try_from((u128::from(used) * 100).checked_div(total.into())?).ok().filter(|_| used <= total)
}

fn usage(status: &Status, terminal: &Terminal) -> Option<String> {
    let (used, total) = (status.metadata_used_blocks?, status.metadata_total_blocks?);
    let Some(percent) = percent(status) else {
        return Some(format!("{used} of {total} metadata blocks"));
    };
    let bar = (percent * BAR).div_ceil(100);
    let bar = (0..BAR).map(|at| if at < bar { '#' } else { '.' }).collect::<String>();
    let bar = if terminal.is_terminal { format!("  {bar}") } else { String::new() };
    Some(format!("{used} of {total} metadata blocks, {percent} %{bar}"))
}

/// A name and what is said of it, on a terminal in as many lines as it takes.
fn entry(terminal: &Terminal, name: &str, name_colour: &str, value: &str, value_colour: &str) -> String {
    let columns = if terminal.is_terminal { terminal.columns } else { usize::MAX };
    let name = terminal::shorten(name, columns / 2);
    let margin = MARGIN.max(terminal::width(&name) + 2);
    let lines = terminal.lines_of(value, margin);
    let mut text = String::new();
    for (line, name) in lines.iter().zip([name.as_str()].into_iter().chain(std::iter::repeat(""))) {
        let rest = " ".repeat(margin - terminal::width(name));
        let line = coloured(terminal, line, value_colour);
        text += format!("{}{rest}{line}", coloured(terminal, name, name_colour)).trim_end();
        text.push('\n');
    }
    text
}

fn pad(text: &str, columns: usize) -> String {
    text.to_owned() + &" ".repeat(columns.saturating_sub(terminal::width(text)))
}

fn coloured(terminal: &Terminal, text: &str, colour: &str) -> String {
    if terminal.has_colour && !colour.is_empty() && !text.is_empty() {
        format!("\x1b[{colour}m{text}\x1b[0m")
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::snapshot::assert_snapshot;

    const TERMINAL: Terminal = Terminal { is_terminal: true, columns: 80, lines: 24, has_colour: false };

    fn device(name: &str, state: Activity) -> Status {
        Status {
            state,
            data: Some("/dev/vdb1".into()),
            metadata: Some("/dev/vdb2".into()),
            device: Some(uuid::Uuid::from_u128(1)),
            generation: Some(uuid::Uuid::from_u128(2)),
            data_bytes: Some(2 << 40),
            block_size_bytes: Some(512 << 10),
            current_era: Some(217),
            metadata_used_blocks: Some(4321),
            metadata_total_blocks: Some(20480),
            metadata_snapshot: Some(false),
            cow_bytes: Some(900 << 20),
            discards: Some(false),
            ..Status::empty(name, Kind::Full)
        }
    }

    fn many() -> Vec<Status> {
        let mut closed = device("backup-staging", Activity::Closed);
        (closed.current_era, closed.metadata_used_blocks) = (None, None);
        let mut suspended = device("db", Activity::Suspended);
        suspended.problems.push(
            "db is suspended: writes wait; if no command is at work on it, `era open db` resumes it".into(),
        );
        vec![device("vol", Activity::Open), closed, suspended]
    }

    /// As long as names may be, wide, and with what would clear the screen.
    fn hostile() -> Vec<Status> {
        let mut worst = device(&"n".repeat(127), Activity::Untracked);
        worst.data = Some(format!("/dev/mapper/{}", "\u{6f22}\u{5b57}".repeat(40)));
        (worst.data_bytes, worst.current_era) = (Some(u64::MAX), Some(u32::MAX));
        (worst.metadata_used_blocks, worst.metadata_total_blocks) = (Some(u64::MAX), Some(1));
        worst.problems.push(format!("\x1b[2J{}", "\u{6f22}".repeat(100)));
        let mut none = device("nothing", Activity::Partial);
        (none.data, none.data_bytes, none.metadata_total_blocks) = (None, Some(0), Some(0));
        vec![worst, none]
    }

    #[test]
    fn one_and_several() {
        assert_snapshot("status-one.txt", &describe(&many()[..1], &TERMINAL));
        let coloured = Terminal { has_colour: true, ..TERMINAL };
        assert_snapshot("status-several.txt", &describe(&many(), &TERMINAL));
        assert_snapshot("status-several-coloured.txt", &describe(&many(), &coloured));
        assert_snapshot("status-several-piped.txt", &describe(&many(), &Terminal::pipe()));
        assert_eq!(describe(&[], &TERMINAL), "");
    }

    #[test]
    fn nothing_hostile_wraps_or_moves_the_cursor() {
        assert_snapshot("status-hostile.txt", &describe(&hostile(), &TERMINAL));
        for columns in [60, 80, 132] {
            for devices in [&hostile()[..1], &hostile()[1..], &hostile()] {
                let text = describe(devices, &Terminal { columns, ..TERMINAL });
                assert!(text.lines().all(|line| terminal::width(line) <= columns), "{columns}: {text}");
                assert!(!text.contains('\x1b'));
            }
        }
    }
}
