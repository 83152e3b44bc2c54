//! What others do, and what happens to things by accident.

use http::Method;
use serde_json::json;
use wharfinger_region::seed;

use super::{Stage, is_over, private_line};
use crate::{
    people::{self, SERVICES},
    rules,
    story::{Feature, Record, SERVERS, SITES, USERS},
    watch,
};

impl Stage {
    /// Whether a site on `service` waits for a rollout, or is in one.
    async fn rolls_out(&self, service: usize) -> bool {
        self.weather.mute(true);
        let mut found = false;
        for (place, _) in self.model.sites.iter().filter(|(_, site)| site.service == service) {
            let (_, site) = people::ask(&self.world, Method::GET, &format!("/v1/sites/{}", SITES[*place]), None).await;
            let quiet = site["status"]["window"]["state"] == "empty";
            let over = site["status"]["rollout"].is_null() || is_over(&site["status"]["rollout"]);
            found |= !(quiet && over);
        }
        self.weather.mute(false);
        found
    }

    /// CI deploys what runs, with another image. Unless the story is about that, it waits for our rollouts.
    pub(super) async fn deploy(&self, service: usize, image: u64) {
        if !self.features.contains(&Feature::Collision) && self.rolls_out(service).await {
            return;
        }
        let ground = self.ground();
        let asked = json!({ "cluster": seed::CLUSTER, "services": [SERVICES[service]] });
        let present = watch::ask(ground, "ecs", "DescribeServices", asked).await["services"][0].clone();
        let asked = json!({ "taskDefinition": present["taskDefinition"] });
        let mut definition = watch::ask(ground, "ecs", "DescribeTaskDefinition", asked).await["taskDefinition"].clone();
        if let Some(members) = definition.as_object_mut() {
            members.retain(|name, _| !wharfinger_decisions::revision::READ_ONLY.contains(&name.as_str()));
        }
        definition["containerDefinitions"][0]["image"] = format!("httpd:{image}").into();
        let made = watch::ask(ground, "ecs", "RegisterTaskDefinition", definition).await;
        let update = json!({ "cluster": seed::CLUSTER, "service": SERVICES[service],
            "taskDefinition": made["taskDefinition"]["taskDefinitionArn"] });
        watch::ask(ground, "ecs", "UpdateService", update).await;
    }

    pub(super) fn deliver_twice(&self, queue: usize) {
        let plan = self.world.plan();
        let queues: Vec<_> = plan.queues.iter().filter(|queue| !plan.takes_dead_letters(&queue.arn)).collect();
        let Some(queue) = queues.get(queue) else { return };
        for body in self.world.queues().bodies(&queue.declaration.name) {
            let _ = self.world.queues().send(&queue.arn, &body, None);
        }
    }

    pub(super) async fn lose_address(&mut self) {
        self.model.address_lost = true;
        self.weather.lose_address(seed::ADDRESSES[0]);
        let ground = self.ground();
        let found = watch::transfer_servers(ground).await;
        for server in found.values() {
            let endpoint = server["EndpointDetails"]["VpcEndpointId"].as_str().unwrap_or_default();
            if server["EndpointDetails"]["AddressAllocationIds"] != json!([]) {
                // AWS lets go of an address that is released out of band.
                let _ = self.world.network().attach_addresses(endpoint, &[]);
            }
        }
        watch::ask(ground, "ec2", "ReleaseAddress", json!({ "AllocationId": seed::ADDRESSES[0] })).await;
    }

    /// A later version writes a record: with a field more, or in a form that this version can't read.
    pub(super) async fn write_strangely(&mut self, record: Record, readable: bool) {
        let (pk, sk, pointer) = match record {
            Record::Server { server } => ("SERVERS".to_owned(), SERVERS[server], "/intent/M/power/M/power"),
            Record::User { server, user } => {
                (format!("USERS#{}", SERVERS[server]), USERS[user], "/intent/M/public_keys")
            }
            Record::Site { site } => ("SITES".to_owned(), SITES[site], "/intent/M/directory"),
        };
        let (ground, key) = (self.ground(), json!({ "pk": { "S": pk }, "sk": { "S": sk } }));
        let asked = json!({ "TableName": ground.table, "Key": key });
        let mut item = watch::ask(ground, "dynamodb", "GetItem", asked).await["Item"].clone();
        if !item.is_object() || item["deleting"]["BOOL"] == true {
            return;
        }
        if readable {
            item["intent"]["M"]["of_a_later_version"] = json!({ "S": "yes" });
        } else if let Some(part) = item.pointer_mut(pointer) {
            *part = json!({ "M": { "of_a_later_version": { "BOOL": true } } });
        }
        watch::ask(ground, "dynamodb", "PutItem", json!({ "TableName": ground.table, "Item": item })).await;
        if !readable {
            self.model.strange(record);
        }
    }

    /// An operator means the public key, and pastes the private one, without its first and last line.
    pub(super) async fn paste_key(&self, server: usize, user: usize) {
        let secret = private_line(user);
        self.weather.secrets.keep(&secret);
        let path = format!("/v1/servers/{}/users/{}", SERVERS[server], USERS[user]);
        let (status, answer) = people::ask(&self.world, Method::PUT, &path, Some(&people::user(&secret, 0))).await;
        if self.weather.secrets.told_in(&answer.to_string()).is_some() {
            self.weather.diary.violated(rules::SECRET, format!("PUT {path} answers {status} with the key in it"));
        }
    }
}
