//! From a command in the workload to a program, arguments and environment.
//!
//! No shell is run. The reference system is looked for beside the running
//! `rsm-check` and nowhere else; what a user names is looked up as a shell would.
//! Starts nothing.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::fault::Node;
use crate::workload::{Edition, NodeLaunch, Workload};

/// A program that is not where it was looked for; input that the user can mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{role}: {problem}")]
pub struct LaunchError {
    /// `srv` or `coord`.
    pub role: &'static str,
    /// What was looked for, where, and what to do.
    pub problem: String,
}

/// A command that is ready but for its placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The program's file.
    pub program: PathBuf,
    words: Vec<String>,
    /// Variables added to the caller's environment.
    pub env: BTreeMap<String, String>,
}

/// What the placeholders stand for.
#[derive(Debug, Clone)]
pub struct Placeholders {
    /// Data file of a replica, absolute.
    pub data: PathBuf,
    /// Directory private to the node, absolute.
    pub dir: PathBuf,
    /// The node.
    pub name: Node,
    /// Ports of the replicas' proxies.
    pub ports: Vec<u16>,
}

impl Launch {
    /// The command for replicas, as the workload says or by default.
    pub fn srv(workload: &Workload) -> Result<Self, LaunchError> {
        Self::resolve("srv", &workload.cluster.srv, workload.cluster.edition, "{data}")
    }

    /// The command for the coordinator, as the workload says or by default.
    pub fn coord(workload: &Workload) -> Result<Self, LaunchError> {
        Self::resolve("coord", &workload.cluster.coord, workload.cluster.edition, "{ports}")
    }

    fn resolve(
        role: &'static str,
        launch: &NodeLaunch,
        edition: Edition,
        needed: &str,
    ) -> Result<Self, LaunchError> {
        let fail = |problem| LaunchError { role, problem };
        let (program, words) = match &launch.command {
            None => (sibling(role).map_err(fail)?, default_words(edition, needed)),
            Some(command) => {
                let words = shell_words::split(command).map_err(|why| fail(format!("`{command}`: {why}")))?;
                let (first, rest) =
                    words.split_first().ok_or_else(|| fail("the command is empty; name a program".into()))?;
                (look_up(first).map_err(fail)?, rest.to_vec())
            }
        };
        Ok(Self { program, words, env: launch.env.clone() })
    }

    /// Program and arguments, placeholders as they stand.
    pub fn words(&self) -> Vec<String> {
        std::iter::once(self.program.to_string_lossy().into_owned())
            .chain(self.words.iter().cloned())
            .collect()
    }

    /// The arguments with every placeholder filled in.
    pub fn arguments(&self, with: &Placeholders) -> Vec<OsString> {
        let mut arguments = Vec::new();
        for word in &self.words {
            match word.as_str() {
                "{ports}" => arguments.extend(with.ports.iter().map(|port| port.to_string().into())),
                _ => arguments.push(fill(word, with)),
            }
        }
        arguments
    }
}

impl fmt::Display for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shell_words::join(self.words()))
    }
}

/// Replaces placeholders in one pass, so that a path that looks like one stays.
fn fill(word: &str, with: &Placeholders) -> OsString {
    let mut filled = OsString::new();
    let mut rest = word;
    while let Some(open) = rest.find('{') {
        filled.push(&rest[..open]);
        rest = &rest[open..];
        let known: [(&str, OsString); 3] = [
            ("{data}", with.data.clone().into()),
            ("{dir}", with.dir.clone().into()),
            ("{name}", with.name.to_string().into()),
        ];
        match known.into_iter().find(|(name, _)| rest.starts_with(name)) {
            Some((name, value)) => {
                filled.push(value);
                rest = &rest[name.len()..];
            }
            None => {
                filled.push("{");
                rest = &rest[1..];
            }
        }
    }
    filled.push(rest);
    filled
}

fn default_words(edition: Edition, needed: &str) -> Vec<String> {
    let edition = match edition {
        Edition::Classic => "classic",
        Edition::Durable => "durable",
    };
    vec!["--edition".into(), edition.into(), needed.into()]
}

/// The reference system stands beside this program, through a symbolic link too.
fn sibling(role: &str) -> Result<PathBuf, String> {
    let me =
        std::env::current_exe().map_err(|why| format!("cannot tell where rsm-check itself is: {why}"))?;
    let beside = me.with_file_name(role);
    if is_program(&beside) {
        return Ok(beside);
    }
    Err(format!(
        "the reference program is not beside rsm-check (looked for {}); install it with \
         `cargo install --locked --path .`, or name a program with --{role} 'COMMAND' or `cluster.{role}.command`",
        beside.display()
    ))
}

/// A name with a slash is a path from the caller's directory, another is in PATH.
fn look_up(name: &str) -> Result<PathBuf, String> {
    if name.contains('/') {
        let path = std::path::absolute(name).map_err(|why| format!("`{name}`: {why}"))?;
        return if is_program(&path) {
            Ok(path)
        } else {
            Err(format!(
                "`{name}` is no program that can be run (looked at {}); name an executable file",
                path.display()
            ))
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|candidate| is_program(candidate))
        .ok_or_else(|| format!("`{name}` is not in PATH; name an installed program, or a path with a slash"))
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placeholders() -> Placeholders {
        Placeholders {
            data: "/run/{name}/data".into(),
            dir: "/run/d".into(),
            name: Node::Srv(1),
            ports: vec![10, 20],
        }
    }

    fn launch(command: &str) -> Result<Launch, LaunchError> {
        let launch = NodeLaunch { command: Some(command.into()), ..NodeLaunch::default() };
        Launch::resolve("srv", &launch, Edition::Durable, "{data}")
    }

    #[test]
    fn placeholders_are_filled_once_and_ports_become_arguments() {
        let launch = launch("sh -c 'echo \"{name}\"' --data={data} {ports} {other}").unwrap();
        let arguments = launch.arguments(&placeholders());
        let expected = ["-c", "echo \"srv-1\"", "--data=/run/{name}/data", "10", "20", "{other}"];
        assert_eq!(arguments, expected.map(OsString::from));
    }

    #[test]
    fn a_missing_program_is_named_with_what_to_do() {
        let error = launch("no-such-program {data}").unwrap_err().to_string();
        assert!(error.contains("no-such-program") && error.contains("PATH"), "{error}");
        let error = launch("./no/such {data}").unwrap_err().to_string();
        assert!(error.contains("./no/such") && error.contains("executable"), "{error}");
    }

    #[test]
    fn the_reference_system_is_never_taken_from_the_path() {
        let error = sibling("ls").unwrap_err();
        assert!(error.contains("beside rsm-check") && error.contains("--ls"), "{error}");
    }
}
