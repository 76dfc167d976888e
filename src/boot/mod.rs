// SPDX-License-Identifier: GPL-3.0-or-later
//! Starting a machine with tracked devices: what systemd, udev and the initial ramdisk are told about `/etc/eratab`.
//!
//! All of it is pure: texts in, texts out. Who calls it reads and writes the files.

pub mod edits;
pub mod escape;
pub mod generator;
pub mod kernel_parameter;
pub mod raw_links;
