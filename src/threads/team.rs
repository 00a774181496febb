//! Threads that work on one task together.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

/// Threads that each do a share of every step and show each other the results.
///
/// A step of a few hundred microseconds is over before a sleeping thread has woken up, so members wait for each other by
/// spinning. The task has to be worth starting the threads, which takes some ten microseconds each.
pub(crate) struct Team {
    members: usize,
    /// The results of each member, in this round and in the one before: `[2][member]`.
    found: [Vec<RwLock<Vec<f32>>>; 2],
    /// How many results have been shown so far, by all members together.
    shown: AtomicUsize,
    /// Set when a member panics, so that the others stop waiting.
    broken: AtomicBool,
}

/// One of the threads.
pub(crate) struct Member<'t> {
    team: &'t Team,
    /// Its number, counted from zero.
    pub(crate) index: usize,
    round: usize,
}

impl Team {
    /// Runs `work` on `members` threads, one of them the caller's, and returns the result of the first.
    ///
    /// # Panics
    ///
    /// If a member does.
    pub(crate) fn run<R: Send>(members: usize, work: impl Fn(Member<'_>) -> R + Sync) -> R {
        let places = || (0..members).map(|_| RwLock::default()).collect();
        let team = Self {
            members,
            found: [places(), places()],
            shown: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
        };
        let run = |index| {
            let guard = Guard(&team.broken);
            let result = work(Member { team: &team, index, round: 0 });
            std::mem::forget(guard);
            result
        };
        std::thread::scope(|scope| {
            let run = &run;
            // If the system cannot start a thread, those that are running must not wait for it.
            let guard = Guard(&team.broken);
            (1..members).for_each(|index| drop(scope.spawn(move || run(index))));
            std::mem::forget(guard);
            run(0)
        })
    }
}

/// Marks the team as broken when it is dropped, as in a panic; otherwise it is forgotten.
struct Guard<'t>(&'t AtomicBool);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Member<'_> {
    /// Shows the others this member's results and looks at those of all, in the order of the members. Afterwards `own`
    /// holds other numbers.
    ///
    /// # Panics
    ///
    /// If another member has.
    pub(crate) fn share(&mut self, own: &mut Vec<f32>, mut look: impl FnMut(&[f32])) {
        // This place is written again two rounds later. By then every member has entered the next round, so none is
        // reading this one any more.
        let found = &self.team.found[self.round % 2];
        std::mem::swap(own, &mut found[self.index].write().unwrap_or_else(PoisonError::into_inner));
        self.round += 1;
        self.team.shown.fetch_add(1, Ordering::AcqRel);
        self.wait(self.round * self.team.members);
        for part in found {
            look(&part.read().unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn wait(&self, shows: usize) {
        let mut turns = 0_u32;
        while self.team.shown.load(Ordering::Acquire) < shows {
            assert!(!self.team.broken.load(Ordering::Acquire), "another thread of the team has panicked");
            turns = turns.saturating_add(1);
            // With fewer cores than members, those that wait must let the others run.
            if turns < 4096 { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_see_what_each_found_in_every_round() {
        for members in [1, 2, 5] {
            let sum = Team::run(members, |mut member| {
                let (mut own, mut sum) = (Vec::new(), 0.0);
                for round in 0..200 {
                    own.clear();
                    own.push((round * 10 + member.index) as f32);
                    let mut seen = Vec::new();
                    member.share(&mut own, |found| seen.push(found[0]));
                    assert_eq!(seen, (0..members).map(|at| (round * 10 + at) as f32).collect::<Vec<_>>());
                    sum += seen.iter().sum::<f32>();
                }
                sum
            });
            assert!(sum > 0.0);
        }
    }

    #[test]
    fn no_member_waits_for_one_that_panicked() {
        let result = std::panic::catch_unwind(|| {
            Team::run(3, |mut member| {
                assert!(member.index != 1, "on purpose");
                member.share(&mut Vec::new(), |_| ());
            });
        });
        assert!(result.is_err());
    }
}
