//! From a file to a [`Workload`], or to an error that points into the file.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::error::WorkloadError;
use super::{Workload, validate};

/// A workload file is written by hand; one larger than this is another file.
const LARGEST: u64 = 16 << 20;

/// Reads, parses and validates a workload file.
pub fn load(path: &Path) -> Result<Workload, WorkloadError> {
    let file = path.display().to_string();
    let unreadable = |why: std::io::Error| WorkloadError::unreadable(&file, &why);
    let text = read(path).map_err(unreadable)?;
    parse(&file, &text)
}

/// Bounded: a device has no length to look at. Pipes are fine, shells make workloads so.
fn read(path: &Path) -> io::Result<String> {
    let other = |why| io::Error::other(format!("{why}; accepted: a JSON workload file"));
    if std::fs::metadata(path)?.is_dir() {
        return Err(other("it is a directory"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(other("it is larger than 16 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| other("it is not UTF-8"))
}

/// An error about a field of a workload file that only the machine could show,
/// such as a program that is not there; points into the file like the others.
pub fn refuse(path: &Path, field: &str, message: String) -> WorkloadError {
    // Without its text the message still names file and field.
    // A pipe has been read already.
    let is_file = std::fs::metadata(path).is_ok_and(|meta| meta.is_file());
    let text = if is_file { read(path).unwrap_or_default() } else { String::new() };
    WorkloadError::at(&path.display().to_string(), &text, field, message)
}

/// Parses and validates the text of a workload; `file` is named in errors.
pub fn parse(file: &str, text: &str) -> Result<Workload, WorkloadError> {
    let mut json = serde_json::Deserializer::from_str(text);
    let workload: Workload =
        serde_path_to_error::deserialize(&mut json).map_err(|error| typed(file, text, error))?;
    json.end().map_err(|error| positioned(file, text, "", &error))?;
    validate::validate(&workload)
        .map_err(|found| WorkloadError::at(file, text, &found.field, found.message))?;
    Ok(workload)
}

fn typed(file: &str, text: &str, error: serde_path_to_error::Error<serde_json::Error>) -> WorkloadError {
    let field = match error.path().to_string() {
        path if path == "." => String::new(),
        path => path,
    };
    positioned(file, text, &field, error.inner())
}

fn positioned(file: &str, text: &str, field: &str, error: &serde_json::Error) -> WorkloadError {
    let message = error.to_string();
    let message = match message.rfind(" at line ") {
        Some(end) => message[..end].to_string(),
        None => message,
    };
    let message =
        if error.is_syntax() || error.is_eof() { format!("not valid JSON: {message}") } else { message };
    WorkloadError::at_position(file, text, field, message, error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, expected: &[&str]) {
        let error = parse("w.json", text).expect_err("should be refused").to_string();
        for part in expected {
            assert!(error.contains(part), "`{part}` is not in:\n{error}");
        }
    }

    #[test]
    fn an_unknown_field_is_named_with_the_accepted_ones() {
        refused(
            "{\"name\":\"x\",\n\"duration\":\"1s\",\n\"clients\":{\"cuont\":3}}",
            &["w.json:3", "clients.cuont", "unknown field `cuont`", "`count`"],
        );
    }

    #[test]
    fn a_wrong_type_is_named_with_what_was_found() {
        refused(
            r#"{"name":"x","duration":"1s","clients":{"count":"many"}}"#,
            &["clients.count", "string \"many\"", "expected u32"],
        );
    }

    #[test]
    fn an_impossible_duration_is_refused_with_what_is_accepted() {
        refused(r#"{"name":"x","duration":"20"}"#, &["`duration`", "accepted", "20s"]);
        refused(r#"{"name":"x","duration":20}"#, &["`duration`", "integer `20`", "span of time"]);
        refused(r#"{"name":"x","duration":"0s"}"#, &["`duration`", "longer than 0"]);
    }

    #[test]
    fn zero_clients_are_refused() {
        refused(
            r#"{"name":"x","duration":"1s","clients":{"count":0}}"#,
            &["`clients.count`", "found 0", "1 to"],
        );
    }

    #[test]
    fn a_target_that_does_not_exist_is_refused() {
        refused(
            r#"{"name":"x","duration":"1s","nemesis":[{"fault":"kill","target":"srv-7","every":"1s"}]}"#,
            &["`nemesis[0].target`", "srv-7", "3 replicas"],
        );
        refused(
            r#"{"name":"x","duration":"1s","nemesis":[{"fault":"kil","target":"srv-1","every":"1s"}]}"#,
            &["nemesis[0].fault", "unknown variant `kil`", "`kill`"],
        );
    }

    #[test]
    fn what_is_not_json_is_refused() {
        refused("", &["not valid JSON"]);
        refused("{\"name\": \"x\"", &["not valid JSON"]);
        refused("name: x", &["not valid JSON", "w.json:1"]);
        refused(r#"{"name":"x","duration":"1s"} trailing"#, &["not valid JSON"]);
    }

    #[test]
    fn a_rule_says_exactly_once_when() {
        refused(
            r#"{"name":"x","duration":"1s","nemesis":[{"fault":"kill","target":"one"}]}"#,
            &["`nemesis[0]`", "`every`, `at` and `when`"],
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load(Path::new("no/such.json")).unwrap_err().to_string();
        assert!(error.contains("no/such.json") && error.contains("cannot be read"), "{error}");
    }
}
