//! What a region is started with.

use std::{
    collections::{BTreeMap, HashSet},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use clap::{Args, ValueEnum, builder::PossibleValue};
use wharfinger_emulator::{
    context::Pace,
    endpoint::traffic::{Latency, Rate},
};

use crate::gateway::auth::keys::AccessKey;

/// Who may use the HTTP API.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Auth {
    /// Any program on this machine.
    #[default]
    None,
    /// Who signs with AWS Signature Version 4, on the routes that the template gives to IAM.
    Iam,
}

impl ValueEnum for Auth {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::None, Self::Iam]
    }

    /// Without a text each, which would spread `--help` over three screens.
    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::None => "none",
            Self::Iam => "iam",
        }))
    }
}

/// The options of `cargo run`. All addresses are loopback addresses; port 0 takes a free one.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Where the HTTP API listens.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9000", value_parser = loopback)]
    pub api: SocketAddr,
    /// Where the AWS endpoint listens, for the aws CLI and the SDKs.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4566", value_parser = loopback)]
    pub aws: SocketAddr,
    /// Where SFTP servers listen: the first Elastic IP and the port of all.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:2222", value_parser = loopback)]
    pub sftp: SocketAddr,
    /// Where the ECS service `web` is served.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", value_parser = loopback)]
    pub site: SocketAddr,
    /// Keep everything in this directory, to find it again after a restart. Without it nothing is kept.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Sets a parameter of infra/template.yaml, e.g. --set 'SweepSchedule=rate(10 seconds)'. Repeatable.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    pub settings: Vec<(String, String)>,
    /// Who may use the HTTP API: anyone here, or with iam who signs, as on AWS.
    #[arg(long, value_name = "WHO", value_enum, default_value_t)]
    pub auth: Auth,
    /// An access key for --auth iam. Repeatable. Without it, a new one is made and told at the start.
    #[arg(long = "access-key", value_name = "ID:SECRET[:TOKEN]")]
    pub access_keys: Vec<AccessKey>,
    /// How long AWS calls are on their way, e.g. --latency transfer=150ms,dynamodb=5ms. Repeatable.
    #[arg(long, value_name = "SERVICE=TIME", value_delimiter = ',')]
    pub latency: Vec<Latency>,
    /// How many AWS calls are let in, e.g. --throttle transfer=5/s,ecs.RegisterTaskDefinition=1/s:20, where 20 is the
    /// burst. Repeatable.
    #[arg(long, value_name = "SERVICE[.OPERATION]=RATE/s[:BURST]", value_delimiter = ',')]
    pub throttle: Vec<Rate>,
    /// How long the region takes for what takes AWS minutes.
    #[arg(skip)]
    pub pace: Pace,
    /// The template's text, where it is not that of infra/template.yaml: a test that breaks something in it.
    #[arg(skip)]
    pub template: Option<String>,
}

impl Options {
    /// A region on free ports that keeps nothing.
    #[must_use]
    pub fn on_free_ports() -> Self {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            api: free,
            aws: free,
            sftp: free,
            site: free,
            data: None,
            settings: Vec::new(),
            auth: Auth::None,
            access_keys: Vec::new(),
            latency: Vec::new(),
            throttle: Vec::new(),
            pace: Pace::default(),
            template: None,
        }
    }

    /// The same with a template parameter set.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The access keys that the HTTP API accepts; a new one if none is given. None: nobody has to sign.
    ///
    /// # Errors
    /// When keys are given that nothing asks for, or two keys have one id.
    pub fn keys(&self) -> anyhow::Result<Option<Vec<AccessKey>>> {
        if self.auth == Auth::None {
            anyhow::ensure!(self.access_keys.is_empty(), "--access-key is for signed requests: add --auth iam");
            return Ok(None);
        }
        let mut ids = HashSet::new();
        if let Some(twice) = self.access_keys.iter().find(|key| !ids.insert(key.id())) {
            anyhow::bail!("--access-key gives {} twice: give each access key once", twice.id());
        }
        let given = self.access_keys.clone();
        Ok(Some(if given.is_empty() { vec![AccessKey::generate()] } else { given }))
    }

    /// The template parameters that were set; the last one of a name counts.
    #[must_use]
    pub fn parameters(&self) -> BTreeMap<String, String> {
        self.settings.iter().cloned().collect()
    }
}

/// Reads a loopback address and its port, as an option gives them.
///
/// # Errors
/// What to write instead.
pub fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| "write an address and a port, such as 127.0.0.1:9000".to_owned())?;
    let v4 = matches!(address, SocketAddr::V4(address) if address.ip().is_loopback());
    if v4 { Ok(address) } else { Err("the region listens on loopback only: use 127.0.0.1".to_owned()) }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, such as SweepSchedule=rate(1 minute)")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_taken() {
        assert!(loopback("127.0.0.1:0").is_ok() && loopback("127.0.0.9:2222").is_ok());
        for bad in ["0.0.0.0:9000", "192.168.1.2:9000", "[::1]:9000", "localhost:9000", "9000", "127.0.0.1:70000"] {
            assert!(loopback(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_are_there_only_where_requests_are_signed() {
        let (free, key): (_, AccessKey) = (Options::on_free_ports(), "AKIAME:secret".parse().unwrap());
        assert_eq!(free.keys().unwrap(), None);
        let needless = Options { access_keys: vec![key.clone()], ..free.clone() };
        assert!(needless.keys().unwrap_err().to_string().contains("--auth iam"));
        let signed = Options { auth: Auth::Iam, ..free };
        assert_eq!(signed.keys().unwrap().unwrap().len(), 1, "one is made");
        let given = Options { access_keys: vec![key.clone()], ..signed.clone() };
        assert_eq!(given.keys().unwrap(), Some(vec![key.clone()]));
        let twice = Options { access_keys: vec![key.clone(), key], ..signed };
        assert!(twice.keys().unwrap_err().to_string().contains("AKIAME"));
    }

    #[test]
    fn the_last_setting_of_a_name_counts() {
        let options = Options::on_free_ports().with("A", "1").with("A", "2");
        assert_eq!(options.parameters().get("A").map(String::as_str), Some("2"));
        assert_eq!(setting("A=b=c"), Ok(("A".into(), "b=c".into())));
        assert!(setting("A").is_err());
    }
}
