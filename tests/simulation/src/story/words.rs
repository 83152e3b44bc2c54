//! Acts in words, as diaries and failing stories tell them.

use std::fmt;

use wharfinger_decisions::server::Power;

use super::{Act, Idle, Record, SERVERS, SITES, USERS};

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |server: &usize, user: &usize| format!("{} of {}", USERS[*user], SERVERS[*server]);
        match self {
            Self::PutServer { server, idle, cidr } => {
                let idle = match idle {
                    Idle::Stays => "never closed",
                    Idle::Stops => "stopped when idle",
                    Idle::Sleeps => "asleep when idle",
                };
                write!(f, "an operator puts the server {} ({idle}, addresses {cidr})", SERVERS[*server])
            }
            Self::Power { server, power, now } => {
                let now = if *now { " now" } else { "" };
                write!(f, "an operator wants the server {} {}{now}", SERVERS[*server], word(*power))
            }
            Self::Contest { server, powers: [one, other] } => {
                let (one, other) = (word(*one), word(*other));
                write!(f, "one operator wants the server {} {one}, and another {other}", SERVERS[*server])
            }
            Self::Touch { server, touch } => write!(f, "somebody gives {} {touch:?} in the console", SERVERS[*server]),
            Self::DeleteServer { server } => write!(f, "an operator deletes the server {}", SERVERS[*server]),
            Self::PutUser { server, user, key, site } => {
                write!(f, "an operator puts the user {} with key {key} at site {}", of(server, user), SITES[*site])
            }
            Self::DeleteUser { server, user } => write!(f, "an operator deletes the user {}", of(server, user)),
            Self::PutSite { site, quiet_seconds, service } => {
                write!(f, "an operator puts the site {} ({quiet_seconds} s, service {service})", SITES[*site])
            }
            Self::DeleteSite { site } => write!(f, "an operator deletes the site {}", SITES[*site]),
            Self::Begin { server, user, file } => write!(f, "{} begins to upload {file}", of(server, user)),
            Self::Send { server, user, file } => write!(f, "{} sends more of {file}", of(server, user)),
            Self::Finish { server, user, file } => write!(f, "{} finishes {file}", of(server, user)),
            Self::BreakOff { server, user } => write!(f, "the connection of {} breaks off", of(server, user)),
            Self::Rename { server, user, from, to } => write!(f, "{} renames {from} to {to}", of(server, user)),
            Self::Remove { server, user, file } => write!(f, "{} removes {file}", of(server, user)),
            Self::LogOut { server, user } => write!(f, "{} logs out", of(server, user)),
            Self::Deploy { service, image } => write!(f, "CI deploys image {image} to service {service}"),
            Self::Storm { seconds, percent } => write!(f, "AWS fails {percent}% of calls for {seconds} s"),
            Self::Deny { service, operation, seconds } => {
                write!(f, "{service}:{operation} is denied for {seconds} s")
            }
            Self::Twice { queue } => write!(f, "queue {queue} delivers its messages twice"),
            Self::LoseAddress => f.write_str("the Elastic IP of main goes away"),
            Self::Strange { record, readable: true } => write!(f, "a later version adds a field to {record}"),
            Self::Strange { record, readable: false } => write!(f, "a later version changes the form of {record}"),
            Self::FailStarts { times } => write!(f, "the next {times} starts of servers fail"),
            Self::Strike { service, operation, strike } => {
                write!(f, "the next call of {service}:{operation} goes wrong: {strike:?}")
            }
            Self::Doubles { seconds } => write!(f, "every message is delivered twice for {seconds} s"),
            Self::PasteKey { server, user } => {
                write!(f, "an operator pastes the private key of {}", of(server, user))
            }
        }
    }
}

fn word(power: Power) -> &'static str {
    match power {
        Power::Online => "online",
        Power::Stopped => "stopped",
        Power::Asleep => "asleep",
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server { server } => write!(f, "the server {}", SERVERS[*server]),
            Self::User { server, user } => write!(f, "the user {} of {}", USERS[*user], SERVERS[*server]),
            Self::Site { site } => write!(f, "the site {}", SITES[*site]),
        }
    }
}
