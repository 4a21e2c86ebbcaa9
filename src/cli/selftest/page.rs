//! The table of a self-test, for a terminal and for `docs/detection.md`.
//!
//! Renders figures and decides nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::figures::{Figures, Row};
use crate::run_dir::write_atomically;

/// Where the page of the project is, below its checkout.
const PAGE: &str = "docs/detection.md";
/// What tells the project's checkout from any other directory.
const CHECKOUT: &str = "workloads/planted_bugs.json";

/// One line a bug, and what they come to.
pub(super) fn table(figures: &Figures) -> String {
    let head = ["bug", "caught", "seeds", "by", "operations", "seconds"].map(String::from);
    let mut rows = vec![head];
    rows.extend(figures.rows.iter().map(cells));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines: Vec<String> = rows.iter().map(line).collect();
    lines.extend(rates(figures));
    lines.join("\n")
}

fn cells(row: &Row) -> [String; 6] {
    let caught = match (row.testable, row.seeds) {
        (false, _) => "not testable here",
        (true, 0) => "not tried",
        (true, _) if row.is_enough() => "yes",
        (true, _) if row.caught > 0 => "sometimes",
        (true, _) => "no",
    };
    let by: Vec<String> = row.by.iter().map(|(name, times)| format!("{name} ({times})")).collect();
    [
        row.bug.name.clone(),
        caught.into(),
        if row.seeds == 0 { String::new() } else { format!("{}/{}", row.caught, row.seeds) },
        by.join(", "),
        row.operations.map_or(String::new(), |count| count.to_string()),
        row.seconds.map_or(String::new(), |seconds| format!("{seconds:.1}")),
    ]
}

fn rates(figures: &Figures) -> Vec<String> {
    let (caught, tried) = figures.detection();
    let mut lines = Vec::new();
    if tried > 0 {
        lines.push(format!(
            "detection rate: {caught} of {tried} runs with a bug ({})",
            percent(caught, tried)
        ));
    }
    let calm: usize = figures.rows.iter().map(|row| row.calm.0).sum();
    if calm > 0 {
        let passed: usize = figures.rows.iter().map(|row| row.calm.1).sum();
        lines.push(format!("without the faults that it needs a bug passed: {passed} of {calm} runs"));
    }
    if figures.correct > 0 {
        let Figures { correct, passed, false_alarms, .. } = figures;
        lines.push(format!(
            "false alarms: {false_alarms} of {correct} correct runs ({}); {passed} were `pass`",
            percent(*false_alarms, *correct)
        ));
    }
    lines
}

fn percent(part: usize, whole: usize) -> String {
    format!("{:.1} %", part as f64 * 100.0 / whole.max(1) as f64)
}

/// The checkout that this runs in, as git names it; told with every result.
pub(super) fn commit() -> String {
    let mut git = Command::new("git");
    git.args(["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]);
    let told = git.stdin(Stdio::null()).stderr(Stdio::null()).output().ok();
    let told = told.filter(|told| told.status.success());
    let text = told.map(|told| String::from_utf8_lossy(&told.stdout).trim().to_owned());
    text.filter(|text| !text.is_empty()).unwrap_or_else(|| "unknown".into())
}

/// Writes `detection.md` into the directory and, where a full self-test ran in the
/// project's checkout, into its docs too.
pub(super) fn write(dir: &Path, figures: &Figures, full: bool) -> io::Result<Vec<PathBuf>> {
    let mut paths = vec![dir.join("detection.md")];
    if full && Path::new(CHECKOUT).is_file() {
        paths.push(PAGE.into());
    }
    let text = markdown(figures);
    paths.iter().try_for_each(|path| write_atomically(path, text.as_bytes()))?;
    Ok(paths)
}

fn markdown(figures: &Figures) -> String {
    let mut text = String::from(HEAD);
    for row in &figures.rows {
        let [name, caught, seeds, by, operations, seconds] = cells(row);
        let calm = if row.calm.0 == 0 { String::new() } else { format!("{}/{}", row.calm.1, row.calm.0) };
        let needs: Vec<&str> = row.bug.needs.iter().map(|family| family.name()).collect();
        let commit = row.commit.clone().unwrap_or_default();
        let cells = [
            name,
            row.bug.what.clone(),
            needs.join(", "),
            caught,
            seeds,
            by,
            operations,
            seconds,
            calm,
            commit,
        ];
        text += &format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
    }
    text.push('\n');
    for line in rates(figures) {
        text += &format!("- {line}\n");
    }
    text
}

const HEAD: &str = "# Detection

Written by `rsm-check selftest`: bugs planted one at a time into the durable edition
(`coord --bugs`), each run against `workloads/planted_bugs.json`, the same for all. Caught
means by a check that must catch it, within 60 s. Operations and seconds are medians of the
runs that caught it, seconds from the start of the process to its verdict. `hidden` counts
runs without the faults that the bug needs, and how many of them passed, as they must.

| bug | what is wrong | needs any of | caught | seeds | by | operations | seconds | hidden | last caught at |
|---|---|---|---|---|---|---|---|---|---|
";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::figures::tests::{bug, found};
    use super::*;
    use crate::fault::Family;
    use crate::verdict::Verdict;

    #[test]
    fn the_table_tells_caught_missed_and_untestable_bugs_apart() {
        let bugs = [bug("a", &[]), bug("b", &[]), bug("c", &[Family::Disk])];
        let trials = [
            found(Some("a"), 2, Verdict::Violation),
            found(Some("b"), 2, Verdict::Pass),
            found(None, 1, Verdict::Pass),
        ];
        let figures = Figures::of(&bugs, &[Family::Disk], &trials, Duration::from_secs(60));
        let table = table(&figures);
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[1].starts_with("a    yes") && lines[1].contains("1/1"), "{table}");
        assert!(lines[1].ends_with("linearizable (1)  20          2.0"), "{table}");
        assert!(lines[2].starts_with("b    no") && lines[2].ends_with("0/1"), "{table}");
        assert!(lines[3].ends_with("not testable here"), "{table}");
        assert!(table.contains("detection rate: 1 of 2 runs with a bug (50.0 %)"), "{table}");
        assert!(table.contains("false alarms: 0 of 1 correct runs (0.0 %); 1 were `pass`"), "{table}");
        let page = markdown(&figures);
        assert!(
            page.contains("| a | something |  | yes | 1/1 | linearizable (1) | 20 | 2.0 |  | c2 |"),
            "{page}"
        );
    }
}
