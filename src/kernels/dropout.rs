//! Dropout whose mask is a function of a seed and a position, so that it needs no memory.

use super::Real;

/// Sixty-four well-mixed bits for the `index`-th draw under `seed`
/// (the finalizer of `SplitMix64`, Steele et al. 2014).
#[inline(always)]
pub(crate) fn bits(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Whether the `index`-th value under `seed` is dropped, with probability `threshold / 2³²`.
///
/// In 32-bit steps, of which a vector does twice as many as of 64-bit ones: the index, multiplied by the golden
/// ratio and moved by one half of the seed, goes through the mixer `triple32` (Wellons, 2018), whose second
/// round takes in the other half.
#[inline(always)]
pub(crate) fn drops(seed: u64, index: u64, threshold: u32) -> bool {
    let mut x = (index as u32).wrapping_mul(0x9E37_79B9).wrapping_add(seed as u32);
    x = (x ^ (x >> 17)).wrapping_mul(0xED5A_D4BB) ^ ((seed >> 32) as u32);
    x = (x ^ (x >> 11)).wrapping_mul(0xAC4C_1B51);
    x = (x ^ (x >> 15)).wrapping_mul(0x3184_8BAB);
    (x ^ (x >> 14)) < threshold
}

/// The threshold of [`drops`] for a probability in `[0, 1]`.
pub(crate) fn threshold(probability: f64) -> u32 {
    (probability.clamp(0.0, 1.0) * f64::from(u32::MAX)) as u32
}

widest! {
    /// `out[i] = 0` with the given probability, else `x[i] / (1 − probability)`. Its own backward pass.
    pub(crate) fn dropout<T: Real>(x: &[T], probability: f64, seed: u64, out: &mut [T]) {
        let limit = threshold(probability);
        let scale = T::of((1.0 - probability).recip());
        for (i, (out, x)) in out.iter_mut().zip(x).enumerate() {
            *out = if drops(seed, i as u64, limit) { T::zero() } else { *x * scale };
        }
    }
}

widest! {
    /// [`dropout`] in place.
    pub(crate) fn dropout_in_place<T: Real>(x: &mut [T], probability: f64, seed: u64) {
        if probability > 0.0 {
            let limit = threshold(probability);
            let scale = T::of((1.0 - probability).recip());
            for (i, x) in x.iter_mut().enumerate() {
                *x = if drops(seed, i as u64, limit) { T::zero() } else { *x * scale };
            }
        }
    }
}

widest! {
    /// `out[i] = residual[i] + dropout(x)[i]`.
    pub(crate) fn add_dropout<T: Real>(residual: &[T], x: &[T], probability: f64, seed: u64, out: &mut [T]) {
        let limit = threshold(probability);
        let scale = T::of((1.0 - probability).recip());
        for (i, ((out, residual), x)) in out.iter_mut().zip(residual).zip(x).enumerate() {
            *out = *residual + if drops(seed, i as u64, limit) { T::zero() } else { *x * scale };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_the_asked_share_and_keeps_the_mean() {
        let x = vec![1.0_f32; 100_000];
        let mut out = vec![0.0; x.len()];
        dropout(&x, 0.3, 7, &mut out);
        let dropped = out.iter().filter(|x| **x == 0.0).count();
        assert!((29_000..31_000).contains(&dropped), "{dropped}");
        let mean = out.iter().sum::<f32>() / 1e5;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
    }

    #[test]
    fn all_forms_draw_the_same() {
        let x: Vec<f64> = (1_u8..100).map(f64::from).collect();
        let (mut plain, mut in_place, mut added) = (vec![0.0; x.len()], x.clone(), vec![0.0; x.len()]);
        dropout(&x, 0.4, 9, &mut plain);
        dropout_in_place(&mut in_place, 0.4, 9);
        add_dropout(&x, &x, 0.4, 9, &mut added);
        assert_eq!(plain, in_place);
        assert!(added.iter().zip(&plain).zip(&x).all(|((added, plain), x)| *added == plain + x));
    }

    #[test]
    fn neighbours_rows_and_seeds_are_dropped_independently() {
        // Of two fair and independent coins, both show the same side half of the time.
        let limit = threshold(0.5);
        for (seed, shift) in [(0, 1), (1, 256), (0, 1 << 20)] {
            for step in [1, 1 << 32, 1 << 63] {
                let same = |i: &u64| drops(seed, *i, limit) == drops(seed, i + shift, limit);
                let alike = |i: &u64| drops(seed, *i, limit) == drops(seed + step, *i, limit);
                let (same, alike) = ((0..40_000).filter(same).count(), (0..40_000).filter(alike).count());
                assert!((19_400..20_600).contains(&same), "{seed} {shift}: {same}");
                assert!((19_400..20_600).contains(&alike), "{seed} {step}: {alike}");
            }
        }
    }

    #[test]
    fn another_seed_drops_others() {
        let kept = |seed| (0..64).filter(|i| !drops(seed, *i, threshold(0.5))).collect::<Vec<_>>();
        assert_eq!(kept(1), kept(1));
        assert_ne!(kept(1), kept(2));
    }
}
