//! Stories over the whole product: real function processes, real SFTP, the template's wiring. Every story starts its
//! own region on free ports and waits for conditions, never for a time.

mod adoption;
mod auth;
mod bill;
mod burst;
mod check;
mod command_line;
mod crash;
mod drift;
mod dry_run;
mod faults;
mod idle;
mod isolation;
mod kept;
mod orders;
mod permissions;
mod reach;
mod refusals;
mod sessions;
mod sleep;
mod story;
mod support;
mod wiring;
