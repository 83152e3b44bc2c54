//! Wharfinger's region on a laptop: it runs the real functions, wired as `infra/template.yaml` says, on the emulated
//! services.

pub mod data_dir;
pub mod gateway;
pub mod lambda;
pub mod options;
pub mod region;
pub mod rules;
pub mod seed;
pub mod template;
pub mod wiring;
