//! Which instructions this processor has, detected once per process.

use std::sync::OnceLock;

/// A set of instructions that kernels are written for; each includes all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Instructions {
    /// What every processor of this architecture has.
    Portable,
    /// Eight `f32` at once, with fused multiply-add.
    Avx2,
    /// Sixteen `f32` at once.
    Avx512,
    /// Thirty-two `bf16` at once, summed in `f32`.
    Avx512Bf16,
    /// Tiles of 16 rows by 32 `bf16`, multiplied whole.
    Amx,
}

impl Instructions {
    /// From the least to the most.
    pub(crate) const ALL: [(&'static str, Self); 5] = [
        ("portable", Self::Portable),
        ("avx2", Self::Avx2),
        ("avx512", Self::Avx512),
        ("avx512_bf16", Self::Avx512Bf16),
        ("amx_bf16", Self::Amx),
    ];

    /// The environment variable that limits which instructions kernels use.
    pub(crate) const LIMIT: &'static str = "TALKFORMER_INSTRUCTIONS";

    /// The best set that this processor has and that [`LIMIT`](Self::LIMIT) allows.
    ///
    /// An unknown name allows everything.
    pub(crate) fn best() -> Self {
        static BEST: OnceLock<Instructions> = OnceLock::new();
        *BEST.get_or_init(|| {
            let limit = std::env::var(Self::LIMIT).unwrap_or_default();
            let allowed =
                Self::ALL.iter().find(|(name, _)| *name == limit).map_or(Self::Amx, |(_, set)| *set);
            if allowed == Self::Portable { allowed } else { Self::detected().min(allowed) }
        })
    }

    #[cfg(target_arch = "x86_64")]
    fn detected() -> Self {
        if !(is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")) {
            return Self::Portable;
        }
        let wide = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        if !wide {
            Self::Avx2
        } else if !is_x86_feature_detected!("avx512bf16") {
            Self::Avx512
        } else if tiles::are_granted() {
            Self::Amx
        } else {
            Self::Avx512Bf16
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn detected() -> Self {
        Self::Portable
    }

    /// Whether products of `bf16` take longer than those of `f32`.
    ///
    /// Intel's cores since Sapphire Rapids have tiles for them. Without tiles, which a virtual machine may hide, they multiply `bf16` at
    /// half the rate of `f32`.
    pub(crate) fn bf16_is_slow(self) -> bool {
        static HALF_RATE: OnceLock<bool> = OnceLock::new();
        self.tiles().is_none() && *HALF_RATE.get_or_init(half_rate_bf16)
    }
}

/// Whether this is an Intel core with `f16` in AVX-512: Sapphire Rapids or later.
#[cfg(target_arch = "x86_64")]
#[allow(unused_unsafe, reason = "newer compilers call the instruction safe")]
fn half_rate_bf16() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count};

    const F16: u32 = 1 << 23;
    // SAFETY: every x86-64 processor has the instruction, and says itself which leaves it knows.
    let about = unsafe { __cpuid(0) };
    let intel = about.ebx == u32::from_le_bytes(*b"Genu");
    // SAFETY: as above.
    intel && about.eax >= 7 && unsafe { __cpuid_count(7, 0) }.edx & F16 != 0
}

#[cfg(not(target_arch = "x86_64"))]
fn half_rate_bf16() -> bool {
    false
}

/// Defines proofs that this processor has some instructions. Only [`Instructions`] gives them, so what takes one may run
/// these instructions.
macro_rules! proofs {
    ($($(#[$doc:meta])* $proof:ident, $set:ident, $method:ident;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub(crate) struct $proof(());
        )*

        #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "asked for where there are such instructions"))]
        impl Instructions {
            $(
                $(#[$doc])*
                ///
                /// None where this set does not include them, or the processor does not have them.
                pub(crate) fn $method(self) -> Option<$proof> {
                    (self.min(Self::best()) >= Self::$set).then_some($proof(()))
                }
            )*
        }
    };
}

proofs! {
    /// The proof that there are AVX2 and FMA.
    HasAvx2, Avx2, avx2;
    /// The proof that there is AVX-512, as far as [`Instructions::Avx512`] wants it.
    HasAvx512, Avx512, avx512;
    /// The proof that there is AVX-512 with BF16.
    HasBf16, Avx512Bf16, bf16;
    /// The proof that there are tiles of `bf16`, and that this process may use them.
    HasTiles, Amx, tiles;
}

/// Tiles include the set before them.
impl From<HasTiles> for HasBf16 {
    fn from(_: HasTiles) -> Self {
        Self(())
    }
}

/// Tile registers are large, so the system saves them only for processes that have asked for them.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod tiles {
    use std::arch::asm;
    use std::arch::x86_64::__cpuid_count;

    /// Whether there are tiles of `bf16` and this process may use them.
    #[allow(unused_unsafe, reason = "newer compilers call the instruction safe")]
    pub(super) fn are_granted() -> bool {
        const BF16: u32 = 1 << 22;
        const TILES: u32 = 1 << 24;
        // SAFETY: a processor with AVX-512 has this leaf.
        let features = unsafe { __cpuid_count(7, 0) }.edx;
        features & (BF16 | TILES) == BF16 | TILES && ask()
    }

    /// `arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA)`
    fn ask() -> bool {
        const ARCH_PRCTL: usize = 158;
        const REQUEST: usize = 0x1023;
        const TILE_DATA: usize = 18;
        let answer: usize;
        // SAFETY: the call takes two numbers, touches no memory, and changes nothing but this permission; systems
        // that do not know it answer with an error.
        unsafe {
            asm!(
                "syscall",
                inlateout("rax") ARCH_PRCTL => answer,
                in("rdi") REQUEST,
                in("rsi") TILE_DATA,
                lateout("rcx") _,
                lateout("r11") _,
                options(nostack),
            );
        }
        answer == 0
    }
}

#[cfg(all(target_arch = "x86_64", not(target_os = "linux")))]
mod tiles {
    /// Not implemented for other systems.
    pub(super) fn are_granted() -> bool {
        false
    }
}

/// The name of the processor, or on other architectures than x86 that of the architecture.
#[cfg(target_arch = "x86_64")]
#[allow(unused_unsafe, reason = "newer compilers call the instruction safe")]
pub(crate) fn name() -> String {
    use std::arch::x86_64::__cpuid;

    const FIRST: u32 = 0x8000_0002;
    // SAFETY: every x86-64 processor has the instruction, and says itself which leaves it knows.
    let leaf = |leaf| unsafe { __cpuid(leaf) };
    if leaf(0x8000_0000).eax < FIRST + 2 {
        return std::env::consts::ARCH.to_owned();
    }
    let registers = (FIRST..FIRST + 3).map(leaf).flat_map(|r| [r.eax, r.ebx, r.ecx, r.edx]);
    let bytes: Vec<u8> = registers.flat_map(u32::to_le_bytes).take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The name of the processor, or on other architectures than x86 that of the architecture.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn name() -> String {
    std::env::consts::ARCH.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_given_where_the_set_and_the_processor_have_the_instructions() {
        for (name, set) in Instructions::ALL {
            let given =
                [set.avx2().is_some(), set.avx512().is_some(), set.bf16().is_some(), set.tiles().is_some()];
            let has = |wanted| wanted <= set && wanted <= Instructions::best();
            let wanted = Instructions::ALL.map(|(_, wanted)| has(wanted));
            assert_eq!(given[..], wanted[1..], "{name}");
        }
    }
}
