// SPDX-License-Identifier: GPL-3.0-or-later
//! What is written about the program: every command line in README, docs, manual pages and `--help` is one that the program
//! takes and that a test runs; manual pages are well-formed, and name only pages that there are.

#[path = "../common/boot_program.rs"]
mod boot_program;
mod commands;
mod evidence;
mod pages;
mod texts;
