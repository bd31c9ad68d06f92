//! Masks: text that no output shows.
//!
//! A mask finds places in a text; what stands there is replaced when it is written. Looking costs what the mask's first
//! byte or literal costs, and nothing where there are no masks. A program's conditions, keys and lookups see the original.

mod find;
mod hash;

use core::fmt;
use std::sync::Arc;

use regex_automata::Input;
use regex_automata::meta::{Cache, Regex};

use self::hash::siphash;
use super::rules::regex::{self, RegexError};

/// Masks at most: the regions of a text name theirs by a byte.
pub const MASKS_MAX: usize = 256;

/// What a mask looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looks<'a> {
    /// Mail addresses; `%40` and `\u0040` stand for `@` too.
    Email,
    /// What follows the word `bearer`.
    Bearer,
    /// Numbers of payment cards, by length, issuer and checksum.
    Card,
    Regex(&'a str),
    /// All of the mask's field.
    Whole,
}

/// A mask.
#[derive(Debug)]
pub struct Mask {
    /// Full id: `heroku.redact.email`.
    pub id: Box<str>,
    /// It looks into this field and nowhere else.
    pub field: Option<Box<str>>,
    /// The one of the program's selects that must hold.
    pub select: Option<u32>,
    /// What stands in the place.
    pub with: Box<str>,
    find: Find,
}

#[derive(Debug)]
enum Find {
    Email,
    /// Its match ends with the token.
    Bearer(Regex),
    Card,
    Regex(Regex),
    Whole,
}

impl Mask {
    /// A mask that looks everywhere.
    ///
    /// # Errors
    /// An expression that cannot be used.
    pub fn new(id: &str, looks: Looks, with: &str) -> Result<Mask, RegexError> {
        let find = match looks {
            Looks::Email => Find::Email,
            Looks::Bearer => Find::Bearer(regex::compile(find::BEARER)?),
            Looks::Card => Find::Card,
            Looks::Regex(pattern) => Find::Regex(regex::compile(pattern)?),
            Looks::Whole => Find::Whole,
        };
        Ok(Mask { id: id.into(), field: None, select: None, with: with.into(), find })
    }

    /// Whether it masks its field as a whole.
    pub fn is_whole(&self) -> bool {
        matches!(self.find, Find::Whole)
    }
}

/// A place in a text that a mask covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    pub start: u32,
    pub end: u32,
    /// Index of the mask.
    pub mask: u8,
}

impl Region {
    /// `start..end`, covered by the mask at an index.
    pub fn new(start: usize, end: usize, mask: usize) -> Region {
        Region { start: start as u32, end: end as u32, mask: mask as u8 }
    }
}

/// What a search writes to.
#[derive(Default)]
pub struct MaskScratch {
    /// Whose caches these are.
    masks: Option<Arc<[Mask]>>,
    /// By mask, made when first needed.
    caches: Vec<Option<Box<Cache>>>,
    regions: Vec<Region>,
}

/// The masks in force.
pub struct Masks {
    masks: Arc<[Mask]>,
    names: Arc<[Box<str>]>,
    key: [u64; 2],
}

impl fmt::Debug for Masks {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names.iter()).finish()
    }
}

impl Masks {
    /// Masks with the key of their hashes; of more than [`MASKS_MAX`] the rest is left out.
    pub fn new(mut masks: Vec<Mask>, key: [u64; 2]) -> Masks {
        masks.truncate(MASKS_MAX);
        let names = masks.iter().map(|mask| mask.id.clone()).collect();
        Masks { masks: masks.into(), names, key }
    }

    pub fn all(&self) -> &[Mask] {
        &self.masks
    }

    /// Full ids by index.
    pub fn names(&self) -> &Arc<[Box<str>]> {
        &self.names
    }

    /// Appends a text with all covered that the masks find which need neither a field nor a condition; returns how many
    /// places were covered.
    pub fn apply(&self, text: &[u8], scratch: &mut MaskScratch, out: &mut Vec<u8>) -> u64 {
        let mut regions = core::mem::take(&mut scratch.regions);
        regions.clear();
        for (index, mask) in self.masks.iter().enumerate() {
            if mask.field.is_none() && mask.select.is_none() {
                self.find(index, text, scratch, &mut regions);
            }
        }
        merge(&mut regions);
        self.write(text, &regions, out);
        scratch.regions = regions;
        scratch.regions.len() as u64
    }

    /// Appends a group key's text, which is the value of `field`, as it may be shown: as it is, or `[redacted:` and 8 hex
    /// digits if a mask covers any of it, so that groups stay apart. A condition of a mask is taken to hold. Returns whether
    /// it is covered.
    pub fn key(&self, field: &str, text: &[u8], scratch: &mut MaskScratch, out: &mut Vec<u8>) -> bool {
        let mut regions = core::mem::take(&mut scratch.regions);
        regions.clear();
        for (index, mask) in self.masks.iter().enumerate() {
            if mask.field.as_deref().is_none_or(|own| own == field) {
                self.find(index, text, scratch, &mut regions);
            }
        }
        let is_covered = !regions.is_empty();
        scratch.regions = regions;
        if is_covered {
            let hash = siphash(self.key, text) as u32;
            out.extend_from_slice(format!("[redacted:{hash:08x}]").as_bytes());
        } else {
            out.extend_from_slice(text);
        }
        is_covered
    }

    /// Appends the places of a text that the mask at `index` covers, in order.
    pub fn find(&self, index: usize, text: &[u8], scratch: &mut MaskScratch, out: &mut Vec<Region>) {
        let mut add = |start: usize, end: usize| out.push(Region::new(start, end, index));
        match &self.masks[index].find {
            Find::Email => find::emails(text, &mut add),
            Find::Card => find::cards(text, &mut add),
            Find::Whole if text.is_empty() => {}
            Find::Whole => add(0, text.len()),
            Find::Bearer(regex) => matches(regex, self.cache(index, regex, scratch), text, |start, end| {
                add(find::token(&text[start..end]) + start, end);
            }),
            Find::Regex(regex) => matches(regex, self.cache(index, regex, scratch), text, add),
        }
    }

    fn cache<'s>(&self, index: usize, regex: &Regex, scratch: &'s mut MaskScratch) -> &'s mut Cache {
        if scratch.masks.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &self.masks)) {
            scratch.masks = Some(self.masks.clone());
            scratch.caches.clear();
            scratch.caches.resize_with(self.masks.len(), || None);
        }
        scratch.caches[index].get_or_insert_with(|| Box::new(regex.create_cache()))
    }

    /// Appends a text with merged regions covered.
    pub fn write(&self, text: &[u8], regions: &[Region], out: &mut Vec<u8>) {
        let mut at = 0;
        for region in regions {
            out.extend_from_slice(&text[at..region.start as usize]);
            out.extend_from_slice(self.masks[region.mask as usize].with.as_bytes());
            at = region.end as usize;
        }
        out.extend_from_slice(&text[at..]);
    }
}

/// Calls `add` with every match that is not empty.
fn matches(regex: &Regex, cache: &mut Cache, text: &[u8], mut add: impl FnMut(usize, usize)) {
    let mut at = 0;
    while at < text.len()
        && let Some(found) = regex.search_with(cache, &Input::new(text).range(at..))
    {
        if found.start() == found.end() {
            at = found.end() + 1;
            continue;
        }
        add(found.start(), found.end());
        at = found.end();
    }
}

/// Brings regions into order and makes one of those that overlap, under the mask of the first.
pub fn merge(regions: &mut Vec<Region>) {
    if regions.len() < 2 {
        return;
    }
    regions.sort_unstable_by_key(|region| (region.start, region.mask, region.end));
    regions.dedup_by(|next, last| {
        let overlaps = next.start < last.end;
        if overlaps {
            last.end = last.end.max(next.end);
        }
        overlaps
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masks(all: &[(&str, Looks)]) -> Masks {
        let masks = all.iter().map(|(id, looks)| Mask::new(id, *looks, &format!("<{id}>")).unwrap());
        Masks::new(masks.collect(), [1, 2])
    }

    fn shown(masks: &Masks, text: &str) -> (String, u64) {
        let (mut scratch, mut out) = (MaskScratch::default(), b"> ".to_vec());
        let n = masks.apply(text.as_bytes(), &mut scratch, &mut out);
        (String::from_utf8(out).unwrap()[2..].to_string(), n)
    }

    #[test]
    fn places_are_covered_and_counted() {
        let masks = masks(&[
            ("email", Looks::Email),
            ("card", Looks::Card),
            ("bearer", Looks::Bearer),
            ("pin", Looks::Regex("pin=[0-9]*")),
        ]);
        for (text, expected, n) in [
            ("nothing here", "nothing here", 0),
            ("from bob@example.com, to a.b+c@x.co.uk.", "from <email>, to <email>.", 2),
            ("Authorization: Bearer abcDEF123._-", "Authorization: Bearer <bearer>", 1),
            ("pay 4111 1111 1111 1111 pin=12 pin=", "pay <card> <pin> <pin>", 3),
            // Of two that overlap the first covers both.
            ("pin=4111111111111111", "<pin>", 1),
            ("bearer bob@example.com", "bearer <email>", 1),
        ] {
            assert_eq!(shown(&masks, text), (expected.to_string(), n), "{text}");
        }
    }

    #[test]
    fn a_mask_of_a_field_or_with_a_condition_is_not_applied_to_any_text() {
        let mut of_field = Mask::new("f", Looks::Whole, "x").unwrap();
        of_field.field = Some("user".into());
        let mut with_condition = Mask::new("c", Looks::Email, "x").unwrap();
        with_condition.select = Some(0);
        let masks = Masks::new(vec![of_field, with_condition], [0; 2]);
        assert_eq!(shown(&masks, "bob@example.com"), ("bob@example.com".into(), 0));
        let mut scratch = MaskScratch::default();
        let mut key = |field: &str, text: &str| {
            let mut out = Vec::new();
            masks.key(field, text.as_bytes(), &mut scratch, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(key("path", "/x"), "/x");
        let (bob, eve) = (key("user", "bob"), key("user", "eve"));
        assert!(bob.starts_with("[redacted:") && bob.len() == 19 && bob.ends_with(']'), "{bob}");
        assert!(bob != eve && bob == key("user", "bob"));
        assert!(key("path", "bob@example.com").starts_with("[redacted:"));
        let other = Masks::new(vec![Mask::new("e", Looks::Email, "x").unwrap()], [0, 1]);
        let mut out = Vec::new();
        other.key("path", b"bob@example.com", &mut MaskScratch::default(), &mut out);
        assert_ne!(out, key("path", "bob@example.com").into_bytes(), "another key, another hash");
    }

    #[test]
    fn a_scratch_serves_masks_in_turn() {
        let (a, b) = (masks(&[("a", Looks::Regex("a+"))]), masks(&[("b", Looks::Regex("b+"))]));
        let mut scratch = MaskScratch::default();
        for _ in 0..2 {
            for (masks, expected) in [(&a, "<a>bb"), (&b, "aa<b>")] {
                let mut out = Vec::new();
                masks.apply(b"aabb", &mut scratch, &mut out);
                assert_eq!(String::from_utf8_lossy(&out), expected);
            }
        }
    }
}
