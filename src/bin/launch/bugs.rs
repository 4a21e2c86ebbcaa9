//! The options `--bug` and `--bugs`: choosing a planted bug, and listing them all.
//!
//! It must not know what a bug does.

use clap::ValueEnum;
use serde_json::json;

use super::Edition;
use crate::reference::bug::{About, Bug};

/// The options of both programs.
#[derive(Debug, clap::Args)]
pub struct Planted {
    /// Durable only: plant this bug, to see whether a tester catches it. `--bugs` lists them.
    #[arg(long, value_name = "NAME", value_enum, hide_possible_values = true)]
    bug: Option<Bug>,
    /// List the bugs that can be planted, for people or for programs, and end.
    #[arg(long, value_name = "FORMAT", value_enum, num_args = 0..=1, default_missing_value = "text")]
    pub bugs: Option<Format>,
}

/// How the list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A line or two each.
    Text,
    /// An array of objects.
    Json,
}

impl Planted {
    /// Plants what was asked for.
    ///
    /// # Errors
    /// The classic edition has bugs of its own.
    pub fn plant(&self, edition: Edition) -> Result<(), String> {
        match (self.bug, edition) {
            (Some(_), Edition::Classic) => {
                Err("--bug: only the durable edition is right enough to have one planted".into())
            }
            (Some(bug), Edition::Durable) => {
                bug.plant();
                Ok(())
            }
            (None, _) => Ok(()),
        }
    }
}

/// Every bug: name, what is wrong, what it takes, who must see it.
pub fn list(format: Format) -> String {
    let all = Bug::value_variants().iter().map(|bug| (bug.name(), bug.about()));
    match format {
        Format::Text => all.map(|(name, about)| line(&name, &about)).collect::<Vec<_>>().join("\n"),
        Format::Json => {
            let object = |(name, About { what, needs, caught_by }): (String, About)| {
                let needs: Vec<&str> = needs.iter().map(|need| need.name()).collect();
                json!({ "name": name, "what": what, "needs": needs, "caught_by": caught_by })
            };
            json!(all.map(object).collect::<Vec<_>>()).to_string()
        }
    }
}

fn line(name: &str, about: &About) -> String {
    let needs: Vec<&str> = about.needs.iter().map(|need| need.name()).collect();
    let needs = if needs.is_empty() { "no fault".into() } else { format!("{} faults", needs.join(" or ")) };
    format!("{name:<19} {} (needs {needs}; caught by: {})", about.what, about.caught_by.join(" or "))
}
