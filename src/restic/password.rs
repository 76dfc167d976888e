// SPDX-License-Identifier: GPL-3.0-or-later
//! The password of a repository, from where restic takes it.

use anyhow::{Context, anyhow, bail};
use rustic_core::{CredentialOptions, Credentials};

use super::failure::{failure, hide};

/// The password that the environment has, names, or says how to get. As in restic, a file is stronger than a command, and both are
/// stronger than the password itself.
pub fn from_environment() -> anyhow::Result<Credentials> {
    let mut options = CredentialOptions::default();
    let source = if let Some(path) = variable("RESTIC_PASSWORD_FILE")? {
        options = options.password_file(path);
        "RESTIC_PASSWORD_FILE"
    } else if let Some(command) = variable("RESTIC_PASSWORD_COMMAND")? {
        let command =
            command.parse().map_err(|_| anyhow!("RESTIC_PASSWORD_COMMAND: has quotes that do not end"))?;
        options.password_command = Some(command);
        "RESTIC_PASSWORD_COMMAND"
    } else if let Some(password) = variable("RESTIC_PASSWORD")? {
        options = options.password(password);
        "RESTIC_PASSWORD"
    } else {
        bail!(
            "the repository's password is not known: set RESTIC_PASSWORD_FILE (a file that has it), \
             RESTIC_PASSWORD_COMMAND (a command that prints it) or RESTIC_PASSWORD"
        );
    };
    match options.credentials().map_err(failure).context(source)? {
        Some(Credentials::Password(password)) if password.is_empty() => {
            bail!("{source}: the password is empty")
        }
        Some(credentials) => {
            if let Credentials::Password(password) = &credentials {
                hide(password);
            }
            Ok(credentials)
        }
        None => bail!("{source}: there is no password"),
    }
}

/// A variable that is set, and not to nothing.
pub(super) fn variable(name: &str) -> anyhow::Result<Option<String>> {
    match std::env::var(name) {
        Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(e) => Err(e).context(name.to_owned()),
    }
}
