//! Receivers: sockets in, batches out.
