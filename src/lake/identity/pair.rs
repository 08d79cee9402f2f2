//! The 64-bit xxHash of bytes by two seeds at once: they are read once, and what does not depend on the seed is computed once.
//! Source of the algorithm: the specification of xxHash, `doc/xxhash_spec.md`.
//!
//! It is written out for two hashes rather than over arrays of them: closures over arrays were calls, which took longer than all
//! the rest of a hash.

const P1: u64 = 0x9E37_79B1_85EB_CA87;
const P2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const P3: u64 = 0x1656_67B1_9E37_79F9;
const P4: u64 = 0x85EB_CA77_C2B2_AE63;
const P5: u64 = 0x27D4_EB2F_1656_67C5;

/// Bytes that the four accumulators take together.
const STRIPE: usize = 32;

/// The hash of bytes by each of two seeds.
pub(super) fn xxh64_pair(bytes: &[u8], [first, second]: [u64; 2]) -> [u64; 2] {
    let (stripes, rest) = bytes.as_chunks::<STRIPE>();
    let (mut a, mut b) = match stripes {
        [] => (first.wrapping_add(P5), second.wrapping_add(P5)),
        _ => (merged(stripes, first), merged(stripes, second)),
    };
    a = a.wrapping_add(bytes.len() as u64);
    b = b.wrapping_add(bytes.len() as u64);
    let (eights, rest) = rest.as_chunks::<8>();
    for eight in eights {
        let mixed = round(0, u64::from_le_bytes(*eight));
        a = (a ^ mixed).rotate_left(27).wrapping_mul(P1).wrapping_add(P4);
        b = (b ^ mixed).rotate_left(27).wrapping_mul(P1).wrapping_add(P4);
    }
    let (fours, rest) = rest.as_chunks::<4>();
    for four in fours {
        let mixed = u64::from(u32::from_le_bytes(*four)).wrapping_mul(P1);
        a = (a ^ mixed).rotate_left(23).wrapping_mul(P2).wrapping_add(P3);
        b = (b ^ mixed).rotate_left(23).wrapping_mul(P2).wrapping_add(P3);
    }
    for byte in rest {
        let mixed = u64::from(*byte).wrapping_mul(P5);
        a = (a ^ mixed).rotate_left(11).wrapping_mul(P1);
        b = (b ^ mixed).rotate_left(11).wrapping_mul(P1);
    }
    [finished(a), finished(b)]
}

#[inline]
fn finished(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 33)).wrapping_mul(P2);
    let hash = (hash ^ (hash >> 29)).wrapping_mul(P3);
    hash ^ (hash >> 32)
}

#[inline]
fn round(accumulator: u64, lane: u64) -> u64 {
    accumulator.wrapping_add(lane.wrapping_mul(P2)).rotate_left(31).wrapping_mul(P1)
}

/// What comes of all whole stripes by a seed.
#[inline]
fn merged(stripes: &[[u8; STRIPE]], seed: u64) -> u64 {
    let (mut a, mut b) = (seed.wrapping_add(P1).wrapping_add(P2), seed.wrapping_add(P2));
    let (mut c, mut d) = (seed, seed.wrapping_sub(P1));
    for stripe in stripes {
        let (lanes, _) = stripe.as_chunks::<8>();
        let [first, second, third, fourth] = lanes else { continue };
        a = round(a, u64::from_le_bytes(*first));
        b = round(b, u64::from_le_bytes(*second));
        c = round(c, u64::from_le_bytes(*third));
        d = round(d, u64::from_le_bytes(*fourth));
    }
    let sum = a.rotate_left(1).wrapping_add(b.rotate_left(7)).wrapping_add(c.rotate_left(12)).wrapping_add(d.rotate_left(18));
    let with = |hash: u64, lane: u64| (hash ^ round(0, lane)).wrapping_mul(P1).wrapping_add(P4);
    with(with(with(with(sum, a), b), c), d)
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
