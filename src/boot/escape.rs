// SPDX-License-Identifier: GPL-3.0-or-later
//! Names as systemd and udev write them; see systemd.unit(5), "String escaping for inclusion in unit names".

use std::fmt::Write;

use crate::device::eratab::{DeviceSpec, Tag};

/// A string as the instance of a unit: `a-b` is `a\x2db`.
pub fn instance(text: &str) -> String {
    let mut escaped = String::new();
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'/' => escaped.push('-'),
            b'.' if at == 0 => escape(&mut escaped, byte),
            b':' | b'_' | b'.' => escaped.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => escaped.push(byte.into()),
            _ => escape(&mut escaped, byte),
        }
    }
    escaped
}

/// A path as the name of a unit, without its suffix: `/dev/sda1` is `dev-sda1`.
pub fn path(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.is_empty() { "-".into() } else { instance(&parts.join("/")) }
}

/// The path at which udev has a device.
pub fn udev_path(spec: &DeviceSpec) -> String {
    match spec {
        DeviceSpec::Path(path) => path.display().to_string(),
        DeviceSpec::Tag(tag, value) => {
            let directory = match tag {
                Tag::Uuid => "by-uuid",
                Tag::Label => "by-label",
                Tag::PartUuid => "by-partuuid",
                Tag::PartLabel => "by-partlabel",
            };
            format!("/dev/disk/{directory}/{}", link(value))
        }
    }
}

/// A value as the name of a link of udev's: what is not harmless there is `\x` and two digits.
fn link(value: &str) -> String {
    let mut escaped = String::new();
    for c in value.chars() {
        let harmless = c.is_ascii_alphanumeric() || "#+-.:=@_".contains(c) || !c.is_ascii();
        let mut bytes = [0; 4];
        let encoded = c.encode_utf8(&mut bytes);
        if harmless {
            escaped.push_str(encoded);
        } else {
            encoded.bytes().for_each(|byte| escape(&mut escaped, byte));
        }
    }
    escaped
}

fn escape(escaped: &mut String, byte: u8) {
    // Writing to a string does not fail.
    let _ = write!(escaped, "\\x{byte:02x}");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What systemd-escape and `systemd-escape --path` print.
    #[test]
    fn as_systemd_does() {
        for (text, escaped) in
            [("root", "root"), ("a-b.c:d_e", "a\\x2db.c:d_e"), (".x=@+#", "\\x2ex\\x3d\\x40\\x2b\\x23")]
        {
            assert_eq!(instance(text), escaped);
        }
        for (text, escaped) in
            [("/dev//sda1/", "dev-sda1"), ("/", "-"), ("/dev/mapper/a-b", "dev-mapper-a\\x2db")]
        {
            assert_eq!(path(text), escaped);
        }
    }

    #[test]
    fn where_udev_has_a_tag() {
        let path_of = |spec: &str| udev_path(&spec.parse().unwrap());
        assert_eq!(path_of("PARTUUID=ca313f78-02"), "/dev/disk/by-partuuid/ca313f78-02");
        assert_eq!(path_of("/dev/vg/vm1"), "/dev/vg/vm1");
        let label = DeviceSpec::Tag(Tag::Label, "a b/ä".into());
        assert_eq!(udev_path(&label), "/dev/disk/by-label/a\\x20b\\x2fä");
    }
}
