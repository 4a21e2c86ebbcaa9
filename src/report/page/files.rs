//! The replicas' files side by side, with the lines that differ marked.
//!
//! Accounts are set against each other where all files can be parsed, lines
//! otherwise. Bounded: lines that differ come first when there are many. Renders
//! only; who is right is said elsewhere.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::history::data_file::{DataFile, parse_data_file};
use crate::recorded::ReplicaFile;
use crate::report::text::{one_line, shorten};

/// Rows of the table; more are counted, not shown.
const ROWS: usize = 200;
/// Characters of one cell.
const CELL: usize = 120;

struct Row {
    name: String,
    cells: Vec<Option<String>>,
}

impl Row {
    fn differs(&self) -> bool {
        self.cells.windows(2).any(|pair| pair[0] != pair[1])
    }
}

/// The table.
pub fn draw(files: &[ReplicaFile]) -> Markup {
    if files.iter().all(|file| file.content.is_none() && file.unreadable.is_none()) {
        return html! { p { "No replica has a data file." } };
    }
    let mut rows = rows(files);
    let all = rows.len();
    if all > ROWS {
        rows.sort_by_key(|row| !row.differs());
        rows.truncate(ROWS);
    }
    html! {
        div.wide tabindex="0" role="group" aria-label="Files of the replicas" {
            table.files {
                thead { tr { th scope="col" { "Line" } @for file in files { (head(file)) } } }
                tbody { @for row in &rows { (draw_row(row)) } }
            }
        }
        @if all > rows.len() { p.quiet { "Lines that differ come first; " (all - rows.len()) " more are not shown." } }
    }
}

fn head(file: &ReplicaFile) -> Markup {
    let state = match (&file.unreadable, &file.content) {
        (Some(why), _) => format!("not read: {}", one_line(why)),
        (None, None) => "no file".into(),
        (None, Some(bytes)) => format!("{} bytes", bytes.len()),
    };
    html! { th scope="col" { (file.node) br; span.quiet { (state) } } }
}

fn draw_row(row: &Row) -> Markup {
    let class = if row.differs() { "differs" } else { "same" };
    html! {
        tr class=(class) {
            th scope="row" { @if row.differs() { span title="differs" { "\u{2260} " } } (cell(&row.name)) }
            @for value in &row.cells {
                td { @match value { Some(value) => (cell(value)), None => span.quiet { "no such line" } } }
            }
        }
    }
}

fn cell(text: &str) -> String {
    shorten(&one_line(text), CELL)
}

fn rows(files: &[ReplicaFile]) -> Vec<Row> {
    let parsed: Option<Vec<Option<DataFile>>> = files.iter().map(parsed).collect();
    let by_account = parsed.map(|parsed| by_account(&parsed));
    let bytes_differ = files.windows(2).any(|pair| pair[0].content != pair[1].content);
    match by_account {
        Some(rows) if !bytes_differ || rows.iter().any(Row::differs) => rows,
        _ => by_line(files),
    }
}

/// `None` if it is no data file; a missing one has no lines.
fn parsed(file: &ReplicaFile) -> Option<Option<DataFile>> {
    match &file.content {
        None => Some(None),
        Some(bytes) => parse_data_file(bytes).ok().map(Some),
    }
}

fn by_account(files: &[Option<DataFile>]) -> Vec<Row> {
    let time = |file: &Option<DataFile>| file.as_ref().map(|file| file.time.clone());
    let mut accounts: BTreeMap<&str, Vec<Option<String>>> = BTreeMap::new();
    for (column, file) in files.iter().enumerate() {
        for (name, balance) in file.iter().flat_map(|file| &file.balances) {
            accounts.entry(name).or_insert_with(|| vec![None; files.len()])[column] =
                Some(balance.to_string());
        }
    }
    let mut rows = vec![Row { name: "time".into(), cells: files.iter().map(time).collect() }];
    rows.extend(accounts.into_iter().map(|(name, cells)| Row { name: name.into(), cells }));
    rows
}

fn by_line(files: &[ReplicaFile]) -> Vec<Row> {
    let lines = |file: &ReplicaFile| -> Vec<String> {
        let bytes = file.content.as_deref().unwrap_or_default();
        bytes.split_inclusive(|&byte| byte == b'\n').map(|line| line.escape_ascii().to_string()).collect()
    };
    let columns: Vec<Vec<String>> = files.iter().map(lines).collect();
    let most = columns.iter().map(Vec::len).max().unwrap_or(0);
    let row = |at: usize| Row {
        name: format!("line {}", at + 1),
        cells: columns.iter().map(|column| column.get(at).cloned()).collect(),
    };
    (0..most).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Node;

    fn table(contents: &[Option<&str>]) -> String {
        let file =
            |(node, text): (u16, &Option<&str>)| ReplicaFile::new(Node::Srv(node), text.map(Into::into));
        draw(&(1..).zip(contents).map(file).collect::<Vec<_>>()).into_string()
    }

    #[test]
    fn accounts_stand_side_by_side_and_differing_ones_are_marked() {
        let table = table(&[Some("# t\na 95\nb 105\n"), Some("# t\nb 105\n"), None]);
        assert_eq!(table.matches(r#"<tr class="differs">"#).count(), 3, "{table}");
        assert!(table.contains("no such line") && table.contains("no file"), "{table}");
    }

    #[test]
    fn files_that_only_look_alike_are_compared_line_by_line() {
        let table = table(&[Some("# t\na 95\nb 105\n"), Some("# t\nb 105\na 95\n")]);
        assert_eq!(table.matches(r#"<tr class="differs">"#).count(), 2, "{table}");
        assert!(table.contains("line 2"), "{table}");
    }

    #[test]
    fn of_many_lines_those_that_differ_are_shown() {
        let file = |odd: &str| {
            let lines: String = (0..5000).map(|number| format!("x{number:05} 100\n")).collect();
            format!("# t\n{lines}z {odd}\n")
        };
        let table = table(&[Some(&file("1")), Some(&file("2"))]);
        assert!(table.contains("<td>1</td><td>2</td>") && table.contains("4802 more"), "{}", table.len());
    }
}
