//! `replicas identical`: all replicas' files hold the same bytes at the end.
//!
//! Verifies the files of replicas that were up when files were collected, byte
//! for byte, the time line included. On a difference it tells the first line that
//! differs, the accounts and by how much, which replica stands alone against the
//! history, and what happened to that replica.
//!
//! Does not verify that the common content is right (`linearizable` does: its
//! last reads are these files), nor files of replicas that were down at the end
//! (they lag lawfully), nor files of a run that ended before they came to rest.

use std::collections::BTreeMap;

use super::bank::BankModel;
use super::divergence::{self, Question};
use super::explain::{Restart, forced_balances, last_restart, only_since, restarted};
use super::judgement::{Explained, Linearizer};
use super::{FinalFiles, count, final_files, list, quote};
use crate::fault::Node;
use crate::history::data_file::{DataFile, parse_data_file};
use crate::history::{ClusterWhat, History};
use crate::recorded::{Recorded, ReplicaFile, Rest};
use crate::verdict::{CheckName, CheckResult};

const NAME: CheckName = CheckName::ReplicasIdentical;

/// Compares the files; `engine` tells which of them the history can explain.
pub fn check(recorded: &Recorded, engine: &dyn Linearizer) -> CheckResult {
    if recorded.rest == Rest::NotReached {
        return CheckResult::skipped(NAME, "no files at rest: the run ended before they were collected");
    }
    let FinalFiles { files, left_out } = final_files(recorded);
    let out = if left_out.is_empty() {
        String::new()
    } else {
        format!("; {} left out, down at the end", list(&left_out))
    };
    if files.len() < 2 {
        let found = count(files.len() as u64, "file");
        return CheckResult::skipped(
            NAME,
            format!("{found} of replicas that were up is nothing to compare{out}"),
        );
    }
    let unread = files.iter().find_map(|file| Some((file.node, file.unreadable.clone()?)));
    let groups = groups(&files);
    match (groups.as_slice(), unread) {
        ([_, _, ..], _) => differing(recorded, engine, groups, &out),
        (_, Some((node, why))) => {
            CheckResult::undecided(NAME, format!("the file of {node} was not read: {why}"))
        }
        ([one], None) => CheckResult::pass(NAME, format!("{}{out}", same(one))),
        ([], None) => CheckResult::skipped(NAME, "no files"),
    }
}

/// Replicas whose files hold the same bytes.
struct Group<'a> {
    nodes: Vec<Node>,
    file: &'a ReplicaFile,
    parsed: Result<DataFile, String>,
}

/// The greatest group first.
fn groups<'a>(files: &[&'a ReplicaFile]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group> = Vec::new();
    for file in files.iter().copied().filter(|file| file.unreadable.is_none()) {
        match groups.iter_mut().find(|group| group.file.content == file.content) {
            Some(group) => group.nodes.push(file.node),
            None => groups.push(Group { nodes: vec![file.node], file, parsed: parsed(file) }),
        }
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.nodes.len()));
    groups
}

fn parsed(file: &ReplicaFile) -> Result<DataFile, String> {
    match &file.content {
        None => Ok(DataFile::default()),
        Some(bytes) => parse_data_file(bytes).map_err(|why| why.to_string()),
    }
}

fn same(group: &Group) -> String {
    let files = count(group.nodes.len() as u64, "file");
    match (&group.file.content, &group.parsed) {
        (None, _) => "no replica has a data file".into(),
        (Some(bytes), Ok(file)) => {
            let accounts = count(file.balances.len() as u64, "account");
            format!("{files} hold the same {} bytes, {accounts}", bytes.len())
        }
        (Some(bytes), Err(why)) => {
            format!("{files} hold the same {} bytes, no data file: {why}", bytes.len())
        }
    }
}

fn differing(recorded: &Recorded, engine: &dyn Linearizer, groups: Vec<Group>, out: &str) -> CheckResult {
    let mut sides = sides(recorded, engine, groups);
    let telling: Vec<bool> =
        sides.odd.iter().map(|odd| since_restart(recorded, &sides, odd).is_some()).collect();
    if let Some(best) = telling.iter().position(|&telling| telling) {
        sides.odd.swap(0, best);
    }
    let Some((odd, others)) = sides.odd.split_first() else {
        return CheckResult::undecided(NAME, "the files differ, and no group of them could be named");
    };
    let headline = headline(recorded, &sides, odd);
    let mut details = divergence(recorded, &sides, odd);
    details.extend(about(recorded, &sides, odd));
    details.retain(|detail| !detail.strip_prefix(DURING).is_some_and(|life| headline.contains(life)));
    details.extend(others.iter().flat_map(|other| {
        let title = format!("{}: {}", list(&other.nodes), difference(&sides.reference, other));
        std::iter::once(title)
            .chain(since_restart(recorded, &sides, other))
            .chain(divergence(recorded, &sides, other))
            .chain(about(recorded, &sides, other))
    }));
    let reference = list(&sides.reference.nodes);
    let no_better = since_restart(recorded, &sides, &sides.reference);
    details.extend(no_better.map(|what| format!("{reference} is no better: {what}")));
    if recorded.rest == Rest::Changing {
        details.push("the files were still changing when the ceiling for settling had passed".into());
    }
    CheckResult::violation(NAME, format!("{headline}{out}")).with_details(details)
}

/// The group that others are compared with, and the groups that differ from it.
struct Sides<'a> {
    reference: Group<'a>,
    odd: Vec<Group<'a>>,
    /// What the reference stands on.
    why: Standing,
    /// The order that explains history and reference, if one was told.
    order: Option<Vec<usize>>,
}

/// What is known of the reference.
enum Standing {
    /// It agrees with the history and no other file does.
    Alone,
    /// More than half of the replicas hold it.
    Majority,
    /// Nothing: it is only the one that others are compared with.
    Nothing,
}

fn sides<'a>(recorded: &Recorded, engine: &dyn Linearizer, mut groups: Vec<Group<'a>>) -> Sides<'a> {
    let mut explained: Vec<Explained> =
        groups.iter().map(|group| explains(recorded, engine, group)).collect();
    let agree = |found: &Explained| matches!(found, Explained::Yes(_));
    let alone = explained.iter().filter(|found| agree(found)).count() == 1
        && explained.iter().filter(|found| **found == Explained::No).count() == groups.len() - 1;
    let at = explained.iter().position(agree).filter(|_| alone).unwrap_or(0);
    let half = groups.iter().map(|group| group.nodes.len()).sum::<usize>();
    let why = match groups[at].nodes.len() * 2 > half {
        _ if alone => Standing::Alone,
        true => Standing::Majority,
        false => Standing::Nothing,
    };
    let order = if let Explained::Yes(order) = explained.swap_remove(at) { order } else { None };
    Sides { reference: groups.remove(at), odd: groups, why, order }
}

/// Asks the history itself first, for it is cheap and beyond doubt.
fn explains(recorded: &Recorded, engine: &dyn Linearizer, group: &Group) -> Explained {
    match (&group.parsed, contradiction(recorded, group)) {
        (Err(_), _) | (_, Some(_)) => Explained::No,
        _ => engine.explains(recorded, group.file),
    }
}

/// An account whose final balance is certain and other than in this file.
fn contradiction(recorded: &Recorded, group: &Group) -> Option<String> {
    let history = &recorded.history;
    let initial = recorded.workload.model.parse::<BankModel>().ok()?.initial;
    let file = group.parsed.as_ref().ok()?;
    let balances = by_name(file);
    forced_balances(history).into_iter().find_map(|(id, forced)| {
        let account = history.account(id);
        let holds = match balances.get(account) {
            Some(&balance) if balance == forced.balance => return None,
            Some(balance) => format!("holds {balance}"),
            None if forced.balance == initial => return None,
            None => "has no line for it".into(),
        };
        let nodes = list(&group.nodes);
        Some(format!(
            "the last client that asked for account {} was told {} (line {}), nothing was under way on it any \
             more, and the file of {nodes} {holds}",
            quote(account.as_bytes()),
            forced.balance,
            forced.line
        ))
    })
}

/// One sentence: who differs, from whom, what its file is, what happened to it.
fn headline(recorded: &Recorded, sides: &Sides, odd: &Group) -> String {
    let (who, others) = (list(&odd.nodes), list(&sides.reference.nodes));
    let verb = if odd.nodes.len() == 1 { "differs" } else { "differ" };
    let stands = match sides.why {
        Standing::Alone => format!("{who} {verb} from {others} and from what clients were told"),
        Standing::Majority | Standing::Nothing => format!("{who} {verb} from {others}"),
    };
    let what = since_restart(recorded, sides, odd).unwrap_or_else(|| difference(&sides.reference, odd));
    let more = match sides.odd.len() {
        1 => String::new(),
        number => format!(" ({} contents in all)", number + 1),
    };
    format!("{stands}{more}: {what}")
}

/// For replicas that were restarted: that their file lacks all from before, where
/// this is certain.
fn since_restart(recorded: &Recorded, sides: &Sides, group: &Group) -> Option<String> {
    let history = &recorded.history;
    let restart = |&node: &Node| Some((node, last_restart(history, node)?));
    let restarts: Vec<(Node, Restart)> = group.nodes.iter().map(restart).collect::<Option<_>>()?;
    let lives: Vec<String> =
        restarts.iter().map(|&(node, restart)| restarted(history, node, restart)).collect();
    let file = group.parsed.as_ref().ok()?;
    let only = |&(_, restart): &(Node, Restart)| only_since(recorded, file, restart, sides.order.as_deref());
    let what = match &group.file.content {
        None => "has no file any more and so lacks everything from before its restart".into(),
        Some(_) => {
            let left: Vec<usize> = restarts.iter().map(only).collect::<Option<_>>()?;
            let transfers = count(left.first().copied().unwrap_or(0) as u64, "transfer");
            format!(
                "lacks everything from before its restart and holds only the effects of {transfers} after it"
            )
        }
    };
    let who = if restarts.len() == 1 { "it" } else { "each of them" };
    Some(format!("{who} {what}; {}", lives.join("; ")))
}

/// Which transfers the odd replicas lack, have twice or have in another order.
fn divergence(recorded: &Recorded, sides: &Sides, group: &Group) -> Vec<String> {
    let (Ok(reference), Ok(odd)) = (&sides.reference.parsed, &group.parsed) else { return Vec::new() };
    let Ok(bank) = recorded.workload.model.parse::<BankModel>() else { return Vec::new() };
    divergence::explain(&Question {
        history: &recorded.history,
        bank,
        nodes: &group.nodes,
        odd,
        reference: (reference, list(&sides.reference.nodes)),
        order: sides.order.as_deref(),
    })
}

/// Reference against another, in words.
fn difference(reference: &Group, odd: &Group) -> String {
    let who = list(&odd.nodes);
    match (&reference.parsed, &odd.parsed) {
        _ if odd.file.content.is_none() => format!("no data file on {who}"),
        _ if reference.file.content.is_none() => format!("no data file on {}", list(&reference.nodes)),
        (_, Err(why)) => format!("the file of {who} is no data file ({why})"),
        (Err(why), _) => format!("the file of {} is no data file ({why})", list(&reference.nodes)),
        (Ok(left), Ok(right)) => match unequal(left, right).len() {
            0 if left.time != right.time => "all balances agree, the time lines do not".into(),
            0 => "the same accounts and balances, written differently".into(),
            1 => "1 account differs".into(),
            number => format!("{number} accounts differ"),
        },
    }
}

fn by_name(file: &DataFile) -> BTreeMap<&str, i64> {
    file.balances.iter().map(|(name, balance)| (name.as_str(), *balance)).collect()
}

/// Accounts with the balance on either side, where these differ.
fn unequal<'a>(left: &'a DataFile, right: &'a DataFile) -> Vec<(&'a str, Option<i64>, Option<i64>)> {
    let (left, right) = (by_name(left), by_name(right));
    let names: std::collections::BTreeSet<&str> = left.keys().chain(right.keys()).copied().collect();
    let both = |name| (name, left.get(name).copied(), right.get(name).copied());
    names.into_iter().map(both).filter(|(_, left, right)| left != right).collect()
}

/// Begins what happened to a replica, unless the headline tells it already.
const DURING: &str = "during the run ";

/// What more is known of a group that differs.
fn about(recorded: &Recorded, sides: &Sides, odd: &Group) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(first_line(&sides.reference, odd));
    lines.extend(accounts(&sides.reference, odd));
    lines.extend(contradiction(recorded, odd));
    let lives = odd.nodes.iter().filter_map(|&node| {
        let restart = last_restart(&recorded.history, node)?;
        Some(format!("{DURING}{}", restarted(&recorded.history, node, restart)))
    });
    lines.extend(lives);
    lines.extend(unasked(&recorded.history, &odd.nodes));
    lines
}

fn unasked(history: &History, nodes: &[Node]) -> Vec<String> {
    let exits = history.cluster.iter().filter_map(|event| match &event.what {
        ClusterWhat::Exit { node, asked: false, .. } if nodes.contains(node) => Some((node, event.time)),
        _ => None,
    });
    exits.map(|(node, time)| format!("{node} ended unasked at {}", super::node_life::seconds(time))).collect()
}

/// The first line that differs, decoded.
fn first_line(reference: &Group, odd: &Group) -> Option<String> {
    let (left, right) = (reference.file.content.as_deref()?, odd.file.content.as_deref()?);
    let mut lines = (1..).zip(pairs(left, right));
    let (number, (left, right)) = lines.find(|(_, (left, right))| left != right)?;
    let kind = if number == 1 { "the time line" } else { "an account line" };
    let (here, there) = (list(&reference.nodes), list(&odd.nodes));
    let shown = |line: Option<&[u8]>| line.map_or("nothing".into(), quote);
    Some(format!(
        "first difference in line {number}, {kind}: {} on {here}, {} on {there}",
        shown(left),
        shown(right)
    ))
}

fn pairs<'a>(left: &'a [u8], right: &'a [u8]) -> impl Iterator<Item = (Option<&'a [u8]>, Option<&'a [u8]>)> {
    let mut left = left.split_inclusive(|&byte| byte == b'\n');
    let mut right = right.split_inclusive(|&byte| byte == b'\n');
    std::iter::from_fn(move || match (left.next(), right.next()) {
        (None, None) => None,
        pair => Some(pair),
    })
}

/// At most this many accounts are listed.
const LISTED: usize = 12;

fn accounts(reference: &Group, odd: &Group) -> Vec<String> {
    let (Ok(left), Ok(right)) = (&reference.parsed, &odd.parsed) else { return Vec::new() };
    let (here, there) = (list(&reference.nodes), list(&odd.nodes));
    let differing = unequal(left, right);
    let line = |&(name, left, right): &(&str, Option<i64>, Option<i64>)| {
        let by = match (left, right) {
            (Some(left), Some(right)) => format!(" ({:+})", i128::from(right) - i128::from(left)),
            _ => String::new(),
        };
        let shown = |balance: Option<i64>| balance.map_or("no line".into(), |balance| balance.to_string());
        format!(
            "account {}: {} on {here}, {} on {there}{by}",
            quote(name.as_bytes()),
            shown(left),
            shown(right)
        )
    };
    let mut lines: Vec<String> = differing.iter().take(LISTED).map(line).collect();
    if differing.len() > LISTED {
        lines.push(format!("and {} more", count((differing.len() - LISTED) as u64, "account")));
    }
    lines
}
