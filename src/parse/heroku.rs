//! What is known of Heroku, as tables.

use crate::event::{FieldId, KindId};

/// Kinds of message, by `KindId`.
pub const KINDS: &[&str] = &[
    "other",
    "app",
    "router",
    "api",
    "build",
    "addon_metric",
    "postgres_log",
    "redis_log",
    "runtime_load",
    "runtime_memory",
    "error_code",
    "upstream_loss",
    "dyno_state",
    "dyno_start",
    "dyno_exit",
    "dyno_memory",
    "dyno_lifecycle",
];

pub const OTHER: KindId = KindId(0);
pub const APP: KindId = KindId(1);
pub const ROUTER: KindId = KindId(2);
pub const API: KindId = KindId(3);
pub const BUILD: KindId = KindId(4);
pub const ADDON_METRIC: KindId = KindId(5);
pub const POSTGRES_LOG: KindId = KindId(6);
pub const REDIS_LOG: KindId = KindId(7);
pub const RUNTIME_LOAD: KindId = KindId(8);
pub const RUNTIME_MEMORY: KindId = KindId(9);
pub const ERROR_CODE: KindId = KindId(10);
pub const UPSTREAM_LOSS: KindId = KindId(11);
pub const DYNO_STATE: KindId = KindId(12);
pub const DYNO_START: KindId = KindId(13);
pub const DYNO_EXIT: KindId = KindId(14);
pub const DYNO_MEMORY: KindId = KindId(15);
pub const DYNO_LIFECYCLE: KindId = KindId(16);

/// Field names that the tables below use, by `FieldId`.
pub const FIELDS: &[&str] = &["at", "code", "lost", "status"];

pub const AT: FieldId = FieldId(0);
pub const CODE: FieldId = FieldId(1);
pub const LOST: FieldId = FieldId(2);
pub const STATUS: FieldId = FieldId(3);
