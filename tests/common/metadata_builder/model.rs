// SPDX-License-Identifier: GPL-3.0-or-later
//! What a description means, computed the plain way: the oracle that needs no metadata at all.

use super::{Description, State};
use std::fmt::Write;

impl State {
    /// Was this block written in era `since` or later, going by the array and the archived writesets?
    pub fn archived_since(&self, block: u32, since: u32) -> bool {
        self.eras.of(u64::from(block)) >= since
            || self.archived.range(since..).any(|(_, w)| w.contains(block))
    }

    /// The same, and by the current era's writeset.
    pub fn changed_since(&self, block: u32, since: u32) -> bool {
        let now = self.current_era >= since && self.current.as_ref().is_some_and(|w| w.contains(block));
        now || self.archived_since(block, since)
    }
}

impl Description {
    /// The runs `[begin, end)` of blocks of which `changed` holds.
    pub fn runs(&self, changed: impl Fn(u32) -> bool) -> Vec<(u64, u64)> {
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for block in (0..self.nr_blocks).filter(|&block| changed(block)).map(u64::from) {
            match runs.last_mut() {
                Some(run) if run.1 == block => run.1 += 1,
                _ => runs.push((block, block + 1)),
            }
        }
        runs
    }

    /// Eras at which the answer can change, and their neighbours, up to the current one: an even choice of them
    /// where there are many, always with the first and the last.
    pub fn interesting_eras(&self, state: &State) -> Vec<u32> {
        let mut eras: Vec<u32> = (0..self.nr_blocks).map(|b| state.eras.of(u64::from(b))).collect();
        eras.extend(state.archived.keys());
        eras.push(state.current_era);
        eras = eras.iter().flat_map(|&era| [era.saturating_sub(1), era, era.saturating_add(1)]).collect();
        eras.sort_unstable();
        eras.dedup();
        eras.retain(|&era| era <= state.current_era);
        let chosen = eras.len().min(12);
        (0..chosen).map(|i| eras[i * (eras.len() - 1) / (chosen - 1).max(1)]).collect()
    }

    /// The live state as era_dump 0.9 prints it, and as era_restore reads it. There is no current writeset in it.
    pub fn to_xml(&self) -> String {
        let mut xml = format!(
            "<superblock uuid=\"\" block_size=\"{}\" nr_blocks=\"{}\" current_era=\"{}\">\n",
            self.block_size_sectors, self.nr_blocks, self.live.current_era
        );
        for (era, writeset) in &self.live.archived {
            writeln!(xml, "  <writeset era=\"{era}\" nr_bits=\"{}\">", writeset.nr_bits).expect("to memory");
            for bit in 0..writeset.nr_bits {
                let value = writeset.contains(bit);
                writeln!(xml, "    <bit block=\"{bit}\" value=\"{value}\"/>").expect("to memory");
            }
            xml.push_str("  </writeset>\n");
        }
        xml.push_str("  <era_array>\n");
        for block in 0..self.nr_blocks {
            let era = self.live.eras.of(u64::from(block));
            writeln!(xml, "    <era block=\"{block}\" era=\"{era}\"/>").expect("to memory");
        }
        xml.push_str("  </era_array>\n</superblock>\n");
        xml
    }
}
