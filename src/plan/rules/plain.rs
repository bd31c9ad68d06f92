//! Conditions evaluated as they are written, test by test.
//!
//! It is slow and plain: `weir explain` shows each step of it, and the compiled program is tested against it.

use super::cond::{Cond, How, Op, Subject, Test, glob};
use super::convert::{Type, address};
use super::regex;

/// The parts of one event, as text: one for a value, several for a list, none for what is absent.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    pub parts: Vec<(Subject, Type, Vec<Vec<u8>>)>,
}

impl Parts {
    /// The texts of a part; a value that does not convert to its type is absent.
    pub fn get(&self, subject: &Subject) -> &[Vec<u8>] {
        let part = self.parts.iter().find(|(known, ..)| known == subject);
        part.filter(|(_, ty, texts)| texts.iter().all(|text| ty.fits(text))).map_or(&[], |(.., texts)| texts)
    }

    fn ty(&self, subject: &Subject) -> Type {
        self.parts.iter().find(|(known, ..)| known == subject).map_or(Type::Text, |(_, ty, _)| *ty)
    }

    fn number(&self, subject: &Subject) -> Option<super::convert::Number> {
        // PRI is the one key that is a number.
        let ty = match subject {
            Subject::Key(super::cond::Key::Pri) => Type::Whole(191),
            _ => self.ty(subject),
        };
        match self.get(subject) {
            [one] => ty.number(one),
            _ => None,
        }
    }
}

/// Whether a condition holds.
pub fn holds(cond: &Cond, parts: &Parts) -> bool {
    match cond {
        Cond::All(all) => all.iter().all(|one| holds(one, parts)),
        Cond::Any(any) => any.iter().any(|one| holds(one, parts)),
        Cond::Not(inner) => !holds(inner, parts),
        Cond::Test(test) => test_holds(test, parts),
    }
}

/// Whether a test holds; of a list one item is enough.
pub fn test_holds(test: &Test, parts: &Parts) -> bool {
    let texts = parts.get(&test.subject);
    match &test.op {
        Op::Exists => !texts.is_empty(),
        Op::Text { how, cased, any } => {
            texts.iter().any(|text| any.iter().any(|literal| how.holds(text, literal, *cased)))
        }
        Op::Glob { pattern, cased } => texts.iter().any(|text| glob(pattern, text, *cased)),
        Op::Regex(pattern) => {
            let regex = regex::compile(pattern).expect("the checker tries every expression");
            texts.iter().any(|text| regex.is_match(text))
        }
        Op::Number(compare, bound) => {
            parts.number(&test.subject).is_some_and(|number| compare.holds(number, *bound))
        }
        Op::Network(network) => {
            texts.iter().any(|text| address(text).is_some_and(|address| network.contains(&address)))
        }
        Op::Same(other) => {
            let (a, b) = (parts.field_number(&test.subject), parts.field_number(other));
            match (a, b) {
                (Some(a), Some(b)) => a == b,
                _ => {
                    let others = parts.get(other);
                    texts.iter().any(|a| others.iter().any(|b| How::Equals.holds(a, b, false)))
                }
            }
        }
    }
}

impl Parts {
    /// The number that a field is; keys compare as text.
    fn field_number(&self, subject: &Subject) -> Option<super::convert::Number> {
        self.number(subject).filter(|_| matches!(subject, Subject::Field(_)))
    }
}
