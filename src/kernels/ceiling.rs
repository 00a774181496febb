//! The highest rates of this processor: of multiply-adds in registers, and of reading memory.

use std::hint::black_box;

use super::{Instructions, Precision, Real};

/// Runs multiply-adds that never leave the registers, with the instructions that products of this precision
/// use, and returns the number of floating-point operations.
///
/// Without instructions for `bf16` its products can be no faster than those of `f32`.
pub(crate) fn multiply_adds(precision: Precision, rounds: usize) -> f64 {
    let best = Instructions::best();
    let per_round = match (precision, best.tiles(), best.bf16(), best.avx512(), best.avx2()) {
        #[cfg(target_arch = "x86_64")]
        (Precision::Bf16, Some(has), ..) => super::product::amx::ceiling(has, rounds),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: there is the proof that the processor has these instructions, here and below.
        (Precision::Bf16, _, Some(_), ..) => unsafe { x86::avx512_bf16(rounds) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        (.., Some(_), _) => unsafe { x86::avx512(rounds) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        (.., Some(_)) => unsafe { x86::avx2(rounds) },
        _ => portable(rounds),
    };
    per_round as f64 * rounds as f64
}

/// Plain loops, as the compiler vectorizes them; returns the operations of one round.
fn portable(rounds: usize) -> usize {
    const CHAINS: usize = 10;
    const LANES: usize = 4;
    let (x, y) = black_box((0.5_f32, 1.0_f32));
    let mut sums = [[y; LANES]; CHAINS];
    for _ in 0..rounds {
        for lane in sums.as_flattened_mut() {
            // On other processors `mul_add` calls a function unless the build assumes the instruction.
            *lane = if cfg!(target_arch = "aarch64") { lane.mul_add(x, y) } else { *lane * x + y };
        }
    }
    black_box(sums);
    2 * CHAINS * LANES
}

/// Enough independent sums that the next one never waits for its last multiply-add, and few enough that
/// all stay in registers.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        _mm256_fmadd_ps, _mm256_set1_ps, _mm512_cvtne2ps_pbh, _mm512_dpbf16_ps, _mm512_fmadd_ps,
        _mm512_set1_ps,
    };
    use std::hint::black_box;

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn avx2(rounds: usize) -> usize {
        const CHAINS: usize = 12;
        let (x, y) = black_box((_mm256_set1_ps(0.5), _mm256_set1_ps(1.0)));
        let mut sums = [y; CHAINS];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(*sum, x, y);
            }
        }
        black_box(sums);
        2 * 8 * CHAINS
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn avx512(rounds: usize) -> usize {
        const CHAINS: usize = 24;
        let (x, y) = black_box((_mm512_set1_ps(0.5), _mm512_set1_ps(1.0)));
        let mut sums = [y; CHAINS];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, x, y);
            }
        }
        black_box(sums);
        2 * 16 * CHAINS
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) fn avx512_bf16(rounds: usize) -> usize {
        const CHAINS: usize = 24;
        let zero = black_box(_mm512_set1_ps(0.0));
        let x = black_box(_mm512_cvtne2ps_pbh(zero, zero));
        let mut sums = [zero; CHAINS];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm512_dpbf16_ps(*sum, x, x);
            }
        }
        black_box(sums);
        2 * 32 * CHAINS
    }
}

widest! {
    /// The sum of all values, as fast as they can be read.
    pub(crate) fn read<T: Real>(values: &[T]) -> T {
        const LANES: usize = 128;
        let mut sums = [T::zero(); LANES];
        for chunk in values.as_chunks::<LANES>().0 {
            for (sum, value) in sums.iter_mut().zip(chunk) {
                *sum += *value;
            }
        }
        sums.into_iter().fold(T::zero(), |sum, part| sum + part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_counts_and_every_value_is_read() {
        for precision in [Precision::F32, Precision::Bf16] {
            let one = multiply_adds(precision, 1);
            assert!(one > 0.0 && multiply_adds(precision, 10) == 10.0 * one);
        }
        assert!(read(&vec![1.0_f32; 1280]) == 1280.0);
    }
}
