//! What others need to know of packs, as files: alerting rules for Prometheus, a dashboard for Grafana.
//!
//! Both ask for what `/metrics` shows and nothing else; what stands under `deploy/` is what is written here.

pub mod grafana;
pub mod rules;
