//! Keeps a client with its version while shares change.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::ident::{Share, Target};

/// Assigns sticky keys to the rows of a split by weighted rendezvous hashing.
///
/// Every row draws a lot for the key: the larger its weight, the smaller the lot tends to be. The smallest lot wins. A lot
/// depends only on the key, the salt, the name of the row and the weight of the row. So raising one weight moves keys only to
/// that row, lowering it moves keys only away from it, and no other key moves; scaling all weights alike moves none. A row gets
/// its share of the keys.
///
/// The name of a row is its target as the operator wrote it: a label, and not the version that the label names. So when a
/// label moves to another version, the clients of that row move with it, and no other client changes its version.
///
/// The computation must never change, since clients would change their version with it. It can be repeated in any language:
///
/// ```text
/// name_r  = a version as 8 bytes, little-endian; a label as its ASCII text
/// seed    = xxh3_64(salt)
/// seed_r  = xxh3_64(name_r; seed)                             for each row r with a share above 0
/// key     = xxh3_64(key; seed)
/// u_r     = ((xxh3_64(key as 8 bytes, little-endian; seed_r) >> 12) + 0.5) / 2^52
/// lot_r   = -ln(u_r) / basis points of r                      the smallest wins; a tie: versions before labels, then the lower
/// ```
///
/// with `ln` of `libm`, which rounds the same way on every machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendezvous {
    seed: u64,
    /// Ascending by target, so that of equal lots the one of the lower target wins.
    rows: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq)]
struct Row {
    /// Index in the split.
    index: usize,
    seed: u64,
    weight: f64,
}

impl Rendezvous {
    /// Prepares the hash of `rows`. Their shares are weights and may have any sum; at least one is above 0.
    #[must_use]
    pub fn new(rows: &[(Target, Share)], salt: &[u8]) -> Self {
        let seed = xxh3_64(salt);
        let mut indexed: Vec<_> = rows
            .iter()
            .enumerate()
            .filter(|(_, (_, share))| *share > Share::default())
            .collect();
        indexed.sort_by(|(_, (one, _)), (_, (other, _))| one.cmp(other));
        let rows = indexed
            .into_iter()
            .map(|(index, (target, share))| Row {
                index,
                seed: name_hash(target, seed),
                weight: f64::from(share.basis_points()),
            })
            .collect();
        Self { seed, rows }
    }

    /// Returns the row that `key` belongs to, as its index among the rows given to [`new`](Self::new). Does not allocate.
    #[must_use]
    pub fn pick(&self, key: &[u8]) -> usize {
        // The key may be long, so it is hashed once and not once for each row.
        let key_hash = xxh3_64_with_seed(key, self.seed).to_le_bytes();
        let mut best = (f64::INFINITY, 0);
        for row in &self.rows {
            let lot = -libm::log(unit(xxh3_64_with_seed(&key_hash, row.seed))) / row.weight;
            if lot < best.0 {
                best = (lot, row.index);
            }
        }
        best.1
    }
}

/// Returns the hash of the name of a row.
fn name_hash(target: &Target, seed: u64) -> u64 {
    match target {
        Target::Version(version) => xxh3_64_with_seed(&version.get().to_le_bytes(), seed),
        Target::Label(label) => xxh3_64_with_seed(label.as_str().as_bytes(), seed),
    }
}

/// Returns the upper 52 bits as the middle of one of 2^52 equal steps of (0, 1): never an end of the interval, and without
/// rounding.
fn unit(hash: u64) -> f64 {
    const STEPS: f64 = (1_u64 << 52) as f64;
    ((hash >> 12) as f64 + 0.5) / STEPS
}
