//! Chance that can be repeated.

use crate::run::Choice;

/// A generator of numbers that a seed decides (the one called `SplitMix64`).
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = end as u64;
        usize::try_from(self.next() % end).unwrap()
    }

    pub(crate) fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// How the next step is chosen. Each finds other faults: some need many changes of task, some a few at the right places.
#[derive(Debug, Clone)]
pub(crate) enum Strategy {
    /// Any step, each as likely.
    Even,
    /// The task that went last goes on, most of the time.
    Sticky { last: usize },
    /// The task with the highest rank goes, and loses it once in a while.
    Ranked { ranks: Vec<usize>, changes: usize },
}

impl Strategy {
    pub(crate) fn draw(chance: &mut Chance, tasks: usize) -> Self {
        match chance.below(4) {
            0 => Self::Even,
            1 => Self::Sticky { last: 0 },
            _ => {
                let mut ranks: Vec<usize> = (0..tasks).map(|task| task + tasks).collect();
                for task in (1..tasks).rev() {
                    ranks.swap(task, chance.below(task + 1));
                }
                Self::Ranked { ranks, changes: 1 + chance.below(4) }
            }
        }
    }

    /// The number of the choice to take.
    pub(crate) fn pick(&mut self, chance: &mut Chance, choices: &[Choice]) -> usize {
        let of = |wanted: usize| choices.iter().position(|it| matches!(it, Choice::Go { task, .. } if *task == wanted));
        // What is no step of a task comes in between, seldom.
        let others: Vec<usize> =
            (0..choices.len()).filter(|number| !matches!(choices[*number], Choice::Go { .. })).collect();
        if !others.is_empty() && (others.len() == choices.len() || chance.one_in(12)) {
            return chance.pick(&others);
        }
        match self {
            Self::Even => chance.below(choices.len()),
            Self::Sticky { last } => {
                let number = of(*last).filter(|_| !chance.one_in(8)).unwrap_or_else(|| chance.below(choices.len()));
                if let Choice::Go { task, .. } = choices[number] {
                    *last = task;
                }
                number
            }
            Self::Ranked { ranks, changes } => {
                let ready = (0..ranks.len()).filter(|task| of(*task).is_some());
                let Some(first) = ready.max_by_key(|task| ranks[*task]) else { return 0 };
                if *changes > 0 && chance.one_in(20) {
                    *changes -= 1;
                    ranks[first] = *changes;
                }
                of(first).unwrap_or_default()
            }
        }
    }
}
