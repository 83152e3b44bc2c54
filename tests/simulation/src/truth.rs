//! What the API shows is held against AWS: a function that takes its own word for what is there is found out.

use russh::keys::PublicKey;
use serde_json::{Value, json};

use crate::{
    people::GROUPS,
    stage::line,
    story::{SERVERS, SITES, USERS},
    watch,
    weather::Ground,
};

/// What AWS has otherwise than the API shows of a server, if that is at rest.
pub(crate) async fn of_server(ground: &Ground, server: usize, shown: &Value) -> Option<String> {
    let states: Vec<Value> = servers(ground, server).await.into_iter().map(|(_, state)| state).collect();
    match shown["status"]["power"].as_str()? {
        "online" if states != ["ONLINE"] => Some(format!("it is shown online, and AWS has {states:?}")),
        "online" => shut_out(ground, server, shown).await,
        "stopped" if states != ["OFFLINE"] => Some(format!("it is shown stopped, and AWS has {states:?}")),
        _ => None,
    }
}

/// An address block that is wanted and not let in.
async fn shut_out(ground: &Ground, server: usize, shown: &Value) -> Option<String> {
    let rules = watch::ask(ground, "ec2", "DescribeSecurityGroupRules", json!({})).await;
    let mut wanted = shown["spec"]["network"]["allowed_cidrs"].as_array()?.iter();
    let rules = rules["securityGroupRuleSet"].as_array()?;
    let is_in =
        |block: &Value| rules.iter().any(|rule| rule["groupId"] == GROUPS[server] && rule["cidrIpv4"] == *block);
    wanted.find(|block| !is_in(block)).map(|block| format!("{block} is not let in"))
}

/// What a user of a server that AWS has lacks to log in with `key`.
pub(crate) async fn of_user(ground: &Ground, server: usize, user: usize, key: &PublicKey) -> Option<String> {
    let key = line(key);
    for (id, _) in servers(ground, server).await {
        let asked = json!({ "ServerId": id, "UserName": USERS[user] });
        let found = watch::ask(ground, "transfer", "DescribeUser", asked).await;
        if !watch::opens(&found, &key) {
            return Some(format!("AWS has {} for it", found["User"]["SshPublicKeys"]));
        }
    }
    None
}

/// The ids and states of AWS's servers of a name.
async fn servers(ground: &Ground, server: usize) -> Vec<(String, Value)> {
    let found = watch::transfer_servers(ground).await.into_iter();
    let named = found.filter(|(_, found)| watch::name_of(found) == Some(SERVERS[server]));
    named.map(|(id, found)| (id, found["State"].clone())).collect()
}

/// Whether a task definition has the directory of `site` in its container.
pub(crate) fn mounts(definition: &Value, site: usize) -> bool {
    let mut points = definition["containerDefinitions"][0]["mountPoints"].as_array().into_iter().flatten();
    let Some(point) = points.find(|point| point["containerPath"] == format!("/srv/{}", SITES[site])) else {
        return false;
    };
    let mut volumes = definition["volumes"].as_array().into_iter().flatten();
    let volume = volumes.find(|volume| volume["name"] == point["sourceVolume"]);
    volume.is_some_and(|volume| volume["efsVolumeConfiguration"]["rootDirectory"] == format!("/sites/{}", SITES[site]))
}
