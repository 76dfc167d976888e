// SPDX-License-Identifier: GPL-3.0-or-later
//! Whether a buffer holds only zeros.

/// Short-circuits after each stretch, and within a stretch is simple enough to be vectorized.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(512).all(|stretch| stretch.iter().fold(0, |any, byte| any | byte) == 0)
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
}
