//! Which of several things an event concerns, by what rules found of it: dashlets that count it, metrics that it gives samples.

use super::rules::{Matched, Program};

/// By what the things are chosen; each is a number of its owner's.
#[derive(Debug, Default)]
pub struct Concerns {
    /// Those that every event concerns.
    every: Vec<u32>,
    /// By category of the program.
    by_category: Vec<Vec<u32>>,
    /// By watch of the program, from the first on.
    first_watch: u32,
    by_watch: Vec<u32>,
}

impl Concerns {
    /// Of nothing yet; the watches of the program from `first_watch` on are for these things, in their order.
    pub fn new(program: &Program, first_watch: u32) -> Concerns {
        let by_category = vec![Vec::new(); program.categories().len()];
        Concerns { by_category, first_watch, ..Concerns::default() }
    }

    /// Every event concerns the thing.
    pub fn every(&mut self, thing: u32) {
        self.every.push(thing);
    }

    /// Events of a category, by its full id, concern the thing; of one that the program does not have there are none.
    pub fn category(&mut self, program: &Program, id: &str, thing: u32) {
        if let Ok(index) = program.categories().binary_search_by(|known| (**known).cmp(id)) {
            self.by_category[index].push(thing);
        }
    }

    /// Events of the next watch concern the thing.
    pub fn watch(&mut self, thing: u32) {
        self.by_watch.push(thing);
    }

    /// Calls `take` with each thing that an event concerns.
    #[inline(always)]
    pub fn each(&self, matched: &Matched, mut take: impl FnMut(u32)) {
        self.every.iter().for_each(|thing| take(*thing));
        for &category in &matched.categories {
            self.by_category.get(category as usize).into_iter().flatten().for_each(|thing| take(*thing));
        }
        for &watch in &matched.watches {
            if let Some(thing) =
                watch.checked_sub(self.first_watch).and_then(|at| self.by_watch.get(at as usize))
            {
                take(*thing);
            }
        }
    }

    /// All things that some event may concern.
    pub fn all(&self) -> impl Iterator<Item = u32> {
        self.every.iter().chain(self.by_category.iter().flatten()).chain(&self.by_watch).copied()
    }
}
