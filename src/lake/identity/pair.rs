//! The 64-bit xxHash of bytes by two seeds at once: they are read once, and what does not depend on the seed is computed once.
//! Source of the algorithm: the specification of xxHash, `doc/xxhash_spec.md`.

const P1: u64 = 0x9E37_79B1_85EB_CA87;
const P2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const P3: u64 = 0x1656_67B1_9E37_79F9;
const P4: u64 = 0x85EB_CA77_C2B2_AE63;
const P5: u64 = 0x27D4_EB2F_1656_67C5;

/// Bytes that the four accumulators take together.
const STRIPE: usize = 32;

/// The hash of bytes by each of two seeds.
pub(super) fn xxh64_pair(bytes: &[u8], seeds: [u64; 2]) -> [u64; 2] {
    let (mut hashes, rest) = match bytes.len() < STRIPE {
        true => (seeds.map(|seed| seed.wrapping_add(P5)), bytes),
        false => stripes(bytes, seeds),
    };
    hashes = hashes.map(|hash| hash.wrapping_add(bytes.len() as u64));
    let (eights, rest) = rest.as_chunks::<8>();
    for eight in eights {
        let mixed = round(0, u64::from_le_bytes(*eight));
        hashes = hashes.map(|hash| (hash ^ mixed).rotate_left(27).wrapping_mul(P1).wrapping_add(P4));
    }
    let (fours, rest) = rest.as_chunks::<4>();
    for four in fours {
        let mixed = u64::from(u32::from_le_bytes(*four)).wrapping_mul(P1);
        hashes = hashes.map(|hash| (hash ^ mixed).rotate_left(23).wrapping_mul(P2).wrapping_add(P3));
    }
    for byte in rest {
        let mixed = u64::from(*byte).wrapping_mul(P5);
        hashes = hashes.map(|hash| (hash ^ mixed).rotate_left(11).wrapping_mul(P1));
    }
    hashes.map(|hash| {
        let hash = (hash ^ (hash >> 33)).wrapping_mul(P2);
        let hash = (hash ^ (hash >> 29)).wrapping_mul(P3);
        hash ^ (hash >> 32)
    })
}

fn round(accumulator: u64, lane: u64) -> u64 {
    accumulator.wrapping_add(lane.wrapping_mul(P2)).rotate_left(31).wrapping_mul(P1)
}

/// What comes of all whole stripes, and the bytes behind them.
fn stripes(bytes: &[u8], seeds: [u64; 2]) -> ([u64; 2], &[u8]) {
    let start = |seed: u64| [seed.wrapping_add(P1).wrapping_add(P2), seed.wrapping_add(P2), seed, seed.wrapping_sub(P1)];
    let mut states = seeds.map(start);
    let (stripes, rest) = bytes.as_chunks::<STRIPE>();
    for stripe in stripes {
        let (lanes, _) = stripe.as_chunks::<8>();
        for (at, lane) in lanes.iter().enumerate() {
            let lane = u64::from_le_bytes(*lane);
            states.iter_mut().for_each(|state| state[at] = round(state[at], lane));
        }
    }
    let merged = states.map(|state| {
        let rotated = state.iter().zip([1, 7, 12, 18]).map(|(lane, by)| lane.rotate_left(by));
        let sum = rotated.fold(0, u64::wrapping_add);
        state.iter().fold(sum, |hash, lane| (hash ^ round(0, *lane)).wrapping_mul(P1).wrapping_add(P4))
    });
    (merged, rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use xxhash_rust::xxh64::xxh64;

    #[test]
    fn each_hash_is_that_of_its_seed() {
        let bytes: Vec<u8> = (0..300_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for seeds in [[0, 0x9E37_79B9_7F4A_7C15], [u64::MAX, 1]] {
            for length in 0..bytes.len() {
                let bytes = &bytes[bytes.len() - length..];
                assert_eq!(xxh64_pair(bytes, seeds), seeds.map(|seed| xxh64(bytes, seed)), "{length}");
            }
        }
    }
}
