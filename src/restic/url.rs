// SPDX-License-Identifier: GPL-3.0-or-later
//! `restic:URL`, as restic's users write the URL, and what rustic wants to be told for it.
//!
//! | URL | where |
//! | --- | --- |
//! | `/path`, `local:/path` | a directory here |
//! | `rest:http://host:8000/path` | restic's REST server |
//! | `s3:https://host/bucket/path`, `s3:host/bucket/path` | S3, or what speaks its protocol |
//! | `b2:bucket:path`, `azure:container:/path`, `gs:bucket:/path` | Backblaze, Azure, Google Cloud |
//! | `rclone:remote:path` | whatever rclone reaches, SFTP too |
//!
//! Credentials come from the environment, as restic's. What is in a URL is masked wherever the URL is printed.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use anyhow::{Context, anyhow, bail};
use rustic_backend::BackendOptions;

use super::failure::hide;
use super::password::variable;

/// What a repository of this kind begins with.
pub const PREFIX: &str = "restic:";

/// How often a request is tried again before the run fails; the time between two tries grows from one second on.
const RETRIES: &str = "5";

/// The variable that says otherwise.
const RETRIES_VARIABLE: &str = "ERA_STORAGE_RETRIES";

/// How long one request may take, that of a pack of data included.
const TIMEOUT: &str = "PT10M";

/// What serves whatever rclone reaches: it ends with this program, whatever ends that.
const RCLONE: &str = "setpriv --pdeathsig KILL rclone serve restic --addr localhost:0";

/// What there is for SFTP counts a file as written whose writes have failed, as on a disk that is full.
const SFTP: &str = "SFTP is reached by rclone: rclone::sftp,host=HOST,user=USER,key_file=KEY,known_hosts_file=FILE:/PATH, or \
                    rclone:NAME:/PATH with a remote of rclone's configuration";

/// Where a repository is.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// As it was written, without credentials.
    shown: String,
    repository: String,
    options: BTreeMap<String, String>,
}

impl Url {
    /// What rustic is told.
    pub fn backend(&self) -> BackendOptions {
        BackendOptions::default().repository(self.repository.clone()).options(self.options.clone())
    }

    /// Its path, where it is a directory of this machine.
    pub fn directory(&self) -> Option<&str> {
        self.repository.strip_prefix("local:")
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl FromStr for Url {
    type Err = anyhow::Error;

    /// With `restic:` before it. Nothing after it means what RESTIC_REPOSITORY says.
    fn from_str(text: &str) -> anyhow::Result<Self> {
        let rest =
            text.strip_prefix(PREFIX).context("no repository of restic's: it does not begin with restic:")?;
        let named = if rest.is_empty() { repository_of_environment()? } else { rest.to_owned() };
        parse(&named, &|name| variable(name))
    }
}

fn repository_of_environment() -> anyhow::Result<String> {
    if let Some(repository) = variable("RESTIC_REPOSITORY")? {
        return Ok(repository);
    }
    if let Some(path) = variable("RESTIC_REPOSITORY_FILE")? {
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("RESTIC_REPOSITORY_FILE: {path}"))?;
        return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
    }
    bail!("restic: names no repository; write restic:URL, or set RESTIC_REPOSITORY")
}

/// Reads variables of the environment.
type Variables<'a> = &'a dyn Fn(&str) -> anyhow::Result<Option<String>>;

fn parse(text: &str, variables: Variables) -> anyhow::Result<Url> {
    let shown = format!("{PREFIX}{}", without_credentials(text));
    let (scheme, rest) = match text.split_once(':') {
        // A colon after a slash belongs to a path.
        Some((scheme, rest)) if !scheme.contains('/') => (scheme, rest),
        _ => ("local", text),
    };
    let target = match scheme {
        "local" => Ok(Target::new(format!("local:{rest}"), rest)),
        "rest" => Ok(Target::new(format!("rest:{rest}"), rest)),
        "rclone" => Ok(Target::new(format!("rclone:{rest}"), rest)),
        "sftp" => Err(anyhow!(SFTP)),
        "s3" => s3(rest, variables),
        "b2" => b2(rest, variables),
        "azure" => azure(rest, variables),
        "gs" => gs(rest, variables),
        other => Err(anyhow!(
            "{other} is no kind of repository; those are a path, rest:, s3:, b2:, azure:, gs: and rclone:"
        )),
    };
    // In one line, as that is what is printed of an argument; the URL as it was written may have a password.
    let mut target = target.map_err(|e| anyhow!("{shown}: {e:#}"))?;
    if target.rest.is_empty() {
        bail!("{shown}: says not where the repository is");
    }
    target.set("retry", retries(variables)?);
    if matches!(scheme, "rest" | "rclone") {
        target.set("timeout", TIMEOUT);
    }
    if scheme == "rclone" {
        target.set("rclone-command", RCLONE);
    }
    if scheme == "rest" {
        rest_credentials(&mut target, variables)?;
    }
    if scheme == "local" {
        // That backend tries nothing again, and warns of options that it does not know.
        target.options.clear();
    }
    Ok(Url { shown, repository: target.repository, options: target.options })
}

fn retries(variables: Variables) -> anyhow::Result<String> {
    let Some(text) = variables(RETRIES_VARIABLE)? else { return Ok(RETRIES.into()) };
    let number: u8 =
        text.parse().with_context(|| format!("{RETRIES_VARIABLE}: {text:?} is no number up to 255"))?;
    Ok(number.to_string())
}

/// What rustic will be told.
struct Target {
    repository: String,
    options: BTreeMap<String, String>,
    /// What must not be empty.
    rest: String,
}

impl Target {
    fn new(repository: String, rest: &str) -> Self {
        Self { repository, options: BTreeMap::new(), rest: rest.to_owned() }
    }

    fn set(&mut self, option: &str, value: impl Into<String>) {
        self.options.insert(option.to_owned(), value.into());
    }

    /// An option that a variable has, if it is set.
    fn take(&mut self, option: &str, variables: Variables, name: &str) -> anyhow::Result<bool> {
        let Some(value) = variables(name)? else { return Ok(false) };
        self.set(option, value);
        Ok(true)
    }

    /// The same of a secret.
    fn take_secret(&mut self, option: &str, variables: Variables, name: &str) -> anyhow::Result<bool> {
        let is_set = self.take(option, variables, name)?;
        if let Some(secret) = self.options.get(option).filter(|_| is_set) {
            hide(secret);
        }
        Ok(is_set)
    }
}

/// `[https://]host[:port]/bucket[/path]`.
fn s3(rest: &str, variables: Variables) -> anyhow::Result<Target> {
    let (scheme, place) = match rest.split_once("://") {
        Some((scheme @ ("http" | "https"), place)) => (scheme, place),
        Some(_) => bail!("only http and https are known"),
        None => ("https", rest.trim_start_matches('/')),
    };
    let mut parts = place.splitn(3, '/');
    let (host, bucket) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if host.is_empty() || bucket.is_empty() {
        bail!("is not of the form s3:https://HOST/BUCKET/PATH");
    }
    let mut target = Target::new("opendal:s3".into(), rest);
    target.set("endpoint", format!("{scheme}://{host}"));
    target.set("bucket", bucket);
    target.set("root", format!("/{}", parts.next().unwrap_or_default()));
    let is_known = target.take("region", variables, "AWS_DEFAULT_REGION")?
        || target.take("region", variables, "AWS_REGION")?;
    if !is_known {
        // What servers that have no regions expect, and Amazon's default.
        target.set("region", "us-east-1");
    }
    if target.take_secret("access_key_id", variables, "AWS_ACCESS_KEY_ID")? {
        target.take_secret("secret_access_key", variables, "AWS_SECRET_ACCESS_KEY")?;
        target.take_secret("session_token", variables, "AWS_SESSION_TOKEN")?;
    }
    Ok(target)
}

fn bucket_and_path<'a>(kind: &str, rest: &'a str) -> anyhow::Result<(&'a str, String)> {
    let (bucket, path) = rest.split_once(':').unwrap_or((rest, ""));
    if bucket.is_empty() {
        bail!("is not of the form {kind}:NAME:/PATH");
    }
    Ok((bucket, format!("/{}", path.trim_start_matches('/'))))
}

fn required(is_set: bool, name: &str) -> anyhow::Result<()> {
    if is_set { Ok(()) } else { bail!("{name} is not set in the environment") }
}

fn b2(rest: &str, variables: Variables) -> anyhow::Result<Target> {
    let (bucket, path) = bucket_and_path("b2", rest)?;
    let mut target = Target::new("opendal:b2".into(), rest);
    target.set("bucket", bucket);
    target.set("root", path);
    required(target.take("application_key_id", variables, "B2_ACCOUNT_ID")?, "B2_ACCOUNT_ID")?;
    required(target.take_secret("application_key", variables, "B2_ACCOUNT_KEY")?, "B2_ACCOUNT_KEY")?;
    let has_id = target.take("bucket_id", variables, "B2_BUCKET_ID")?;
    required(has_id, "B2_BUCKET_ID (s3:https://s3.REGION.backblazeb2.com/BUCKET does without)")?;
    Ok(target)
}

fn azure(rest: &str, variables: Variables) -> anyhow::Result<Target> {
    let (container, path) = bucket_and_path("azure", rest)?;
    let mut target = Target::new("opendal:azblob".into(), rest);
    target.set("container", container);
    target.set("root", path);
    let account = variables("AZURE_ACCOUNT_NAME")?;
    required(account.is_some(), "AZURE_ACCOUNT_NAME")?;
    let account = account.unwrap_or_default();
    let suffix = variables("AZURE_ENDPOINT_SUFFIX")?.unwrap_or_else(|| "core.windows.net".into());
    target.set("endpoint", format!("https://{account}.blob.{suffix}"));
    target.set("account_name", account);
    let has_key = target.take_secret("account_key", variables, "AZURE_ACCOUNT_KEY")?
        || target.take_secret("sas_token", variables, "AZURE_ACCOUNT_SAS")?;
    required(has_key, "AZURE_ACCOUNT_KEY or AZURE_ACCOUNT_SAS")?;
    Ok(target)
}

fn gs(rest: &str, variables: Variables) -> anyhow::Result<Target> {
    let (bucket, path) = bucket_and_path("gs", rest)?;
    let mut target = Target::new("opendal:gcs".into(), rest);
    target.set("bucket", bucket);
    target.set("root", path);
    if !target.take_secret("token", variables, "GOOGLE_ACCESS_TOKEN")? {
        target.take("credential_path", variables, "GOOGLE_APPLICATION_CREDENTIALS")?;
    }
    Ok(target)
}

/// restic's user and password for a REST server, where the URL has none.
fn rest_credentials(target: &mut Target, variables: Variables) -> anyhow::Result<()> {
    let (user, password) = (variables("RESTIC_REST_USERNAME")?, variables("RESTIC_REST_PASSWORD")?);
    if let (Some(user), Some(password)) = (user, password)
        && let Some((scheme, place)) = target.rest.split_once("://")
        && !place.split('/').next().unwrap_or_default().contains('@')
    {
        hide_all_forms(&password);
        target.repository = format!("rest:{scheme}://{}:{}@{place}", escaped(&user), escaped(&password));
    }
    Ok(())
}

/// As a part of a URL.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// A password that is a part of a URL is not printed, neither as it is nor as URLs have it.
fn hide_all_forms(password: &str) {
    hide(password);
    hide(&escaped(password));
}

/// What a part of a URL says, where it is text.
fn unescaped(part: &str) -> Option<String> {
    let mut pieces = part.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        bytes.push(u8::from_str_radix(piece.get(..2)?, 16).ok()?);
        bytes.extend(piece[2..].bytes());
    }
    String::from_utf8(bytes).ok()
}

/// The same with what stands before the host of a URL masked, should there be a password; it is not printed from now on.
fn without_credentials(text: &str) -> String {
    // Of `s3:host/bucket` the host begins without slashes.
    let separator = if text.contains("://") { "://" } else { ":" };
    let Some((before, after)) = text.split_once(separator) else { return text.to_owned() };
    let end = after.find('/').unwrap_or(after.len());
    let Some((user, host)) = after[..end].rsplit_once('@') else { return text.to_owned() };
    let Some((user, password)) = user.split_once(':') else { return text.to_owned() };
    hide(password);
    if let Some(plain) = unescaped(password) {
        hide_all_forms(&plain);
    }
    format!("{before}{separator}{user}:***@{host}{}", &after[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENVIRONMENT: [(&str, &str); 9] = [
        ("AWS_ACCESS_KEY_ID", "AKIAKEY"),
        ("AWS_SECRET_ACCESS_KEY", "s3cr3t"),
        ("B2_ACCOUNT_ID", "b2id"),
        ("B2_ACCOUNT_KEY", "b2key"),
        ("B2_BUCKET_ID", "b2bucket"),
        ("AZURE_ACCOUNT_NAME", "acc"),
        ("AZURE_ACCOUNT_KEY", "azkey"),
        ("RESTIC_REST_USERNAME", "me"),
        ("RESTIC_REST_PASSWORD", "p@ss:w"),
    ];

    fn parsed(text: &str) -> anyhow::Result<Url> {
        parse(text, &|name| {
            Ok(ENVIRONMENT.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned()))
        })
    }

    fn told(text: &str) -> (String, Vec<String>) {
        let url = parsed(text).unwrap();
        let hidden = ["retry", "timeout", "rclone-command"];
        let options = url.options.iter().filter(|(name, _)| !hidden.contains(&name.as_str()));
        (url.repository, options.map(|(name, value)| format!("{name}={value}")).collect())
    }

    #[test]
    fn urls_as_restic_has_them() {
        let none = Vec::<String>::new();
        assert_eq!(told("/srv/a:b"), ("local:/srv/a:b".into(), none.clone()));
        assert_eq!(told("local:/srv/r"), ("local:/srv/r".into(), none.clone()));
        assert_eq!(told("rclone:b2:x/y"), ("rclone:b2:x/y".into(), none.clone()));
        assert_eq!(
            told("rest:http://you:pw12@host:8000/"),
            ("rest:http://you:pw12@host:8000/".into(), none.clone())
        );
        assert_eq!(told("rest:http://host:8000/r"), ("rest:http://me:p%40ss%3Aw@host:8000/r".into(), none));
        let (kind, options) = told("s3:https://s3.amazonaws.com/bucket/some/path");
        assert_eq!(kind, "opendal:s3");
        assert_eq!(
            options,
            [
                "access_key_id=AKIAKEY",
                "bucket=bucket",
                "endpoint=https://s3.amazonaws.com",
                "region=us-east-1",
                "root=/some/path",
                "secret_access_key=s3cr3t"
            ]
        );
        assert!(told("s3:host:9000/bucket").1.contains(&"endpoint=https://host:9000".to_owned()));
        assert!(told("s3:http://127.0.0.1:9/b").1.contains(&"root=/".to_owned()));
        assert_eq!(told("rclone::sftp,host=h,user=u:/r").0, "rclone::sftp,host=h,user=u:/r");
        assert_eq!(told("gs:bucket:/r").1, ["bucket=bucket", "root=/r"]);
        assert!(told("b2:bucket:r").1.contains(&"root=/r".to_owned()));
        assert!(told("azure:c:/").1.contains(&"endpoint=https://acc.blob.core.windows.net".to_owned()));
    }

    #[test]
    fn what_is_none() {
        for bad in ["", "swift:x:/", "s3:", "s3:host", "s3:ftp://host/b", "sftp:me@host:/r", "b2:", "gs::/x"]
        {
            assert!(parsed(bad).is_err(), "{bad}");
        }
        let e = parse("b2:bucket:x", &|_| Ok(None)).unwrap_err().to_string();
        assert!(e.contains("B2_ACCOUNT_ID is not set"), "{e}");
    }

    #[test]
    fn credentials_are_not_shown() {
        let url = parsed("rest:https://you:sesame99@host/r").unwrap();
        assert_eq!(url.to_string(), "restic:rest:https://you:***@host/r");
        assert!(!format!("{url:?}").contains("sesame99"));
        assert_eq!(super::super::failure::masked("at sesame99."), "at ***.");
        assert_eq!(parsed("rest:http://host/r").unwrap().to_string(), "restic:rest:http://host/r");
        assert_eq!(super::super::failure::masked("p@ss:w, p%40ss%3Aw"), "***, ***");
        parsed("rest:http://you:sea%2Fsalt@host/r").unwrap();
        assert_eq!(super::super::failure::masked("sea%2Fsalt, sea/salt"), "***, ***");
    }

    #[test]
    fn errors_show_no_credentials_either() {
        for bad in [
            "s3:https://KEY:thesecret@host",
            "s3:KEY:thesecret@host",
            "sftp://me:thesecret@host",
            "b2://KEY:thesecret@",
            "swift://KEY:thesecret@host",
        ] {
            let e = parsed(bad).map(|_| ()).err().map(|e| format!("{e:#}")).unwrap_or_default();
            assert!(!e.contains("thesecret"), "{e}");
        }
        let e = parsed("s3:https://KEY:thesecret@host").unwrap_err().to_string();
        assert!(e.starts_with("restic:s3:https://KEY:***@host: is not of the form"), "{e}");
    }
}
