//! Sorted starts of ranges, found by the first bits of a value, then by search.

/// Where ranges start and what holds from there on; `L` has room for the low bits of a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Starts<L> {
    /// By bucket: the first start in it, or behind it; one more at the end.
    index: Box<[u32]>,
    /// The low bits of each start.
    lows: Box<[L]>,
    numbers: Box<[u8]>,
}

impl<L: Copy + PartialOrd + TryFrom<u64> + Into<u64>> Starts<L> {
    /// Takes starts that grow, the first of them zero, of values of `bucket_bits` and `low_bits` bits; `None` if they are
    /// anything else.
    pub fn new(starts: &[(u64, u8)], bucket_bits: u32, low_bits: u32) -> Option<Starts<L>> {
        let grow = starts.is_sorted_by(|a, b| a.0 < b.0);
        let last = starts.last()?.0;
        if !grow
            || starts[0].0 != 0
            || last >> (bucket_bits + low_bits) != 0
            || u32::try_from(starts.len()).is_err()
        {
            return None;
        }
        let mut index = Vec::with_capacity((1 << bucket_bits) + 1);
        for (place, (start, _)) in starts.iter().enumerate() {
            let bucket = (start >> low_bits) as usize;
            while index.len() <= bucket {
                index.push(place as u32);
            }
        }
        index.resize((1 << bucket_bits) + 1, starts.len() as u32);
        let low = |start: u64| L::try_from(start & ((1 << low_bits) - 1)).ok();
        Some(Starts {
            index: index.into(),
            lows: starts.iter().map(|(start, _)| low(*start)).collect::<Option<_>>()?,
            numbers: starts.iter().map(|(_, number)| *number).collect(),
        })
    }

    /// What holds at a value.
    #[inline]
    pub fn at(&self, bucket: usize, low: L) -> u8 {
        let Some(&[from, to]) = self.index.get(bucket..bucket + 2) else { return 0 };
        let Some(within) = self.lows.get(from as usize..to as usize) else { return 0 };
        let behind = from as usize + within.partition_point(|start| *start <= low);
        // The first start is zero, so there is always one before.
        self.numbers.get(behind.wrapping_sub(1)).map_or(0, |number| *number)
    }

    /// The starts again, and what holds from each on.
    pub fn each(&self, low_bits: u32) -> impl Iterator<Item = (u64, u8)> {
        let all = self.index.windows(2).enumerate().flat_map(move |(bucket, ends)| {
            (ends[0]..ends[1]).map(move |place| ((bucket as u64) << low_bits, place as usize))
        });
        all.map(|(high, place)| (high | self.lows[place].into(), self.numbers[place]))
    }

    pub fn len(&self) -> usize {
        self.lows.len()
    }

    pub fn bytes(&self) -> usize {
        size_of_val(&*self.index) + size_of_val(&*self.lows) + self.numbers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_what_the_last_start_before_it_says() {
        let starts: Vec<(u64, u8)> = vec![(0, 0), (3, 1), (4, 2), (64, 3), (65, 0), (250, 4), (255, 5)];
        let table = Starts::<u16>::new(&starts, 4, 4).unwrap();
        for value in 0..256u64 {
            let expected = starts.iter().rev().find(|(start, _)| *start <= value).unwrap().1;
            assert_eq!(table.at((value >> 4) as usize, (value & 15) as u16), expected, "{value}");
        }
        assert_eq!(table.each(4).collect::<Vec<_>>(), starts);
        assert_eq!(table.at(16, 0), 0);
    }

    #[test]
    fn starts_that_do_not_fit_make_no_table() {
        for starts in [&[][..], &[(1, 0)], &[(0, 0), (0, 1)], &[(0, 0), (9, 1), (8, 1)], &[(0, 0), (256, 1)]]
        {
            assert!(Starts::<u16>::new(starts, 4, 4).is_none(), "{starts:?}");
        }
        // Low bits for which there is no room.
        assert!(Starts::<u16>::new(&[(0, 0), (1 << 17, 1)], 1, 20).is_none());
    }
}
