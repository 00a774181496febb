//! Solvers side by side, and where they got to.

use super::rows::Rows;
use super::{Labelled, Loss, Solver, hinge, softmax};
use crate::threads::in_parallel;

/// What each row that was learnt from adds to the weights of a classifier: `W = Σᵢ dualᵢ xᵢᵀ`.
#[derive(Clone, Debug, PartialEq)]
pub struct Solution {
    /// `[row, class]`
    pub(super) duals: Vec<f32>,
}

impl Solution {
    /// Solves the problems of several solvers over the rows whose numbers are in `learning`, on as many threads as any of
    /// them has.
    ///
    /// Where these solvers have solved the problem of the first of these rows, they begin there. The optimum is the same
    /// wherever they begin, and where there are few more rows it is close by.
    ///
    /// # Panics
    ///
    /// If there are not as many sets of classes as rows, or a column, class or row does not exist.
    #[must_use]
    pub fn find(data: Labelled<'_>, learning: &[u32], solvers: &[Solver], earlier: &[Self]) -> Vec<Self> {
        assert_eq!(data.rows.len(), data.members.len(), "each row has its classes");
        let rows = Rows::new(data, learning);
        let members: Vec<&[u32]> = learning.iter().map(|at| &data.members[*at as usize][..]).collect();
        // The softmax loss is solved as a whole, the hinge loss class by class; the longest task first.
        let mut tasks: Vec<(usize, Option<usize>)> = Vec::new();
        for (at, solver) in solvers.iter().enumerate() {
            match solver.loss {
                Loss::Softmax => tasks.insert(0, (at, None)),
                Loss::SquaredHinge => tasks.extend((0..data.classes).map(|class| (at, Some(class)))),
            }
        }
        let threads = solvers.iter().map(|solver| solver.threads).max().unwrap_or(1);
        let found = in_parallel(tasks.len(), threads, |task| {
            let (at, class) = tasks[task];
            let known = earlier.get(at).map_or(&[][..], |own| &own.duals);
            let Some(class) = class else {
                let mut duals = vec![0.0; rows.len() * data.classes];
                duals[..known.len()].copy_from_slice(known);
                softmax::solve(&rows, &members, data.classes, solvers[at], &mut duals);
                return duals;
            };
            let mut duals = vec![0.0; rows.len()];
            duals
                .iter_mut()
                .zip(known.iter().skip(class).step_by(data.classes))
                .for_each(|(own, dual)| *own = *dual);
            let is_member: Vec<bool> = members.iter().map(|own| own.contains(&(class as u32))).collect();
            hinge::solve(&rows, &is_member, class, solvers[at], &mut duals);
            duals
        });
        let none = Self { duals: vec![0.0; rows.len() * data.classes] };
        let mut solutions = vec![none; solvers.len()];
        for ((at, class), found) in tasks.into_iter().zip(found) {
            let duals = &mut solutions[at].duals;
            match class {
                None => *duals = found,
                Some(class) => {
                    let own = duals.iter_mut().skip(class).step_by(data.classes);
                    own.zip(found).for_each(|(own, dual)| *own = dual);
                }
            }
        }
        solutions
    }
}
