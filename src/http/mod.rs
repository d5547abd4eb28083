//! What one request is made of, whoever speaks it: faults, deadlines, bodies, paths, fields.

pub mod body;
pub mod connection;
pub mod deadline;
pub mod exchange;
pub mod fault;
pub mod fields;
pub mod forwarded;
pub mod hop;
pub mod page;
pub mod path;
pub mod placeholder;
pub mod prefix;
pub mod proxy_protocol;
pub mod ranges;
pub mod readings;
pub mod replacement;
pub mod rooted;
pub mod sent;
pub mod step;
pub mod target;
pub mod template;
pub mod tunnel;
pub mod vary;
