// SPDX-License-Identifier: GPL-3.0-or-later
//! `era.attach=no` on the kernel's command line: what eratab marks `x-initrd.attach` is not opened, and / is mounted as
//! the raw device. For when tracking itself is what keeps the machine from starting.

/// Where the kernel's command line is.
pub const PATH: &str = "/proc/cmdline";

/// Whether what is marked `x-initrd.attach` is to be opened. The last word counts, as with the kernel's own.
pub fn attach(cmdline: &str) -> bool {
    let last =
        cmdline.split_ascii_whitespace().filter_map(|word| word.strip_prefix("era.attach=")).next_back();
    !matches!(last, Some("no" | "0" | "off" | "false"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts() {
        assert!(attach("root=/dev/mapper/root ro quiet\n"));
        assert!(!attach("root=/dev/mapper/root era.attach=no quiet\n"));
        assert!(!attach("era.attach=yes era.attach=0"));
        assert!(attach("era.attach=no era.attach=yes"));
        assert!(attach("other.era.attach=no era.attached=no"));
    }
}
