//! Receipts: answers owed until a number is safe.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use tokio::sync::oneshot;

use crate::batch::Number;

#[derive(Debug, Default)]
pub(super) struct Receipts {
    /// All up to it is safe.
    safe: Number,
    owed: BTreeMap<Reverse<Number>, Vec<oneshot::Sender<()>>>,
}

impl Receipts {
    /// Resolves when all up to `number` is safe; `None` if it is already.
    pub fn wait_for(&mut self, number: Number) -> Option<oneshot::Receiver<()>> {
        if number <= self.safe {
            return None;
        }
        let (answer, receipt) = oneshot::channel();
        self.owed.entry(Reverse(number)).or_default().push(answer);
        Some(receipt)
    }

    /// Notes that all up to `number` is safe. It never goes back.
    pub fn safe_up_to(&mut self, number: Number) {
        self.safe = self.safe.max(number);
        // Keys run from high to low, so what is due stands at the end.
        for (_, answers) in self.owed.split_off(&Reverse(self.safe)) {
            for answer in answers {
                // Whoever gave up waiting has answered 503 already.
                let _ = answer.send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_comes_when_its_number_is_safe() {
        let mut receipts = Receipts::default();
        let mut waiting: Vec<_> = (1..=4).map(|n| receipts.wait_for(n).expect("not yet safe")).collect();
        receipts.safe_up_to(2);
        let come: Vec<bool> = waiting.iter_mut().map(|receipt| receipt.try_recv().is_ok()).collect();
        assert_eq!(come, [true, true, false, false]);
        receipts.safe_up_to(1);
        assert!(receipts.wait_for(2).is_none());
        receipts.safe_up_to(9);
        assert!(waiting[3].try_recv().is_ok());
    }
}
