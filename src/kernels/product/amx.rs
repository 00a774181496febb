//! The inner loops for processors with AMX: products of whole tiles.
//!
//! A tile register holds 16 rows of 64 bytes. `a` comes as 16 rows of 16 pairs, `b` as 16 pairs of 16 columns, which is
//! the layout of panels, and one instruction adds their product to 16 rows of 16 sums. Four tiles of sums are worked on
//! at a time, so that no instruction waits for the one before: two blocks of rows by one panel, or one block by two
//! panels where there are few rows.
//!
//! Pairs that fill no tile are left to the loops for AVX-512.

use std::arch::asm;

use super::super::matmul::{Accumulate, MatrixMut, Shape};
use super::super::processor::HasTiles;
use super::PANEL;
use super::avx512::product_from;
use super::bf16::Pairs;

/// Rows of a tile, and pairs or sums in one of its rows.
const TILE: usize = 16;

/// `out (+)= a · b`.
///
/// # Panics
///
/// If the pairs of a row of `a` do not lie side by side, or a shape does not fit.
pub(super) fn product_bf16(
    has: HasTiles,
    out: MatrixMut<'_, f32>,
    mode: Accumulate,
    a: Pairs<'_>,
    panels: &[u32],
) {
    let Shape { rows, cols, row_stride, col_stride } = out.shape;
    let depth = a.per_row / TILE;
    if depth == 0 || rows == 0 || cols == 0 {
        return product_from(has.into(), 0, out, mode, a, panels);
    }
    assert!(a.pair_stride == 1 && col_stride == 1, "rows lie side by side");
    assert!(a.rows == rows && (rows - 1) * a.row_stride + a.per_row <= a.values.len());
    assert!(panels.len() == cols.div_ceil(PANEL) * a.per_row * PANEL);
    assert!((rows - 1) * row_stride + cols <= out.data.len());
    let run = Run { has, a, panels, depth, row_stride, cols, mode };
    let whole = rows / (2 * TILE) * 2 * TILE;
    if whole > 0 {
        run.two_blocks(0..whole, TILE, out.data);
    }
    match rows - whole {
        0 => {}
        rest @ 1..=TILE => run.two_panels(whole, rest, out.data),
        rest => run.two_blocks(whole..rows, rest - TILE, out.data),
    }
    release(has);
    let done = depth * TILE;
    if done < a.per_row {
        product_from(has.into(), done, out, Accumulate::Add, a, panels);
    }
}

/// What is the same for all tiles.
#[derive(Clone, Copy)]
struct Run<'a> {
    has: HasTiles,
    a: Pairs<'a>,
    panels: &'a [u32],
    /// Tiles along `k`.
    depth: usize,
    row_stride: usize,
    cols: usize,
    mode: Accumulate,
}

/// A buffer for sums of which some columns do not exist in the output: `[32, 32]` or `[16, 64]`.
#[repr(align(64))]
struct Aside([f32; 4 * TILE * TILE]);

impl Run<'_> {
    /// Two blocks of rows at a time, the first of them whole and the second of `second` rows, by one panel.
    fn two_blocks(self, rows: std::ops::Range<usize>, second: usize, out: &mut [f32]) {
        configure(
            self.has,
            [TILE as u8, TILE as u8, second as u8, second as u8, TILE as u8, second as u8, 16, 16],
        );
        for panel in 0..self.cols.div_ceil(PANEL) {
            let columns = PANEL.min(self.cols - panel * PANEL);
            for first in rows.clone().step_by(2 * TILE) {
                let count = TILE + second;
                self.place(out, (first, count), (panel * PANEL, columns, PANEL), |sums, stride, sum| {
                    let a = &self.a.values[first * self.a.row_stride..];
                    let b = &self.panels[panel * self.a.per_row * PANEL..];
                    let below = TILE * self.a.row_stride;
                    // SAFETY: the caller has proven that there are tiles, and they are configured; `a` has `count` rows and `b` 32 columns of
                    // `depth · 16` pairs, as `product_bf16` has asserted; `sums` is large enough, as `place` makes sure.
                    unsafe {
                        asm!(
                            "test {sum:e}, {sum:e}",
                            "jz 3f",
                            "tileloadd tmm0, [{c} + {cs}*1]",
                            "tileloadd tmm1, [{c} + {cs}*1 + 64]",
                            "tileloadd tmm2, [{c2} + {cs}*1]",
                            "tileloadd tmm3, [{c2} + {cs}*1 + 64]",
                            "jmp 4f",
                            "3:",
                            "tilezero tmm0",
                            "tilezero tmm1",
                            "tilezero tmm2",
                            "tilezero tmm3",
                            "4:",
                            "tileloadd tmm4, [{a} + {row}*1]",
                            "tileloadd tmm6, [{b} + {bs}*1]",
                            "tileloadd tmm7, [{b} + {bs}*1 + 64]",
                            "tileloadd tmm5, [{a2} + {row}*1]",
                            "tdpbf16ps tmm0, tmm4, tmm6",
                            "tdpbf16ps tmm1, tmm4, tmm7",
                            "tdpbf16ps tmm2, tmm5, tmm6",
                            "tdpbf16ps tmm3, tmm5, tmm7",
                            "add {a}, 64",
                            "add {a2}, 64",
                            "add {b}, 2048",
                            "dec {n}",
                            "jnz 4b",
                            "tilestored [{c} + {cs}*1], tmm0",
                            "tilestored [{c} + {cs}*1 + 64], tmm1",
                            "tilestored [{c2} + {cs}*1], tmm2",
                            "tilestored [{c2} + {cs}*1 + 64], tmm3",
                            sum = in(reg) u32::from(sum),
                            a = inout(reg) a.as_ptr() => _,
                            a2 = inout(reg) a.as_ptr().wrapping_add(below) => _,
                            b = inout(reg) b.as_ptr() => _,
                            c = in(reg) sums,
                            c2 = in(reg) sums.wrapping_add(TILE * stride),
                            row = in(reg) 4 * self.a.row_stride,
                            bs = in(reg) 4 * PANEL,
                            cs = in(reg) 4 * stride,
                            n = inout(reg) self.depth => _,
                            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                            options(nostack),
                        );
                    }
                });
            }
        }
    }

    /// One block of at most 16 rows by two panels at a time; the last of an odd number of panels is read twice.
    fn two_panels(self, first: usize, count: usize, out: &mut [f32]) {
        let rows = count as u8;
        configure(self.has, [rows, rows, rows, rows, rows, 16, 16, 16]);
        let panels = self.cols.div_ceil(PANEL);
        for panel in (0..panels).step_by(2) {
            let start = panel * PANEL;
            let columns = (2 * PANEL).min(self.cols - start);
            self.place(out, (first, count), (start, columns, 2 * PANEL), |sums, stride, sum| {
                let a = &self.a.values[first * self.a.row_stride..];
                let b = &self.panels[panel * self.a.per_row * PANEL..];
                let other = if panel + 1 < panels { self.a.per_row * PANEL } else { 0 };
                // SAFETY: as above; the second panel is there, or is the first.
                unsafe {
                    asm!(
                        "test {sum:e}, {sum:e}",
                        "jz 3f",
                        "tileloadd tmm0, [{c} + {cs}*1]",
                        "tileloadd tmm1, [{c} + {cs}*1 + 64]",
                        "tileloadd tmm2, [{c} + {cs}*1 + 128]",
                        "tileloadd tmm3, [{c} + {cs}*1 + 192]",
                        "jmp 4f",
                        "3:",
                        "tilezero tmm0",
                        "tilezero tmm1",
                        "tilezero tmm2",
                        "tilezero tmm3",
                        "4:",
                        "tileloadd tmm4, [{a} + {row}*1]",
                        "tileloadd tmm5, [{b} + {bs}*1]",
                        "tileloadd tmm6, [{b} + {bs}*1 + 64]",
                        "tileloadd tmm7, [{b2} + {bs}*1]",
                        "tdpbf16ps tmm0, tmm4, tmm5",
                        "tileloadd tmm5, [{b2} + {bs}*1 + 64]",
                        "tdpbf16ps tmm1, tmm4, tmm6",
                        "tdpbf16ps tmm2, tmm4, tmm7",
                        "tdpbf16ps tmm3, tmm4, tmm5",
                        "add {a}, 64",
                        "add {b}, 2048",
                        "add {b2}, 2048",
                        "dec {n}",
                        "jnz 4b",
                        "tilestored [{c} + {cs}*1], tmm0",
                        "tilestored [{c} + {cs}*1 + 64], tmm1",
                        "tilestored [{c} + {cs}*1 + 128], tmm2",
                        "tilestored [{c} + {cs}*1 + 192], tmm3",
                        sum = in(reg) u32::from(sum),
                        a = inout(reg) a.as_ptr() => _,
                        b = inout(reg) b.as_ptr() => _,
                        b2 = inout(reg) b.as_ptr().wrapping_add(other) => _,
                        c = in(reg) sums,
                        row = in(reg) 4 * self.a.row_stride,
                        bs = in(reg) 4 * PANEL,
                        cs = in(reg) 4 * stride,
                        n = inout(reg) self.depth => _,
                        out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                        out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                        options(nostack),
                    );
                }
            });
        }
    }

    /// Lets `work` write or add to the sums of some rows and columns: in `out` if all `width` columns exist, else in a
    /// buffer. It gets their address, the distance between rows, and whether to add to the numbers there.
    fn place(
        self,
        out: &mut [f32],
        (first, count): (usize, usize),
        (start, columns, width): (usize, usize, usize),
        work: impl FnOnce(*mut f32, usize, bool),
    ) {
        let add = self.mode == Accumulate::Add;
        let at = first * self.row_stride + start;
        if columns == width {
            assert!(at + (count - 1) * self.row_stride + width <= out.len());
            return work(out[at..].as_mut_ptr(), self.row_stride, add);
        }
        let mut aside = Aside([0.0; 4 * TILE * TILE]);
        work(aside.0.as_mut_ptr(), width, false);
        for (row, sums) in aside.0.chunks_exact(width).enumerate().take(count) {
            let out = &mut out[at + row * self.row_stride..][..columns];
            if add {
                out.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
            } else {
                out.copy_from_slice(&sums[..columns]);
            }
        }
    }
}

/// Multiplies tiles that never leave their registers, four sums that do not wait for each other, and returns the
/// operations of one round.
pub(in super::super) fn ceiling(has: HasTiles, rounds: usize) -> usize {
    configure(has, [TILE as u8; 8]);
    // SAFETY: the caller has proven that there are tiles, and they are configured.
    unsafe {
        asm!(
            "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3", "tilezero tmm4", "tilezero tmm5",
            "test {n}, {n}",
            "jz 4f",
            "3:",
            "tdpbf16ps tmm0, tmm4, tmm5",
            "tdpbf16ps tmm1, tmm4, tmm5",
            "tdpbf16ps tmm2, tmm4, tmm5",
            "tdpbf16ps tmm3, tmm4, tmm5",
            "dec {n}",
            "jnz 3b",
            "4:",
            n = inout(reg) rounds => _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _, out("tmm4") _, out("tmm5") _,
            options(nostack, nomem),
        );
    }
    release(has);
    4 * 2 * TILE * TILE * 2 * TILE
}

/// Sets how many rows of 64 bytes each tile has.
fn configure(_: HasTiles, rows: [u8; 8]) {
    #[repr(C, align(64))]
    struct Configuration {
        palette: u8,
        start: u8,
        reserved: [u8; 14],
        bytes: [u16; 16],
        rows: [u8; 16],
    }
    let mut all = Configuration { palette: 1, start: 0, reserved: [0; 14], bytes: [0; 16], rows: [0; 16] };
    all.bytes[..8].fill(64);
    all.rows[..8].copy_from_slice(&rows);
    // SAFETY: the caller has proven that there are tiles, and this is a configuration that the first palette allows: at most 16 rows.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const all, options(nostack, readonly)) }
}

/// Releases the tiles, so that the system need not save them any more.
fn release(_: HasTiles) {
    // SAFETY: the caller has proven that there are tiles.
    unsafe { asm!("tilerelease", options(nostack, nomem)) }
}
