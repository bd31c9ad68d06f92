//! `weir import` and `weir export`: rules of others as a pack, packs as others read them.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

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

/// Print what others need to know of packs: a dashboard for Grafana, alerting rules for Prometheus
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  weir export grafana > weir.json
  weir export prometheus-rules my-pack.yaml > weir.rules.yml")]
pub struct Export {
    #[arg(value_enum)]
    pub what: ExportOf,
    /// Packs, in order: paths, or ids of those that are compiled in
    #[arg(value_name = "PACK", default_value = "heroku")]
    pub packs: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ExportOf {
    Grafana,
    PrometheusRules,
}

fn id(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let fits =
        text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(good);
    if fits { Ok(text.into()) } else { Err("1 to 64 of `a-z`, `0-9` and `_`, a letter first".into()) }
}
