//! What the fields of a workload must be beyond their types.
//!
//! Each rule names the field, what was found and what is accepted. Nothing is
//! looked up on the machine here: a workload is valid or not wherever it is read.

use std::time::Duration;

use super::{Accounts, FaultRule, NodeLaunch, Span, Target, Workload, clock, disk, network, process};
use crate::fault::{Family, FaultKind, Node};

/// A broken rule.
#[derive(Debug)]
pub(super) struct Found {
    pub field: String,
    pub message: String,
}

pub(super) type Rule = Result<(), Found>;

pub(super) fn refuse(field: impl Into<String>, message: impl Into<String>) -> Rule {
    Err(Found { field: field.into(), message: message.into() })
}

/// Judges the whole workload; the first broken rule is told.
pub(super) fn validate(workload: &Workload) -> Rule {
    length(workload)?;
    cluster(workload)?;
    clients(workload)?;
    script(workload)?;
    for (number, rule) in workload.nemesis.list().iter().enumerate() {
        fault(workload, rule, &format!("nemesis[{number}]"))?;
    }
    budgets(workload)
}

fn length(workload: &Workload) -> Rule {
    if let Some(duration) = workload.duration {
        positive("duration", duration)?;
    }
    if workload.operations == Some(0) {
        return refuse("operations", "found 0; accepted: at least 1");
    }
    if !workload.script.is_empty() && workload.operations.is_some() {
        return refuse(
            "operations",
            "a script already says how many operations there are; give one of the two",
        );
    }
    if workload.duration.is_none() && workload.operations.is_none() && workload.script.is_empty() {
        return refuse("", "nothing says when the run ends; give `duration`, `operations` or `script`");
    }
    Ok(())
}

fn positive(field: &str, span: Span) -> Rule {
    if span.0 == Duration::ZERO {
        return refuse(field, "found 0s; accepted: longer than 0");
    }
    Ok(())
}

pub(super) fn within<T: PartialOrd + std::fmt::Display>(field: &str, found: T, least: T, most: T) -> Rule {
    if found < least || found > most {
        return refuse(field, format!("found {found}; accepted: {least} to {most}"));
    }
    Ok(())
}

fn cluster(workload: &Workload) -> Rule {
    within("cluster.replicas", workload.cluster.replicas, 1, 9)?;
    launch("cluster.srv", &workload.cluster.srv, &["data", "dir", "name"], "data")?;
    launch("cluster.coord", &workload.cluster.coord, &["ports", "dir", "name"], "ports")
}

fn launch(field: &str, launch: &NodeLaunch, known: &[&str], needed: &str) -> Rule {
    if let Some(command) = &launch.command {
        let found = check_command(command, known, needed);
        found.or_else(|message| refuse(format!("{field}.command"), message))?;
    }
    match regex::Regex::new(&launch.ready) {
        Err(why) => return refuse(format!("{field}.ready"), format!("is no regular expression: {why}")),
        Ok(pattern) if pattern.captures_len() < 2 => {
            return refuse(
                format!("{field}.ready"),
                r"has no group for the port; accepted: such as `port (\d+)`",
            );
        }
        Ok(_) => {}
    }
    positive(&format!("{field}.start_ceiling"), launch.start_ceiling)
}

/// Whether a command can be split into words and holds the placeholders it needs.
pub(crate) fn check_command(command: &str, known: &[&str], needed: &str) -> Result<(), String> {
    let words = shell_words::split(command)
        .map_err(|why| format!("`{command}` cannot be split into words: {why}"))?;
    if words.is_empty() {
        return Err("the command is empty; accepted: a program and its arguments".into());
    }
    let accepted: Vec<String> = known.iter().map(|name| format!("{{{name}}}")).collect();
    let accepted = accepted.join(" ");
    for name in words.iter().flat_map(|word| placeholders(word)) {
        if !known.contains(&name) {
            return Err(format!("unknown placeholder `{{{name}}}` in `{command}`; accepted: {accepted}"));
        }
    }
    if !words.iter().flat_map(|word| placeholders(word)).any(|name| name == needed) {
        return Err(format!("`{command}` lacks the placeholder `{{{needed}}}`; accepted: {accepted}"));
    }
    if words.iter().any(|word| word.contains("{ports}") && word != "{ports}") {
        return Err(format!(
            "`{{ports}}` in `{command}` must be a word of its own: it becomes one argument per replica"
        ));
    }
    Ok(())
}

/// The names between braces in a word, such as `data` in `--file={data}`.
fn placeholders(word: &str) -> impl Iterator<Item = &str> {
    word.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name)
}

fn clients(workload: &Workload) -> Rule {
    let clients = &workload.clients;
    within("clients.count", clients.count, 1, 1000)?;
    if let Some(rate) = clients.rate {
        within("clients.rate", rate, 0.01, 100_000.0)?;
    }
    positive("clients.deadline", clients.deadline)?;
    let weights = u64::from(clients.mix.transfer) + u64::from(clients.mix.read);
    if weights == 0 {
        return refuse("clients.mix", "every share is 0; accepted: at least one share above 0");
    }
    within("clients.skew", clients.skew, 0.0, 5.0)?;
    within("clients.split", clients.split, 0.0, 1.0)?;
    if let Some(bad) = clients.bad {
        within("clients.bad", bad, 0.01, 1000.0)?;
    }
    if let Some(burst) = clients.burst {
        positive("clients.burst.every", burst.every)?;
        positive("clients.burst.for", burst.lasts)?;
        if clients.rate.is_none() {
            return refuse("clients.burst", "clients without a `rate` are always as fast as replies come");
        }
    }
    if clients.amounts.min > clients.amounts.max {
        let message = format!(
            "found min {} above max {}; accepted: min at most max",
            clients.amounts.min, clients.amounts.max
        );
        return refuse("clients.amounts", message);
    }
    accounts(&clients.accounts)
}

fn accounts(accounts: &Accounts) -> Rule {
    match accounts {
        Accounts::Count(count) => within("clients.accounts", *count, 2, 1000),
        Accounts::Names(names) => {
            within("clients.accounts", names.len(), 2, 1000)?;
            for (number, name) in names.iter().enumerate() {
                account(&format!("clients.accounts[{number}]"), name)?;
                if names[..number].contains(name) {
                    return refuse(format!("clients.accounts[{number}]"), format!("`{name}` is named twice"));
                }
            }
            Ok(())
        }
    }
}

/// Account names travel between single spaces on one line of ASCII.
fn account(field: &str, name: &str) -> Rule {
    let fits = (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_graphic())
        && !name.starts_with('#');
    if fits {
        return Ok(());
    }
    refuse(
        field,
        format!(
            "{name:?} is no account; accepted: 1 to 64 printable ASCII characters without spaces, not beginning with #"
        ),
    )
}

fn script(workload: &Workload) -> Rule {
    for (number, operation) in workload.script.iter().enumerate() {
        let field = format!("script[{number}]");
        account(&format!("{field}.from"), &operation.from)?;
        account(&format!("{field}.to"), &operation.to)?;
        if operation.client >= workload.clients.count {
            let count = workload.clients.count;
            let message = format!(
                "found {}; accepted: 0 to {} (`clients.count` is {count})",
                operation.client,
                count - 1
            );
            return refuse(format!("{field}.client"), message);
        }
    }
    Ok(())
}

fn fault(workload: &Workload, rule: &FaultRule, field: &str) -> Rule {
    let times = [rule.every.is_some(), rule.at.is_some(), rule.when.is_some()];
    if times.iter().filter(|given| **given).count() != 1 {
        return refuse(field, "exactly one of `every`, `at` and `when` says when the fault comes");
    }
    if let Some(every) = rule.every {
        within(&format!("{field}.every"), every, Span(Duration::from_millis(10)), Span::seconds(86_400))?;
    }
    if let Some(event) = &rule.when {
        process::event(workload, event, &format!("{field}.when"))?;
    }
    process::window(workload, rule, field)?;
    if let (Some(at), Some(duration)) = (rule.at, workload.duration)
        && at >= duration
    {
        let message = format!("found {at}, but clients run for {duration}; accepted: earlier");
        return refuse(format!("{field}.at"), message);
    }
    positive(&format!("{field}.for"), rule.lasts)?;
    fields(rule, field)?;
    match &rule.target {
        Some(found) => target(workload, found, field)?,
        None if rule.fault == FaultKind::Partition => {}
        None => return refuse(field, format!("a `{}` needs `target`, such as \"one\"", rule.fault)),
    }
    match rule.fault.family() {
        Family::Process => process::validate(rule, field),
        Family::Network => network::validate(workload, rule, field),
        Family::Clock => clock::validate(rule, field),
        Family::Disk => disk::validate(rule, field),
    }
}

/// What every rule may say.
const COMMON: [&str; 8] = ["fault", "every", "spread", "from", "until", "at", "when", "for"];

/// A field that the fault does not take would do nothing, silently.
fn fields(rule: &FaultRule, field: &str) -> Rule {
    let accepted = match rule.fault.family() {
        Family::Process => process::fields(rule.fault),
        Family::Network => network::fields(rule.fault),
        Family::Clock => clock::fields(rule.fault),
        Family::Disk => disk::fields(rule.fault),
    };
    // Plain data with string keys: it always becomes an object of what is given.
    let Ok(serde_json::Value::Object(given)) = serde_json::to_value(rule) else { return Ok(()) };
    match given.keys().find(|name| !COMMON.contains(&name.as_str()) && !accepted.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => refuse(
            format!("{field}.{name}"),
            format!("has no meaning for `{}`, which takes {}", rule.fault, accepted.join(", ")),
        ),
    }
}

fn target(workload: &Workload, target: &Target, field: &str) -> Rule {
    let replicas = workload.cluster.replicas;
    let field = format!("{field}.target");
    match target {
        Target::Named(nodes) => {
            for node in nodes {
                if matches!(node, Node::Srv(number) if *number > replicas) {
                    let message = format!(
                        "found {node}, but the cluster has {replicas} replicas; accepted: coord, srv-1 to srv-{replicas}"
                    );
                    return refuse(field, message);
                }
            }
            Ok(())
        }
        Target::Minority if replicas < 3 => refuse(
            field,
            format!("{replicas} replicas have no minority; accepted: 3 or more `cluster.replicas`, or `one`"),
        ),
        _ => Ok(()),
    }
}

fn budgets(workload: &Workload) -> Rule {
    positive("budgets.check", workload.budgets.check)?;
    positive("budgets.settle", workload.budgets.settle)?;
    positive("budgets.stop", workload.budgets.stop)?;
    within("budgets.memory_mib", workload.budgets.memory_mib, 16, 1 << 20)?;
    within(
        "checks.available_window",
        workload.checks.available_window,
        Span(Duration::from_millis(100)),
        Span::seconds(3600),
    )
}

#[cfg(test)]
mod tests {
    use super::check_command;

    #[test]
    fn a_command_names_its_placeholders_and_nothing_else() {
        let known = ["ports", "dir", "name"];
        assert!(check_command("coord --x='a b' {ports}", &known, "ports").is_ok());
        for (command, part) in [
            ("coord", "lacks"),
            ("coord {prots} {ports}", "unknown placeholder"),
            ("coord --ports={ports}", "word of its own"),
            ("coord 'unfinished {ports}", "cannot be split"),
            ("", "empty"),
        ] {
            let error = check_command(command, &known, "ports").unwrap_err();
            assert!(error.contains(part), "{command}: {error}");
        }
    }
}
