//! Which seeds are due: ranges, shards, and seeds that failed before.
//!
//! Plain computation, the same on every machine.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

const MOST: u64 = 10_000_000;

/// From the first to the last, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Seeds {
    pub first: u64,
    pub last: u64,
}

impl Seeds {
    pub(super) fn all(self) -> impl Iterator<Item = u64> {
        self.first..=self.last
    }
}

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let range = first.parse().ok().zip(last.parse().ok());
        range.filter(|(first, last)| first <= last && last - first < MOST).map_or_else(
            || Err(format!("`{text}` is no range of seeds; accepted: such as 1..1000 (both included, at most {MOST} seeds) or 7")),
            |(first, last)| Ok(Self { first, last }),
        )
    }
}

/// One part of `of`, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Shard {
    pub number: u64,
    pub of: u64,
}

impl Shard {
    pub(super) const WHOLE: Self = Self { number: 1, of: 1 };

    /// The part that a scheduler's variables name: `SLURM_ARRAY_TASK_ID` counts from
    /// `SLURM_ARRAY_TASK_MIN`, `JOB_COMPLETION_INDEX` from 0.
    pub(super) fn of_scheduler(of: u64, variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let number = |name: &str| -> Result<Option<u64>, String> {
            let Some(text) = variable(name) else { return Ok(None) };
            text.parse().map(Some).map_err(|_| format!("{name}={text} is no number"))
        };
        let index = match (number("SLURM_ARRAY_TASK_ID")?, number("JOB_COMPLETION_INDEX")?) {
            (Some(id), _) => id.checked_sub(number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(1)),
            (None, Some(index)) => Some(index),
            (None, None) => {
                return Err("neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX is set; \
                            accepted: one of them, or --shard I/N instead"
                    .into());
            }
        };
        index.filter(|&index| index < of).map(|index| Self { number: index + 1, of }).ok_or_else(|| {
            format!("the scheduler counts beyond the {of} shards; accepted: an array of as many tasks as --shards says")
        })
    }

    fn has(self, place: u64) -> bool {
        place % self.of == self.number - 1
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(number, of)| number.parse().ok().zip(of.parse().ok()));
        parts.filter(|&(number, of)| 1 <= number && number <= of).map_or_else(
            || Err(format!("`{text}` is no shard; accepted: I/N with I from 1 to N, such as 3/16")),
            |(number, of)| Ok(Self { number, of }),
        )
    }
}

/// What a shard runs: seeds that failed before come first. Which seeds of the range it
/// takes does not depend on those, so that no change of their file leaves one out.
pub(super) fn due(seeds: Seeds, shard: Shard, failed_before: &[u64]) -> Vec<u64> {
    let mine: Vec<u64> = seeds.all().filter(|seed| shard.has(seed - seeds.first)).collect();
    let inside = |seed: u64| (seeds.first..=seeds.last).contains(&seed);
    let first = |seed: u64| if inside(seed) { shard.has(seed - seeds.first) } else { shard.has(seed) };
    let mut due: Vec<u64> = Vec::new();
    for &seed in failed_before {
        if first(seed) && !due.contains(&seed) {
            due.push(seed);
        }
    }
    let known = due.clone();
    due.extend(mine.into_iter().filter(|seed| !known.contains(seed)));
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_together_run_every_seed_once_whatever_failed_before() {
        let seeds = "5..31".parse().unwrap();
        let mut all = Vec::new();
        for number in 1..=4 {
            // Each sees another state of the file.
            all.extend(due(seeds, Shard { number, of: 4 }, &[9, 5 + number, 9]));
        }
        all.sort_unstable();
        assert_eq!(all, (5..=31).collect::<Vec<_>>());
    }

    #[test]
    fn what_failed_before_comes_first_even_from_outside_the_range() {
        assert_eq!(due("1..3".parse().unwrap(), Shard::WHOLE, &[99, 3]), [99, 3, 1, 2]);
    }

    #[test]
    fn ranges_and_shards_that_cannot_be_are_refused() {
        for wrong in ["", "1..", "..3", "3..1", "a", "0..99999999999", "-1..3"] {
            assert!(wrong.parse::<Seeds>().unwrap_err().contains("accepted"), "{wrong}");
        }
        for wrong in ["", "17/16", "0/4", "1/0", "3", "1/2/3"] {
            assert!(wrong.parse::<Shard>().unwrap_err().contains("accepted"), "{wrong}");
        }
    }

    #[test]
    fn schedulers_name_the_shard() {
        let of = |pairs: &'static [(&str, &str)]| {
            Shard::of_scheduler(16, |name| {
                pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into())
            })
        };
        let third = Ok(Shard { number: 3, of: 16 });
        assert_eq!(of(&[("SLURM_ARRAY_TASK_ID", "3")]), third);
        assert_eq!(of(&[("SLURM_ARRAY_TASK_ID", "2"), ("SLURM_ARRAY_TASK_MIN", "0")]), third);
        assert_eq!(of(&[("JOB_COMPLETION_INDEX", "2")]), third);
        assert!(of(&[("JOB_COMPLETION_INDEX", "16")]).is_err());
        assert!(of(&[("JOB_COMPLETION_INDEX", "x")]).is_err() && of(&[]).is_err());
    }
}
