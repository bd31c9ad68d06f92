//! `weir import`: rules of others as a pack.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Make a pack of rules of others
#[derive(Args, Debug)]
#[command(after_help = "Example:
  weir import sigma rules/linux --out sigma.yaml")]
pub struct Import {
    #[command(subcommand)]
    pub of: ImportOf,
}

#[derive(Debug, Subcommand)]
pub enum ImportOf {
    /// Print a pack of Sigma rules, an alert each; what cannot be evaluated is left out, and told on standard error
    #[command(after_help = "Examples:
  weir import sigma rules/linux --out sigma.yaml && weir check sigma.yaml
  weir import sigma one-rule.yml --id ours

Alerts are off, and `each` matching event is one. Fields are read from JSON bodies; a pack of your own may extract more.")]
    Sigma {
        /// A rule, or a folder: all .yml and .yaml below it
        path: PathBuf,
        /// Write the pack to this file
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// The pack's id
        #[arg(long, value_name = "ID", default_value = "sigma", value_parser = id)]
        id: String,
    },
}

fn id(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let fits =
        text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(good);
    if fits { Ok(text.into()) } else { Err("1 to 64 of `a-z`, `0-9` and `_`, a letter first".into()) }
}
