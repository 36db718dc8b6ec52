//! A latency distribution in fixed logarithmic buckets.
//!
//! Bucket 0 holds what is below 1 ms, bucket `i` from 1 on holds `(γ^(i-2), γ^(i-1)]` ms with
//! `γ = (1 + ε) / (1 - ε)`. Its value, `2γ^(i-1) / (1 + γ)`, is within `ε` of everything in it
//! (Masson, Rim and Lee, "DDSketch", VLDB 2019, without its collapsing of buckets). As the buckets are
//! fixed, sketches are added and taken away bucket by bucket, exactly.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// `ε`: how far a quantile may be from the true one, as a part of it.
pub const RELATIVE_ERROR: f64 = 0.02;
const GAMMA: f64 = (1.0 + RELATIVE_ERROR) / (1.0 - RELATIVE_ERROR);
/// What is above this counts as this: 4 hours, in a bucket that two bytes name.
const LARGEST_MS: f64 = 14_400_000.0;

/// How often each bucket was hit. Counts may be negative in a difference that is yet to be applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sketch {
    buckets: BTreeMap<u16, i64>,
}

/// Bytes that are no sketch.
#[derive(Debug, thiserror::Error)]
#[error("malformed sketch")]
pub struct DecodeSketchError;

impl Sketch {
    /// Adds a value in milliseconds `times` times; takes it away when `times` is negative.
    pub fn add(&mut self, value_ms: f64, times: i64) {
        self.add_to_bucket(bucket(value_ms), times);
    }

    /// Adds every count of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.buckets {
            self.add_to_bucket(*bucket, *count);
        }
    }

    /// Takes every count of `other` away.
    pub fn subtract(&mut self, other: &Self) {
        for (bucket, count) in &other.buckets {
            self.add_to_bucket(*bucket, -count);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// How many values are in it.
    pub fn count(&self) -> i64 {
        self.buckets.values().sum()
    }

    /// The value in milliseconds that a part `q` (0 to 1) of the values does not exceed, within
    /// [`RELATIVE_ERROR`]; `None` when there are none.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let count = self.count();
        if count <= 0 {
            return None;
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "counts of calls are far below 2^52"
        )]
        let rank = ((q.clamp(0.0, 1.0) * count as f64).ceil() as i64).clamp(1, count);
        let mut seen = 0;
        for (bucket, count) in &self.buckets {
            seen += count;
            if seen >= rank {
                return Some(value(*bucket));
            }
        }
        None
    }

    /// The bytes that Postgres keeps: for each bucket, in order, the distance from the one before and
    /// its count (zigzag), as LEB128.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.buckets.len() * 3);
        let mut last = 0;
        for (bucket, count) in &self.buckets {
            write_varint(&mut bytes, u64::from(bucket - last));
            write_varint(&mut bytes, zigzag(*count));
            last = *bucket;
        }
        bytes
    }

    /// Adds the counts of an encoded sketch, which saves making one of it.
    pub fn merge_encoded(&mut self, bytes: &[u8]) -> Result<(), DecodeSketchError> {
        read_buckets(bytes, |bucket, count| self.add_to_bucket(bucket, count))
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeSketchError> {
        let mut sketch = Self::default();
        sketch.merge_encoded(bytes)?;
        Ok(sketch)
    }

    /// The sum of encoded sketches: thousands of them, whose buckets are mostly the same.
    pub fn sum<'a>(encoded: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, DecodeSketchError> {
        let mut counts: Vec<i64> = Vec::new();
        for bytes in encoded {
            read_buckets(bytes, |bucket, count| {
                let bucket = usize::from(bucket);
                if bucket >= counts.len() {
                    counts.resize(bucket + 1, 0);
                }
                counts[bucket] += count;
            })?;
        }
        let buckets = (0..=u16::MAX).zip(counts).filter(|(_, count)| *count != 0);
        Ok(Self {
            buckets: buckets.collect(),
        })
    }

    /// Buckets that are empty again leave no trace, so that equal contents are equal bytes.
    fn add_to_bucket(&mut self, bucket: u16, times: i64) {
        match self.buckets.entry(bucket) {
            Entry::Vacant(vacant) if times != 0 => {
                vacant.insert(times);
            }
            Entry::Vacant(_) => {}
            Entry::Occupied(mut occupied) => {
                *occupied.get_mut() += times;
                if *occupied.get() == 0 {
                    occupied.remove();
                }
            }
        }
    }
}

fn bucket(value_ms: f64) -> u16 {
    if value_ms < 1.0 {
        return 0;
    }
    let index = (value_ms.min(LARGEST_MS).ln() / GAMMA.ln()).ceil() + 1.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and 414"
    )]
    let index = index as u16;
    index
}

fn value(bucket: u16) -> f64 {
    if bucket == 0 {
        return 0.0;
    }
    2.0 * GAMMA.powi(i32::from(bucket) - 1) / (1.0 + GAMMA)
}

/// Hands on each bucket of an encoded sketch and its count.
fn read_buckets(mut bytes: &[u8], mut each: impl FnMut(u16, i64)) -> Result<(), DecodeSketchError> {
    let mut bucket = 0_u16;
    while !bytes.is_empty() {
        let distance = u16::try_from(read_varint(&mut bytes)?);
        let distance = distance.map_err(|_| DecodeSketchError)?;
        bucket = bucket.checked_add(distance).ok_or(DecodeSketchError)?;
        each(bucket, unzigzag(read_varint(&mut bytes)?));
    }
    Ok(())
}

const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

fn write_varint(bytes: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

fn read_varint(bytes: &mut &[u8]) -> Result<u64, DecodeSketchError> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().ok_or(DecodeSketchError)?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(DecodeSketchError)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[f64]) -> Sketch {
        let mut sketch = Sketch::default();
        for value in values {
            sketch.add(*value, 1);
        }
        sketch
    }

    /// The nearest-rank quantile.
    fn exact(values: &[f64], q: f64) -> f64 {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a few thousand values"
        )]
        let rank = ((q * sorted.len() as f64).ceil() as usize).clamp(1, sorted.len());
        sorted[rank - 1]
    }

    fn assert_close(values: &[f64]) {
        let sketch = of(values);
        for q in [0.0, 0.5, 0.9, 0.95, 0.99, 1.0] {
            let (found, truth) = (sketch.quantile(q).unwrap(), exact(values, q));
            let off = (found - truth).abs() / truth;
            assert!(off <= RELATIVE_ERROR + 1e-9, "{q}: {found} for {truth}");
        }
    }

    /// A generator of its own, so that the three distributions are the same in every run.
    fn uniform(state: &mut u64) -> f64 {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        #[expect(clippy::cast_precision_loss, reason = "53 bits")]
        let unit = (*state >> 11) as f64 / (1_u64 << 53) as f64;
        unit
    }

    #[test]
    fn quantiles_of_three_distributions_are_within_the_error() {
        let mut state = 7;
        let flat: Vec<f64> = (0..5_000)
            .map(|_| 1.0 + 4_999.0 * uniform(&mut state))
            .collect();
        assert_close(&flat);
        let exponential: Vec<f64> = (0..5_000)
            .map(|_| 1.0 - 400.0 * (1.0 - uniform(&mut state)).ln())
            .collect();
        assert_close(&exponential);
        // Two kinds of calls: most are fast, one in ten takes seconds.
        let two_peaks: Vec<f64> = (0..5_000)
            .map(|i| if i % 10 == 0 { 3_000.0 } else { 200.0 } * (0.8 + 0.4 * uniform(&mut state)))
            .collect();
        assert_close(&two_peaks);
    }

    #[test]
    fn the_ends_of_the_scale_hold() {
        assert_eq!(Sketch::default().quantile(0.5), None);
        assert_eq!(of(&[0.0, 0.4]).quantile(0.5), Some(0.0));
        assert_close(&[1.0]);
        assert_close(&[LARGEST_MS]);
        let above = of(&[LARGEST_MS * 100.0]).quantile(0.5).unwrap();
        assert!((above - LARGEST_MS).abs() / LARGEST_MS <= RELATIVE_ERROR);
    }

    #[test]
    fn what_is_no_sketch_is_refused() {
        for bytes in [&[0x80][..], &[1], &[0xff; 11], &[0xff, 0xff, 0x7f, 2]] {
            assert!(Sketch::decode(bytes).is_err(), "{bytes:?}");
            assert!(Sketch::sum([bytes]).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn quantiles_are_within_the_error(values in prop::collection::vec(1.0..3_600_000.0_f64, 1..200)) {
            assert_close(&values);
        }

        #[test]
        fn what_was_added_can_be_taken_away(
            kept in prop::collection::vec(0.0..1e6_f64, 0..50),
            gone in prop::collection::vec(0.0..1e6_f64, 0..50),
        ) {
            let mut sketch = of(&kept);
            sketch.merge(&of(&gone));
            sketch.subtract(&of(&gone));
            prop_assert_eq!(&sketch, &of(&kept));
            prop_assert_eq!(sketch.encode(), of(&kept).encode());
        }

        #[test]
        fn a_sum_is_what_merging_gives(
            values in prop::collection::vec(prop::collection::vec(0.0..1e6_f64, 0..20), 0..10),
            gone in prop::collection::vec(0.0..1e6_f64, 0..20),
        ) {
            let mut sketches: Vec<Sketch> = values.iter().map(|values| of(values)).collect();
            let mut negative = Sketch::default();
            negative.subtract(&of(&gone));
            sketches.extend([negative, of(&gone)]);
            let mut merged = Sketch::default();
            for sketch in &sketches {
                merged.merge(sketch);
            }
            let encoded: Vec<_> = sketches.iter().map(Sketch::encode).collect();
            let sum = Sketch::sum(encoded.iter().map(Vec::as_slice)).unwrap();
            prop_assert_eq!(sum, merged);
        }

        #[test]
        fn bytes_round_trip(counts in prop::collection::btree_map(0..500_u16, any::<i32>(), 0..60)) {
            let mut sketch = Sketch::default();
            for (bucket, count) in counts {
                sketch.add_to_bucket(bucket, i64::from(count));
            }
            prop_assert_eq!(Sketch::decode(&sketch.encode()).unwrap(), sketch);
        }
    }
}
