//! What a pipeline says in the language of packs: the conditions of its sinks.
//!
//! It is read when the packs are known, since it names their fields, categories and macros. A pipeline has no names of
//! its own: macros and categories are those of packs, by their full ids.

use std::collections::BTreeMap;

use super::compile::Extra;
use super::detect::Detects;
use super::scope::Scope;
use super::{Category, Pack};
use crate::config::read::Reader;
use crate::config::{Pipeline, Problems, Written};
use crate::parse::heroku;
use crate::plan::rules::cond::Cond;

/// What of a sink's filter the program has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// What it says, as it was written.
    pub said: String,
    /// Which of the selects must hold; absent: none has to.
    pub select: Option<u32>,
    /// The first whose select holds keeps one event in so many.
    pub sample: Vec<(u32, u64)>,
}

/// What a pipeline wants to know of events, names resolved.
#[derive(Debug, Default)]
pub struct Site {
    /// Each filter once, by the sinks in the order of the file.
    pub filters: Vec<Filter>,
    /// For the compiler.
    pub extra: Extra,
}

/// Reads what a pipeline says in the language of packs; `packs` are those that it names.
///
/// # Errors
/// Every problem of it, in its order.
pub fn site(pipeline: &Pipeline, packs: &[Pack]) -> Result<Site, Problems> {
    let mut r = Reader::again(&pipeline.source);
    let mut detects = Detects::new(scope(packs), &[]);
    let mut site = Site::default();
    for sink in pipeline.sinks.iter().filter(|sink| !sink.filter.takes_all()) {
        let said = sink.filter.said();
        // Of two that say the same the second would only say again what is wrong.
        if site.filters.iter().any(|known| known.said == said) {
            continue;
        }
        let mut select = |written: &Written, what: &str| {
            let cond = cond(&mut r, &mut detects, written, &format!("{what} of sink `{}`", sink.name));
            site.extra.select(cond.unwrap_or(Cond::Any(Vec::new())))
        };
        let of_where = sink.filter.detect.as_ref().map(|detect| select(detect, "`where`"));
        let sample = sink.filter.sample.iter().map(|one| (select(&one.detect, "`sample`"), one.keep));
        let sample = sample.collect();
        site.filters.push(Filter { said, select: of_where, sample });
    }
    for (at, block) in std::mem::take(&mut detects.unused_blocks) {
        r.note(at, format!("block `{block}` is not part of the condition"), "`condition` names it");
    }
    match r.is_clean() {
        true => Ok(site),
        false => Err(r.problems(&pipeline.source.name, &pipeline.source.text)),
    }
}

fn cond(r: &mut Reader<'_>, detects: &mut Detects<'_>, written: &Written, owner: &str) -> Option<Cond> {
    let before = r.noted();
    let cond = detects.detect(r, &written.node, owner);
    if written.has_variables {
        r.hide_notes(before, written.node.at);
    }
    cond
}

impl Extra {
    /// The place of a condition among the selects.
    fn select(&mut self, cond: Cond) -> u32 {
        let known = self.selects.iter().position(|known| *known == cond);
        known.unwrap_or_else(|| {
            self.selects.push(cond);
            self.selects.len() - 1
        }) as u32
    }
}

/// The names that packs give to others.
fn scope(packs: &[Pack]) -> Scope {
    let mut scope = Scope::default();
    let mut categories = BTreeMap::new();
    scope.kinds.extend(heroku::KINDS.iter().map(|kind| kind.to_string()));
    for pack in packs {
        for field in &pack.fields {
            scope.fields.entry(field.name.to_string()).or_insert(field.ty);
        }
        scope.kinds.extend(pack.objects.iter().filter_map(|object| object.kind.clone()));
        let full = |(name, cond): (&String, &Cond)| (format!("{}.{name}", pack.id), cond.clone());
        scope.other_macros.extend(pack.macros.iter().map(full));
        let full = |one: &Category| (format!("{}.category.{}", pack.id, one.id), one.when.clone());
        categories.extend(pack.categories.iter().map(full));
    }
    scope.category_conds = Some(categories);
    scope
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Surroundings, read_pipeline};
    use crate::pack::built_in;
    use crate::plan::rules::cond::{How, Key, Op, Subject, Test};

    fn read(sinks: &str) -> Result<Site, String> {
        let text = format!("weir: pipeline/v1\nsinks:\n{sinks}");
        let variable = |name: &str| (name == "KIND").then(|| "rooter".to_string());
        let around = Surroundings { variable: &variable, file: &|_| Ok(()) };
        let pipeline =
            read_pipeline("w.yaml", &text, &around).unwrap_or_else(|problems| panic!("{problems}"));
        site(&pipeline, &[built_in("heroku").unwrap()]).map_err(|problems| problems.to_string())
    }

    #[test]
    fn filters_that_say_the_same_are_one_and_share_conditions() {
        let site = read(
            "- {name: a, kind: stdout, where: {s: {categories: heroku.category.requests}}}
- {name: b, kind: blackhole, where: {s:   {categories: 'heroku.category.requests'}}}
- {name: c, kind: blackhole, where: {s: {kind: router}}, sample: [{detect: {s: {status: 404}}, keep: 1/10}, {detect: {s: {kind: router}}, keep: 1/1}]}
- {name: d, kind: blackhole}
- {name: e, kind: blackhole, where: {a: {use: heroku.auth_failure}, b: {categories|endswith: .platform}, condition: a and not b}}\n",
        )
        .unwrap();
        // A category is its condition.
        let router = Cond::Test(Test {
            subject: Subject::Key(Key::Kind),
            op: Op::Text { how: How::Equals, cased: false, any: vec![b"router"[..].into()] },
        });
        assert_eq!(site.extra.selects[0], router);
        let shown: Vec<_> = site.filters.iter().map(|one| (one.select, one.sample.clone())).collect();
        assert_eq!(shown, [(Some(0), vec![]), (Some(0), vec![(1, 10), (0, 1)]), (Some(2), vec![])]);
        let platform = &built_in("heroku").unwrap().categories;
        let platform = platform.iter().find(|one| one.id == "platform").unwrap().when.clone();
        let Cond::All(parts) = &site.extra.selects[2] else { panic!("{:?}", site.extra.selects[2]) };
        assert_eq!(parts[1], Cond::Not(Box::new(platform)));
    }

    #[test]
    fn mistakes_are_told_with_their_places() {
        for (sink, says) in [
            ("where: {s: {knd: router}}", "w.yaml:3:42: unknown field `knd` in `where` of sink `a`"),
            ("where: {s: {kind: rooter}}", "w.yaml:3:48: `rooter` is no kind\n"),
            ("where: {use: heroku.auth_failur}", "did you mean `heroku.auth_failure`?"),
            ("where: {use: auth_failure}", "there is no macro `auth_failure` for `where` of sink `a`"),
            (
                "where: {s: {categories: heroku.category.request}}",
                "there is no category `heroku.category.request` for `where` of sink `a`",
            ),
            ("where: {s: {categories|re: x}}", "`categories` has no modifier `re`"),
            ("where: {s: {status|gte: many}}", "`many` is no number"),
            ("where: {s: {kind: router}, t: {kind: app}, condition: s}", "block `t` is not part"),
            ("where: {s: {kind: '${KIND}'}}", "with its variables put in, this cannot be read"),
            ("sample: [{detect: {s: {status: x}}, keep: 1/2}]", "`x` is no value of the number `status`"),
        ] {
            let said = read(&format!("- {{name: a, kind: blackhole, {sink}}}\n")).unwrap_err();
            assert!(said.contains(says), "{sink}:\n{said}");
            assert!(sink.contains("rooter") || !said.contains("rooter"), "{said}");
            assert_eq!(said.matches("hint:").count(), 1, "{said}");
        }
    }
}
