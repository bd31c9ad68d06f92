//! Emptied buffers to be filled again, the last one first: it is still in the cache.

use std::sync::Mutex;

use super::lock;

pub(super) struct Spare<T> {
    buffers: Mutex<Vec<T>>,
    most: usize,
}

impl<T> Spare<T> {
    /// Keeps `most` buffers.
    pub fn new(most: usize) -> Spare<T> {
        Spare { buffers: Mutex::new(Vec::with_capacity(most)), most }
    }

    /// The buffer that came last.
    pub fn take(&self) -> Option<T> {
        lock(&self.buffers).pop()
    }

    /// Keeps a buffer, or frees it where there are enough.
    pub fn put(&self, buffer: T) {
        let mut buffers = lock(&self.buffers);
        if buffers.len() < self.most {
            buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_comes_first_and_no_more_are_kept_than_were_asked_for() {
        let spare = Spare::new(2);
        (1..=3).for_each(|buffer| spare.put(buffer));
        assert_eq!([spare.take(), spare.take(), spare.take()], [Some(2), Some(1), None]);
    }
}
