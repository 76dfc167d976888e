// SPDX-License-Identifier: GPL-3.0-or-later
//! Which links udev makes to a data device: not those of its filesystem.
//!
//! The filesystem of a tracked device can be seen on the raw device, too, and before the tracked one is open, only there.
//! Who mounts it by UUID or label then would write past tracking. So those links belong to the tracked device alone.
//! A line of eratab that names its data device by UUID or label needs them, and they stay.

use std::path::Path;

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

/// The links that a device keeps, `None` where it keeps all, as it is no data device of an entry.
pub fn kept<'a>(
    device: &'a Properties,
    entries: impl IntoIterator<Item = &'a Entry>,
    is_same: impl Fn(&Path) -> bool,
) -> Option<String> {
    let links = || device.links.split_ascii_whitespace();
    let is_data = |entry: &Entry| match &entry.data {
        DeviceSpec::Path(path) => {
            let path_text = path.to_str();
            path_text == Some(device.node.as_str())
                || links().any(|link| path_text == Some(link))
                || is_same(path)
        }
        DeviceSpec::Tag(Tag::PartUuid, uuid) => {
            device.partition_uuid.as_ref().is_some_and(|found| found.eq_ignore_ascii_case(uuid))
        }
        DeviceSpec::Tag(Tag::PartLabel, name) => device.partition_name.as_deref() == Some(name.as_str()),
        DeviceSpec::Tag(Tag::Uuid | Tag::Label, _) => false,
    };
    entries.into_iter().any(is_data).then(|| {
        let is_of_filesystem = |link: &&str| {
            ["/dev/disk/by-uuid/", "/dev/disk/by-label/"].iter().any(|dir| link.starts_with(dir))
        };
        links()
            .filter(|link| !is_of_filesystem(link))
            .filter_map(|link| link.strip_prefix("/dev/"))
            .collect::<Vec<_>>()
            .join(" ")
    })
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
}
