//! What a region says at its start: where it listens, what is there, and how to try it.

use crate::{
    region::{Addresses, Region},
    seed,
};

/// Prints it to standard output.
pub fn print(region: &Region) {
    let at = region.addresses();
    let kept = region.kept_in().map_or_else(
        || "nothing (start with --data DIR to keep it)".into(),
        |directory| directory.display().to_string(),
    );
    println!(
        "Wharfinger is running on a region of its own. Nothing leaves this machine.

  HTTP API      http://{}
  AWS endpoint  http://{}   (any credentials)
  SFTP          {}          (once a server is online)
  Site          http://{}   (ECS service web)
  Kept in       {kept}
",
        at.api, at.aws, at.sftp, at.site,
    );
    if region.found_again() {
        println!("Everything is as you left it. Look at it:\n\n  curl -sS http://{}/v1/servers\n", at.api);
    } else {
        println!("{}", first_steps(&at));
    }
    println!("Ctrl-C ends it.");
}

fn first_steps(at: &Addresses) -> String {
    format!(
        "It has what people have before they begin: VPC {vpc}, EFS file system {file_system} with the
directory /sites/blog, Elastic IP {address}, and the ECS service web of the cluster local,
whose containers do not mount the file system yet.

Try it; paste this into a second terminal:

  api=http://{api}
  curl -sS -X PUT $api/v1/servers/main -d '{server}'
  curl -sS -X PUT $api/v1/sites/blog -d '{blog}'
  [ -f alice ] || ssh-keygen -q -t ed25519 -N '' -f alice
  curl -sS -X PUT $api/v1/servers/main/users/alice -d \"{{\\\"public_keys\\\":[\\\"$(cat alice.pub)\\\"],\\\"site\\\":\\\"blog\\\"}}\"
  curl -sS $api/v1/servers/main          # until status.power is online
  echo '<h1>Ahoy</h1>' > index.html
  echo 'put index.html' | sftp -i alice -P {port} -o UserKnownHostsFile=hosts -o StrictHostKeyChecking=accept-new alice@{host}
  curl -sS $api/v1/sites/blog/rollouts   # until the state is succeeded
  curl -sS http://{site}/
",
        vpc = seed::VPC,
        file_system = seed::FILE_SYSTEM,
        address = seed::ADDRESSES[0],
        api = at.api,
        server = server(),
        blog = blog(),
        port = at.sftp.port(),
        host = at.sftp.ip(),
        site = at.site,
    )
}

fn server() -> String {
    format!(
        r#"{{"file_system_id":"{}","network":{{"vpc_id":"{}","subnet_ids":["{}"],"security_group_ids":["{}"],"address_allocation_ids":["{}"],"allowed_cidrs":["127.0.0.0/8"]}},"idle":{{"after":"30m","action":"stop"}}}}"#,
        seed::FILE_SYSTEM,
        seed::VPC,
        seed::SUBNETS[0],
        seed::SFTP_GROUP,
        seed::ADDRESSES[0],
    )
}

fn blog() -> String {
    format!(
        r#"{{"file_system_id":"{}","directory":"/sites/blog","cluster":"local","service":"web","container":"web","mount_path":"/usr/local/apache2/htdocs","finish":{{"quiet_period":"5s"}}}}"#,
        seed::FILE_SYSTEM,
    )
}
