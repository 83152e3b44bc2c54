//! Orders about the power of servers, by one operator or by two at once.

use http::Method;
use wharfinger_decisions::server::Power;

use super::Stage;
use crate::{
    model::Ordered,
    people::{self, Told},
    story::SERVERS,
};

impl Stage {
    pub(super) async fn order(&mut self, server: usize, power: Power, now: bool) {
        let told = people::insist(&self.world, Method::POST, &path(server, power, now), None).await;
        self.weather.diary.note(format_args!("  {}", words(&told)));
        match told {
            Told::Taken(_) => drop(self.model.orders.insert(server, Ordered::For(power, self.now()))),
            Told::Nothing => drop(self.model.orders.insert(server, Ordered::Unknown)),
            Told::Refused(_) => {}
        }
    }

    /// Which of the two comes last is AWS's business.
    pub(super) async fn contest(&mut self, server: usize, powers: [Power; 2]) {
        let ask = |power: Power| {
            let (world, path) = (&self.world, path(server, power, false));
            async move { people::insist(world, Method::POST, &path, None).await }
        };
        let told = <[Told; 2]>::from(tokio::join!(ask(powers[0]), ask(powers[1])));
        let taken: Vec<Power> = told
            .iter()
            .zip(powers)
            .filter(|(told, _)| matches!(told, Told::Taken(_)))
            .map(|(_, power)| power)
            .collect();
        let unsure = told.contains(&Told::Nothing);
        match taken[..] {
            [] if !unsure => {}
            [power] if !unsure => drop(self.model.orders.insert(server, Ordered::For(power, self.now()))),
            [one, other] if one == other => drop(self.model.orders.insert(server, Ordered::For(one, self.now()))),
            _ => drop(self.model.orders.insert(server, Ordered::Unknown)),
        }
    }
}

/// Whether a server is stopped or asleep, both words open it.
fn path(server: usize, power: Power, now: bool) -> String {
    let (verb, now) = match power {
        Power::Online if people::has_address(server) => ("wake", false),
        Power::Online => ("start", false),
        Power::Stopped => ("stop", now),
        Power::Asleep => ("sleep", now),
    };
    format!("/v1/servers/{}/{verb}{}", SERVERS[server], if now { "?now=true" } else { "" })
}

fn words(told: &Told) -> String {
    match told {
        Told::Taken(_) => "it is taken".to_owned(),
        Told::Refused(status) => format!("it is refused with {status}"),
        Told::Nothing => "nobody knows whether it is taken".to_owned(),
    }
}
