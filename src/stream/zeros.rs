// SPDX-License-Identifier: GPL-3.0-or-later
//! Where a buffer holds only zeros.

static ZEROS: [u8; 4096] = [0; 4096];

/// Comparing is what the C library does best, on any processor, and with its first difference it ends.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(ZEROS.len()).all(|stretch| *stretch == ZEROS[..stretch.len()])
}

/// Bytes that are all in units of zeros, or all in units with something else in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) zeros: bool,
    pub(super) len: usize,
}

/// Divides what stands at an offset into stretches that are as long as can be. Units begin at multiples of their size.
pub(super) fn stretches(bytes: &[u8], offset: u64, unit: u64) -> impl Iterator<Item = Stretch> + '_ {
    let mut at = 0;
    let mut units = std::iter::from_fn(move || {
        let to_boundary = unit - (offset + at as u64) % unit;
        let len = usize::try_from(to_boundary).unwrap_or(usize::MAX).min(bytes.len() - at);
        let begin = at;
        at += len;
        (len > 0).then(|| Stretch { zeros: is_zero(&bytes[begin..at]), len })
    })
    .peekable();
    std::iter::from_fn(move || {
        let mut stretch = units.next()?;
        while let Some(more) = units.next_if(|next| next.zeros == stretch.zeros) {
            stretch.len += more.len;
        }
        Some(stretch)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_anywhere_is_seen() {
        assert!(is_zero(&[]) && is_zero(&[0; 5000]));
        for at in [0, 1, 511, 512, 4095, 4999] {
            let mut bytes = [0; 5000];
            bytes[at] = 0x80;
            assert!(!is_zero(&bytes), "{at}");
        }
    }

    #[test]
    fn stretches_end_where_units_do() {
        let mut bytes = [0; 40];
        (bytes[5], bytes[38]) = (1, 1);
        // At 6 the units are 6..8, 8..16, 16..24, 24..32, 32..40, 40..46.
        let found: Vec<_> = stretches(&bytes, 6, 8).map(|stretch| (stretch.zeros, stretch.len)).collect();
        assert_eq!(found, [(true, 2), (false, 8), (true, 24), (false, 6)]);
        assert_eq!(stretches(&[], 6, 8).count(), 0);
        assert!(stretches(&bytes, 0, 1 << 16).eq([Stretch { zeros: false, len: 40 }]));
    }
}
