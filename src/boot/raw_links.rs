// SPDX-License-Identifier: GPL-3.0-or-later
//! Which links udev makes to a data device: not those of its filesystem.
//!
//! The filesystem of a tracked device can be seen on the raw device, too, and before the tracked one is open, only there.
//! Who mounts it by UUID or label then would write past tracking. So those links belong to the tracked device alone.
//! A line of eratab that names its data device by UUID or label needs them, and they stay.
//!
//! With `era.attach=no` the other way round: the data device gets the link that the tracked one would have, so that all
//! that names `/dev/mapper/NAME`, fstab and the kernel's command line, finds something to mount.

use std::path::Path;

use super::escape;
use crate::device::eratab::{DeviceSpec, Entry, Tag};

/// What udev knows about a device.
#[derive(Clone, Debug, Default)]
pub struct Properties {
    /// DEVNAME.
    pub node: String,
    /// DEVLINKS.
    pub links: String,
    /// `ID_PART_ENTRY_UUID`.
    pub partition_uuid: Option<String>,
    /// `ID_PART_ENTRY_NAME`, encoded as in links.
    pub partition_name: Option<String>,
}

impl Properties {
    fn links(&self) -> impl Iterator<Item = &str> {
        self.links.split_ascii_whitespace()
    }

    /// Whether this is the data device of an entry, as far as its filesystem need not be asked.
    fn is_data(&self, entry: &Entry, is_same: impl Fn(&Path) -> bool) -> bool {
        match &entry.data {
            DeviceSpec::Path(path) => {
                let text = path.to_str();
                text == Some(self.node.as_str())
                    || self.links().any(|link| text == Some(link))
                    || is_same(path)
            }
            DeviceSpec::Tag(Tag::PartUuid, uuid) => {
                self.partition_uuid.as_ref().is_some_and(|found| found.eq_ignore_ascii_case(uuid))
            }
            DeviceSpec::Tag(Tag::PartLabel, name) => self.partition_name.as_deref() == Some(name.as_str()),
            DeviceSpec::Tag(Tag::Uuid | Tag::Label, _) => false,
        }
    }
}

/// The links that a device keeps, `None` where it keeps all, as it is no data device of an entry.
pub fn kept<'a>(
    device: &Properties,
    entries: impl IntoIterator<Item = &'a Entry>,
    is_same: impl Fn(&Path) -> bool,
) -> Option<String> {
    entries.into_iter().any(|entry| device.is_data(entry, &is_same)).then(|| {
        let is_of_filesystem = |link: &&str| {
            ["/dev/disk/by-uuid/", "/dev/disk/by-label/"].iter().any(|dir| link.starts_with(dir))
        };
        let kept = device.links().filter(|link| !is_of_filesystem(link));
        kept.filter_map(|link| link.strip_prefix("/dev/")).collect::<Vec<_>>().join(" ")
    })
}

/// The link to a device that stands in for a tracked one, which is not opened in this boot.
pub fn stand_in<'a>(
    device: &Properties,
    entries: impl IntoIterator<Item = &'a Entry>,
    is_same: impl Fn(&Path) -> bool,
) -> Option<String> {
    let is_it = |entry: &&Entry| {
        let by_link = escape::udev_path(&entry.data);
        device.is_data(entry, &is_same) || device.links().any(|link| link == by_link)
    };
    entries.into_iter().find(is_it).map(|entry| format!("mapper/{}", entry.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::eratab;

    #[test]
    fn links_of_the_filesystem_go_and_others_stay() {
        let device = Properties {
            node: "/dev/vdb1".into(),
            links: "/dev/disk/by-uuid/1 /dev/disk/by-partuuid/P-1 /dev/disk/by-label/x /dev/disk/by-path/p"
                .into(),
            partition_uuid: Some("P-1".into()),
            partition_name: Some("data".into()),
        };
        let of = |data: &str, same: &str| {
            let table = eratab::parse(&format!("a /dev/other /dev/m1\nb {data} /dev/m2\n"));
            kept(&device, &table.entries, |path| path == Path::new(same))
        };
        let kept = Some("disk/by-partuuid/P-1 disk/by-path/p".to_owned());
        for data in ["PARTUUID=p-1", "PARTLABEL=data", "/dev/vdb1", "/dev/disk/by-path/p"] {
            assert_eq!(of(data, "-"), kept, "{data}");
        }
        assert_eq!(of("/dev/block/8:1", "/dev/block/8:1"), kept);
        for data in ["UUID=1", "LABEL=x", "PARTUUID=p-2", "/dev/vdb2", "PARTLABEL=other"] {
            assert_eq!(of(data, "-"), None, "{data}");
        }
    }

    #[test]
    fn with_era_attach_no_the_data_device_stands_in() {
        let device = Properties {
            node: "/dev/vdb1".into(),
            links: "/dev/disk/by-uuid/1 /dev/disk/by-label/a\\x20b".into(),
            partition_uuid: Some("P-1".into()),
            partition_name: None,
        };
        for (data, is_it) in [
            ("PARTUUID=p-1", true),
            ("UUID=1", true),
            ("LABEL=a b", true),
            ("/dev/vdb1", true),
            ("UUID=2", false),
            ("/dev/vdb2", false),
        ] {
            let entry = Entry {
                name: "root".parse().unwrap(),
                data: data.parse().unwrap(),
                metadata: "/dev/vdb3".parse().unwrap(),
                options: eratab::Options::default(),
            };
            let found = stand_in(&device, [&entry], |_| false);
            assert_eq!(found, is_it.then(|| "mapper/root".to_owned()), "{data}");
        }
    }
}
