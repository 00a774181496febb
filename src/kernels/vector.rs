//! One loop, compiled for several vector widths and chosen at run time.

/// Defines a function whose body is compiled for AVX-512, for AVX2 and for any
/// processor; a call runs the widest version that this processor has.
///
/// The compiler turns plain loops over slices into vector code only for the
/// instruction sets that it may assume, and a portable build may assume few.
macro_rules! widest {
    ($(#[$doc:meta])* $vis:vis fn $name:ident$(<$t:ident: Real>)?($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$doc])*
        #[allow(clippy::inline_always, reason = "the body must be compiled inside each wrapper")]
        #[allow(clippy::too_many_arguments, reason = "slices and sizes, as everywhere in the inner loops")]
        $vis fn $name$(<$t: Real>)?($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body$(<$t: Real>)?($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                fn avx512$(<$t: Real>)?($($arg: $ty),*) $(-> $ret)? {
                    body($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2$(<$t: Real>)?($($arg: $ty),*) $(-> $ret)? {
                    body($($arg),*)
                }
                match $crate::kernels::Instructions::best() {
                    $crate::kernels::Instructions::Portable => {}
                    // SAFETY: `best` has found these features on this processor.
                    $crate::kernels::Instructions::Avx2 => return unsafe { avx2($($arg),*) },
                    // SAFETY: as above.
                    _ => return unsafe { avx512($($arg),*) },
                }
            }
            body($($arg),*)
        }
    };
}
