//! What a region says at its start: where it listens, what is there, and how to try it.

use wharfinger_emulator::ids::REGION;
use wharfinger_region::{
    gateway::auth::keys::AccessKey,
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
    let api_note = if region.keys().is_empty() { "" } else { "   (signed requests only)" };
    println!(
        "Wharfinger is running on a region of its own. Nothing leaves this machine.

  HTTP API      http://{}{api_note}
  AWS endpoint  http://{}   (any credentials)
  SFTP          {}          (once a server is online)
  Site          http://{}   (ECS service web)
  Kept in       {kept}
",
        at.api, at.aws, at.sftp, at.site,
    );
    let curl = match region.keys().first() {
        None => "curl -sS",
        Some(key) => {
            println!("{}", signing(key));
            "signed"
        }
    };
    if region.found_again() {
        println!("Everything is as you left it. Look at it:\n\n  {curl} http://{}/v1/servers\n", at.api);
    } else {
        println!("{}", first_steps(&at, curl));
    }
    println!("Ctrl-C ends it.");
}

/// How to sign with `key`. curl signs since 7.75; of a header without a value it would sign what it does not send, so
/// the token is named only where there is one, in a word without spaces, for shells that split and shells that do not.
fn signing(key: &AccessKey) -> String {
    let token = key.session_token().map_or_else(
        || "  unset AWS_SESSION_TOKEN".to_owned(),
        |token| format!("  export AWS_SESSION_TOKEN={}", quote(token)),
    );
    format!(
        "Requests to the HTTP API must be signed. Paste this into the terminal from which you call it:

  export AWS_REGION={REGION} AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={}
{token}
  signed() {{ curl -sS --aws-sigv4 \"aws:amz:$AWS_REGION:execute-api\" --user \"$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY\" ${{AWS_SESSION_TOKEN:+-Hx-amz-security-token:$AWS_SESSION_TOKEN}} \"$@\"; }}
",
        key.id(),
        quote(key.secret()),
    )
}

/// As one word of a shell.
fn quote(text: &str) -> String {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./+=".contains(&byte));
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn first_steps(at: &Addresses, curl: &str) -> String {
    format!(
        "It has what people have before they begin: VPC {vpc}, EFS file system {file_system} with the
directory /sites/blog, Elastic IP {address}, and the ECS service web of the cluster local,
whose containers do not mount the file system yet.

Try it; paste this into a second terminal:

  api=http://{api}
  {curl} -X PUT $api/v1/servers/main -d '{server}'
  {curl} -X PUT $api/v1/sites/blog -d '{blog}'
  [ -f alice ] || ssh-keygen -q -t ed25519 -N '' -f alice
  {curl} -X PUT $api/v1/servers/main/users/alice -d \"{{\\\"public_keys\\\":[\\\"$(cat alice.pub)\\\"],\\\"site\\\":\\\"blog\\\"}}\"
  {curl} $api/v1/servers/main          # until status.power is online
  echo '<h1>Ahoy</h1>' > index.html
  echo 'put index.html' | sftp -i alice -P {port} -o UserKnownHostsFile=hosts -o StrictHostKeyChecking=accept-new alice@{host}
  {curl} $api/v1/sites/blog/rollouts   # until the state is succeeded
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
        r#"{{"file_system_id":"{}","network":{{"vpc_id":"{}","subnet_ids":["{}"],"security_group_ids":["{}"],"address_allocation_ids":["{}"],"allowed_cidrs":["127.0.0.0/8"]}},"idle":{{"after":"30m","action":"sleep"}}}}"#,
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
