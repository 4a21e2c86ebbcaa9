//! What a reader is told of the check that went on during the run: that it ended the
//! run early, that it gave up, how far it was behind.
//!
//! Words for numbers that stand in `run.json` anyway. Judges nothing.

use super::{OnlineCheck, OnlineViolation, RunRecord};

/// Puts what is worth a word before the other notes.
pub(super) fn note(record: &mut RunRecord) {
    let said = record.online.as_ref().and_then(OnlineCheck::sentence);
    if let (Some(said), Some(judged)) = (said, &mut record.judgement) {
        judged.notes.insert(0, said);
    }
}

/// Fewer lines behind than this are the lines of a moment.
const NOTICEABLE: u64 = 2000;

impl OnlineCheck {
    /// A sentence for the notes; `None` if it saw nothing and kept up.
    pub fn sentence(&self) -> Option<String> {
        let lag = self.lag();
        match (&self.violation, &self.gave_up) {
            (Some(found), _) if self.stopped => Some(format!(
                "stopped early: the online check found that no order explains {}{lag}; the faulty phase \
                 was ended there (`stop_on_violation`), so what was planned after it did not happen",
                found.words()
            )),
            (Some(found), _) => Some(format!(
                "the online check found during the run that no order explains {}{lag}; it was not stopped",
                found.words()
            )),
            (None, Some(why)) => {
                Some(format!("the online check gave up {why}{lag}; the check at the end decided alone"))
            }
            (None, None) => (self.most_behind >= NOTICEABLE).then(|| {
                format!("the online check was at most {} lines of the history behind", self.most_behind)
            }),
        }
    }

    fn lag(&self) -> String {
        format!(" (at most {} lines of the history behind)", self.most_behind)
    }
}

impl OnlineViolation {
    fn words(&self) -> String {
        let seconds = |nanos: u64| nanos as f64 / 1e9;
        format!(
            "the operation that ended at index {} ({:.2} s), {:.3} s after that",
            self.index,
            seconds(self.time),
            seconds(self.found_after)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_early_stop_is_told_with_its_place_and_how_far_the_check_was_behind() {
        let violation = OnlineViolation { index: 412, time: 3_200_000_000, found_after: 12_000_000 };
        let check = OnlineCheck {
            explained: 200,
            violation: Some(violation),
            stopped: true,
            most_behind: 7,
            gave_up: None,
        };
        let said = check.sentence().unwrap();
        for part in
            ["stopped early", "index 412 (3.20 s), 0.012 s after", "at most 7 lines", "did not happen"]
        {
            assert!(said.contains(part), "{part}: {said}");
        }
        let on = OnlineCheck { stopped: false, ..check };
        assert!(on.sentence().unwrap().ends_with("it was not stopped"));
    }

    #[test]
    fn a_check_that_kept_up_and_found_nothing_is_not_spoken_of() {
        assert_eq!(OnlineCheck { most_behind: 40, ..OnlineCheck::default() }.sentence(), None);
        let slow = OnlineCheck { most_behind: 40_000, ..OnlineCheck::default() };
        assert!(slow.sentence().unwrap().contains("40000 lines"));
        let lost = OnlineCheck { gave_up: Some("after 9 operations: why".into()), ..OnlineCheck::default() };
        assert!(lost.sentence().unwrap().contains("gave up after 9 operations: why"));
    }
}
