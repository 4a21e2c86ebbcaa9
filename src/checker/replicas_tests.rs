//! Tests of the check `replicas identical`: files in, one sentence out.

use super::judgement::{Explained, Linearized, Linearizer};
use super::replicas::check;
use super::testing::*;
use crate::fault::{FaultKind, Node};
use crate::history::Phase;
use crate::recorded::{Recorded, ReplicaFile, Rest};
use crate::verdict::{CheckName, CheckResult, Verdict};

/// An engine that can explain one content only.
struct Knows(&'static str);

impl Linearizer for Knows {
    fn judge(&self, _: &Recorded) -> Linearized {
        Linearized::without_order(CheckResult::pass(CheckName::Linearizable, ""))
    }

    fn explains(&self, _: &Recorded, file: &ReplicaFile) -> Explained {
        match file.content.as_deref() {
            _ if self.0.is_empty() => Explained::Unknown,
            Some(content) if content == self.0.as_bytes() => Explained::Yes(None),
            _ => Explained::No,
        }
    }
}

#[track_caller]
fn judged(recorded: &Recorded, engine: Knows, verdict: Option<Verdict>, message: &str) -> Vec<String> {
    let result = check(recorded, &engine);
    assert_eq!((result.verdict, result.message.as_str()), (verdict, message), "{:#?}", result.details);
    result.details
}

const GOOD: &str = "# t\na 95\nb 105\n";

#[test]
fn the_same_bytes_pass() {
    let same = Build::new().recorded(PLAIN, &[Some(GOOD); 3]);
    judged(&same, Knows(""), Some(Verdict::Pass), "3 files hold the same 15 bytes, 2 accounts");
    let none = Build::new().recorded(PLAIN, &[None; 3]);
    judged(&none, Knows(""), Some(Verdict::Pass), "no replica has a data file");
}

#[test]
fn the_odd_one_is_named_with_its_first_line_and_its_accounts() {
    let files = [Some(GOOD), Some("# t\na 90\nb 110\n"), Some(GOOD)];
    let recorded = Build::new().recorded(PLAIN, &files);
    let details = judged(
        &recorded,
        Knows(""),
        Some(Verdict::Violation),
        "srv-2 differs from srv-1 and srv-3: 2 accounts differ",
    );
    assert_eq!(
        details,
        [
            r"first difference in line 2, an account line: `a 95\n` on srv-1 and srv-3, `a 90\n` on srv-2",
            "account `a`: 95 on srv-1 and srv-3, 90 on srv-2 (-5)",
            "account `b`: 105 on srv-1 and srv-3, 110 on srv-2 (+5)",
        ]
    );
}

#[test]
fn the_history_outweighs_the_majority() {
    let wrong = Some("# t\na 90\nb 110\n");
    let recorded = Build::new().recorded(PLAIN, &[wrong, Some(GOOD), wrong]);
    let said = "srv-1 and srv-3 differ from srv-2 and from what clients were told: 2 accounts differ";
    judged(&recorded, Knows(GOOD), Some(Verdict::Violation), said);
}

#[test]
fn a_last_reply_that_is_beyond_doubt_convicts_without_the_engine() {
    let told = Build::new().ok((0, 1), ("a", "b", 5), [95, 105]).ok((2, 3), ("a", "b", 0), [95, 105]);
    let recorded = told.recorded(PLAIN, &[Some(GOOD), Some("# t\na 90\nb 110\n"), Some(GOOD)]);
    let said = "srv-2 differs from srv-1 and srv-3: 2 accounts differ";
    let details = judged(&recorded, Knows(""), Some(Verdict::Violation), said);
    assert_eq!(
        details[0],
        "srv-2's file has #0 a->b 5 twice (in the order of acknowledgements, which gives the file of srv-1 and srv-3)"
    );
    assert!(details[4].contains("account `a` was told 95 (line 3)"), "{details:#?}");
    assert!(details[4].ends_with("the file of srv-2 holds 90"), "{details:#?}");
}

/// Six transfers, each acknowledged before the next begins, one a second.
fn six() -> Build {
    let words = [("a", "b", 5), ("b", "c", 7), ("c", "a", 2), ("a", "b", 5), ("c", "b", 9), ("b", "a", 1)];
    let balances = [[95, 105], [98, 107], [105, 97], [92, 103], [96, 112], [111, 93]];
    let numbered = (1..).zip(words.into_iter().zip(balances));
    numbered.fold(Build::new(), |build, (second, (words, balances))| {
        build.ok((second * S, second * S + S / 2), words, balances)
    })
}

/// What the six leave.
const SIX: &str = "# Sun, 22 Nov 2026 11:58:40 +0000\na 93\nb 111\nc 96\n";

#[track_caller]
fn first_detail(build: Build, odd: &str, told: &str) {
    let recorded = build.recorded(PLAIN, &[Some(SIX), Some(odd), Some(SIX)]);
    let details = check(&recorded, &Knows("")).details;
    let basis = " (in the order of acknowledgements, which gives the file of srv-1 and srv-3)";
    assert_eq!(details[0], format!("{told}{basis}"), "{details:#?}");
}

#[test]
fn transfers_that_a_replica_lacks_are_named_with_what_happened_meanwhile() {
    let kill = |build: Build| build.fault(2 * S, Some(3 * S), FaultKind::Kill, &[Node::Srv(2)]);
    let window = "# Sun, 22 Nov 2026 11:58:40 +0000\na 91\nb 118\nc 91\n";
    let told = "srv-2's file lacks 2 transfers in a row, #2 b->c 7 to #4 c->a 2, all acknowledged";
    first_detail(six(), window, told);
    first_detail(kill(six()), window, &format!("{told}, during the kill of srv-2"));
    let equal = "# Sun, 22 Nov 2026 11:58:40 +0000\na 98\nb 106\nc 96\n";
    let told = "srv-2's file lacks #0 a->b 5 (one of 2 equal ones), acknowledged";
    first_detail(six(), equal, told);
    let stopped = "# Sun, 22 Nov 2026 11:58:37 +0000\na 92\nb 103\nc 105\n";
    let told = "srv-2's file lacks the last 2 transfers, #8 c->b 9 to #10 b->a 1, all acknowledged";
    first_detail(six(), stopped, told);
}

#[test]
fn the_first_line_of_a_file_tells_when_its_latest_request_came() {
    let stopped = "# Sun, 22 Nov 2026 11:58:37 +0000\na 92\nb 103\nc 105\n";
    let recorded = six().recorded(PLAIN, &[Some(SIX), Some(stopped), Some(SIX)]);
    let details = check(&recorded, &Knows("")).details;
    let said =
        "by the first line of srv-2's file, its latest request came 3 s earlier than that of srv-1 and srv-3";
    assert_eq!(details[1], said);
}

#[test]
fn a_file_that_no_simple_change_gives_says_so() {
    let made = "# Sun, 22 Nov 2026 11:58:40 +0000\na 93\nb 111\nc 97\n";
    let recorded = six().recorded(PLAIN, &[Some(SIX), Some(made), Some(SIX)]);
    let details = check(&recorded, &Knows("")).details;
    let said = "no lost prefix, suffix or window of the 6 transfers that give the file of srv-1 and srv-3 gives srv-2's file";
    assert!(details[0].starts_with(said), "{details:#?}");
}

#[test]
fn time_lines_and_layout_count_too() {
    let time = Build::new().recorded(PLAIN, &[Some(GOOD), Some(GOOD), Some("# u\na 95\nb 105\n")]);
    let said = "srv-3 differs from srv-1 and srv-2: all balances agree, the time lines do not";
    let details = judged(&time, Knows(""), Some(Verdict::Violation), said);
    assert!(details[0].starts_with("first difference in line 1, the time line: `# t\\n`"), "{details:#?}");
    let layout = Build::new().recorded(PLAIN, &[Some(GOOD), Some(GOOD), Some("# t\nb 105\na 95\n")]);
    let said = "srv-3 differs from srv-1 and srv-2: the same accounts and balances, written differently";
    judged(&layout, Knows(""), Some(Verdict::Violation), said);
}

fn restarted() -> Build {
    Build::new()
        .ok((S, 2 * S), ("a", "b", 90), [10, 190])
        .fault(3 * S, Some(5 * S), FaultKind::Kill, &[Node::Srv(2)])
        .exit(3 * S, Node::Srv(2), true, "")
        .started(4 * S, Node::Srv(2))
        .ready(4 * S + 1, Node::Srv(2))
}

#[test]
fn a_replica_that_forgot_everything_at_its_restart_is_told_in_one_sentence() {
    let build = restarted().ok((6 * S, 7 * S), ("a", "c", 20), [10, 100]);
    let right = Some("# t\na 10\nb 190\nc 100\n");
    let recorded = build.recorded(PLAIN, &[right, Some("# t\na 80\nc 120\n"), right]);
    judged(
        &recorded,
        Knows(""),
        Some(Verdict::Violation),
        "srv-2 differs from srv-1 and srv-3: it lacks everything from before its restart and holds only \
         the effects of 1 transfer after it; srv-2 was killed at 3.00 s (after 1 acknowledged operation) and \
         started again at 4.00 s",
    );
}

#[test]
fn a_file_that_is_gone_after_a_restart_says_so() {
    let right = Some("# t\na 10\nb 190\n");
    judged(
        &restarted().recorded(PLAIN, &[right, None, right]),
        Knows(""),
        Some(Verdict::Violation),
        "srv-2 differs from srv-1 and srv-3: it has no file any more and so lacks everything from before its \
         restart; srv-2 was killed at 3.00 s (after 1 acknowledged operation) and started again at 4.00 s",
    );
}

#[test]
fn several_replicas_that_forgot_everything_are_told_together() {
    let build = restarted()
        .exit(5 * S, Node::Srv(1), true, "")
        .started(6 * S, Node::Srv(1))
        .ready(6 * S, Node::Srv(1));
    let right = "# t\na 10\nb 190\n";
    judged(
        &build.recorded(PLAIN, &[None, None, Some(right)]),
        Knows(right),
        Some(Verdict::Violation),
        "srv-1 and srv-2 differ from srv-3 and from what clients were told: each of them has no file any more and \
         so lacks everything from before its restart; srv-1 ended at 5.00 s (after 1 acknowledged operation) and \
         started again at 6.00 s; srv-2 was killed at 3.00 s (after 1 acknowledged operation) and started again at \
         4.00 s",
    );
}

#[test]
fn where_every_file_is_wrong_none_is_held_up_as_right() {
    let build = restarted()
        .exit(5 * S, Node::Srv(1), true, "")
        .started(6 * S, Node::Srv(1))
        .ready(6 * S, Node::Srv(1));
    let build = build.ok((5 * S, 5 * S + 1), ("a", "c", 5), [5, 105]);
    let recorded = build.recorded(PLAIN, &[None, Some("# t\na 95\nc 105\n")]);
    let details = judged(
        &recorded,
        Knows(""),
        Some(Verdict::Violation),
        "srv-2 differs from srv-1: it lacks everything from before its restart and holds only the effects of 1 \
         transfer after it; srv-2 was killed at 3.00 s (after 1 acknowledged operation) and started again at 4.00 s",
    );
    assert!(
        details.last().unwrap().starts_with("srv-1 is no better: it has no file any more"),
        "{details:#?}"
    );
}

#[test]
fn a_replica_that_was_down_at_the_end_is_left_out_and_named() {
    let build = Build::new().exit(S, Node::Srv(2), false, "").phase(9 * S, Phase::Collect);
    let recorded = build.recorded(PLAIN, &[Some(GOOD), Some("# old\n"), Some(GOOD)]);
    let said = "2 files hold the same 15 bytes, 2 accounts; srv-2 left out, down at the end";
    judged(&recorded, Knows(""), Some(Verdict::Pass), said);
}

#[test]
fn files_in_motion_or_unread_decide_nothing() {
    let mut moving = Build::new().recorded(PLAIN, &[Some(GOOD), Some("# t\na"), Some(GOOD)]);
    moving.rest = Rest::NotReached;
    let said = "no files at rest: the run ended before they were collected";
    judged(&moving, Knows(""), None, said);
    let mut unread = Build::new().recorded(PLAIN, &[Some(GOOD); 3]);
    unread.files[2].unreadable = Some("permission denied".into());
    let said = "the file of srv-3 was not read: permission denied";
    judged(&unread, Knows(""), Some(Verdict::Undecided), said);
}

#[test]
fn bytes_that_are_no_data_file_are_told_with_the_line() {
    let recorded = Build::new().recorded(PLAIN, &[Some(GOOD), Some(GOOD), Some("# t\na 9\u{1b}[2J\n")]);
    let result = check(&recorded, &Knows(""));
    assert!(result.message.contains("the file of srv-3 is no data file (line 2"), "{}", result.message);
    assert!(!result.details.concat().contains('\u{1b}'), "{:?}", result.details);
}

proptest::proptest! {
    #[test]
    fn no_bytes_of_a_program_under_test_break_the_checks(
        files in proptest::collection::vec(proptest::option::of(proptest::collection::vec(0u8.., 0..40)), 1..4),
        text in proptest::option::of("(# t\n)?([ab] -?[0-9]{0,20}\n?){0,3}"),
    ) {
        let mut recorded = restarted().recorded(PLAIN, &[text.as_deref()]);
        let nodes = (2..).map(Node::Srv);
        recorded.files.extend(nodes.zip(files).map(|(node, content)| ReplicaFile::new(node, content)));
        let _ = check(&recorded, &Knows(""));
        let _ = (super::conserved::check(&recorded), super::overdraft::check(&recorded));
    }
}
