// SPDX-License-Identifier: GPL-3.0-or-later
//! Lists that have all. What reaches object stores only logs that a list broke off, and returns what came before: a program that removes
//! what no snapshot in such a list needs would destroy others.

use rustic_core::{ErrorKind, FileType, RusticError, RusticResult};

use super::failure::backend_errors;

/// What a storage lists, or an error where it has told of one meanwhile. The storage must be asked by this thread.
pub fn whole_list<T>(tpe: FileType, list: impl FnOnce() -> RusticResult<T>) -> RusticResult<T> {
    let before = backend_errors();
    let list = list()?;
    if backend_errors() == before {
        return Ok(list);
    }
    Err(RusticError::new(ErrorKind::Backend, "The list of all files of type `{type}` is not whole.")
        .attach_context("type", tpe.to_string()))
}
