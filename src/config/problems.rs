//! All complaints about a file, each with its place and a way out.
//!
//! Invariants: problems print in the order of the file; no message, hint or snippet holds a secret or a variable's
//! value (the reader makes sure before a problem is recorded).

use std::fmt;

/// One complaint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub file: String,
    /// Counted from 1; 0 if the file as a whole is meant.
    pub line: usize,
    /// Characters, counted from 1; 0 if the file as a whole is meant.
    pub column: usize,
    pub message: String,
    pub hint: Option<String>,
    pub snippet: Option<Snippet>,
}

/// The line of a problem, secrets masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    pub text: String,
    /// Characters of `text` before the place meant; masks make it differ from the column.
    pub mark: usize,
}

/// Every complaint about a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// Puts the problems into the order of the file; those that were found at one place keep theirs.
    pub(crate) fn sort(&mut self) {
        self.0.sort_by_key(|problem| (problem.line, problem.column));
    }

    /// Returns the problems as text with terminal colours.
    pub fn coloured(&self) -> String {
        self.0.iter().map(|problem| problem.text(&COLOURS)).collect()
    }
}

impl Problem {
    fn text(&self, paint: &Paint) -> String {
        let Paint { strong, error, faint, hint, plain } = paint;
        let place = match self.line {
            0 => self.file.clone(),
            line => format!("{}:{line}:{}", self.file, self.column),
        };
        let mut out = format!("{strong}{place}: {error}{}{plain}\n", self.message);
        if let Some(snippet) = &self.snippet {
            // A tab before the place is kept, so that the mark stands below it at any tab width.
            let before = snippet.text.chars().take(snippet.mark);
            let blank: String = before.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            let (number, gap) = (format!("{:5}", self.line), " ".repeat(5));
            out.push_str(&format!("{faint}{number} |{plain} {}\n", snippet.text));
            out.push_str(&format!("{faint}{gap} |{plain} {blank}{error}^{plain}\n"));
        }
        if let Some(text) = &self.hint {
            out.push_str(&format!("{hint}hint:{plain} {text}\n"));
        }
        out
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(&NO_COLOURS))
    }
}

/// Prints each problem over several lines, without colours.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|problem| fmt::Display::fmt(problem, f))
    }
}

impl std::error::Error for Problems {}

/// Escape sequences around the parts of a problem.
struct Paint {
    strong: &'static str,
    error: &'static str,
    faint: &'static str,
    hint: &'static str,
    plain: &'static str,
}

const NO_COLOURS: Paint = Paint { strong: "", error: "", faint: "", hint: "", plain: "" };
const COLOURS: Paint =
    Paint { strong: "\x1b[1m", error: "\x1b[1;31m", faint: "\x1b[2m", hint: "\x1b[1;36m", plain: "\x1b[0m" };

#[cfg(test)]
mod tests {
    use super::*;

    fn problem() -> Problem {
        Problem {
            file: "a.yaml".into(),
            line: 12,
            column: 4,
            message: "unknown key `bnd`".into(),
            hint: Some("did you mean `bind`?".into()),
            snippet: Some(Snippet { text: " - bnd: x".into(), mark: 3 }),
        }
    }

    #[test]
    fn a_problem_prints_place_line_and_hint() {
        let expect =
            "a.yaml:12:4: unknown key `bnd`\n   12 |  - bnd: x\n      |    ^\nhint: did you mean `bind`?\n";
        assert_eq!(problem().to_string(), expect);
        let whole = Problem { line: 0, column: 0, hint: None, snippet: None, ..problem() };
        assert_eq!(whole.to_string(), "a.yaml: unknown key `bnd`\n");
    }

    #[test]
    fn colours_come_only_when_asked_for() {
        let mut problems = Problems::default();
        problems.push(problem());
        assert!(!problems.to_string().contains('\x1b'));
        assert!(problems.coloured().contains("\x1b[1;31munknown key"));
    }
}
