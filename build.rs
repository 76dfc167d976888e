// SPDX-License-Identifier: GPL-3.0-or-later
//! How the program is linked where it is built for tests.
//!
//! Tests start it thousands of times, most of them on a small virtual machine. A program that can be loaded anywhere first has to have all
//! its addresses put right, some hundred thousand with the clients of object stores, and page by page that takes longer than all else that
//! a short command does. So a debug build is linked to one place. What is released is not: there the kernel chooses the place, for security.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is_debug = std::env::var("PROFILE").is_ok_and(|profile| profile == "debug");
    let is_linux = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux");
    if is_debug && is_linux {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
