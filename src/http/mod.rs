//! What one request is made of, whoever speaks it: faults, deadlines, bodies, paths, fields.

pub mod deadline;
pub mod fault;
