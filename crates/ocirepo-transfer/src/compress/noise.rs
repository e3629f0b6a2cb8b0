//! Telling what no encoder makes smaller: what is compressed or encrypted already.
//!
//! An encoder finds that out as well, at the price of what it takes longest for. Here some of the bytes
//! are looked at, so it may be wrong; it then costs size, and nothing else. The answer depends on
//! the bytes alone, and there is no arithmetic in it that processors do differently.

/// A piece that is judged as a whole, in bytes. It is twice as large as the window of deflate, so that what
/// repeats within the window does so within the piece.
pub(super) const PIECE: usize = 64 << 10;

/// Whether a piece looks like noise. One that is not whole never does.
pub(super) fn is_noise(piece: &[u8]) -> bool {
    piece.len() == PIECE && is_even(piece) && !repeats(piece)
}

/// In so many places is looked how often each byte comes, so many bytes long.
const SAMPLES: usize = 4;
const SAMPLE: usize = 1024;

/// Whether all bytes come about as often, so that no code for single bytes saves more than about 1 %. Of
/// noise, one pair of bytes in 256 is a pair of equals; here up to one in 237 may be.
fn is_even(piece: &[u8]) -> bool {
    let mut counts = [0_u64; 256];
    for sample in piece.chunks(PIECE / SAMPLES) {
        sample.iter().take(SAMPLE).for_each(|byte| counts[usize::from(*byte)] += 1);
    }
    let equals: u64 = counts.iter().map(|count| count * count.saturating_sub(1)).sum();
    let taken = (SAMPLES * SAMPLE) as u64;
    equals * 237 <= taken * (taken - 1)
}

/// Whether it is noise that comes again. Eight bytes that stand behind a zero are looked for behind the other
/// zeros, of which noise has 256 in a piece.
fn repeats(piece: &[u8]) -> bool {
    const FEWEST: usize = PIECE / 256 / 2;
    let mut behind: Vec<&[u8]> =
        piece.windows(9).filter(|window| window[0] == 0).map(|window| &window[1..]).collect();
    let zeros = behind.len();
    behind.sort_unstable();
    behind.dedup();
    zeros < FEWEST || behind.len() < zeros - zeros / 32
}

#[cfg(test)]
mod tests {
    use super::super::tests::random_bytes;
    use super::*;

    #[test]
    fn noise_is_told_from_what_can_be_made_smaller() {
        let noise = random_bytes(PIECE);
        assert!(is_noise(&noise));
        assert!(!is_noise(&noise[..PIECE - 1]));
        let text: Vec<u8> = b"a layer is a tar of files, ".iter().copied().cycle().take(PIECE).collect();
        assert!(!is_noise(&text));
        // Hex digits of noise, and noise of seven bits.
        assert!(!is_noise(
            &noise.iter().map(|byte| b"0123456789abcdef"[usize::from(byte & 15)]).collect::<Vec<_>>()
        ));
        assert!(!is_noise(&noise.iter().map(|byte| byte & 127).collect::<Vec<_>>()));
    }

    #[test]
    fn noise_that_comes_again_is_none() {
        for period in [100, 1000, 10_000, 30_000] {
            let tile = random_bytes(period);
            let tiles: Vec<u8> = tile.iter().copied().cycle().take(PIECE).collect();
            assert!(!is_noise(&tiles), "a period of {period}");
        }
    }
}
