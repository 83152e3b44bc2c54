//! A year in a test: the functions on an emulated region, with people, faults and crashes drawn from a seed.

mod functions;
mod invocation;
mod network;
