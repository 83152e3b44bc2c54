//! The addresses that may reach a server.

use std::net::IpAddr;

use crate::text::{Invalid, parsed_string};

parsed_string! {
    /// A block of addresses in CIDR notation, in its canonical form: no bits set behind the prefix. Never the whole
    /// Internet: an SFTP port open to everyone is found by scanners within minutes.
    Cidr, cidr
}

/// The largest blocks that are taken: what one registry was once given as a whole. Two halves of the Internet are all of it.
const LEAST_V4: u32 = 8;
const LEAST_V6: u32 = 16;

fn cidr(text: String) -> Result<String, Invalid> {
    const ALLOWED: &str = "an address block looks like 203.0.113.0/24 or 2001:db8::/32 (one address: 203.0.113.7/32)";
    let (address, prefix) = parts(&text).ok_or_else(|| Invalid::new(&text, ALLOWED))?;
    if prefix == 0 {
        return Err(Invalid::new(&text, "this is the whole Internet: list the address blocks you trust"));
    }
    let least = if address.is_ipv4() { LEAST_V4 } else { LEAST_V6 };
    if prefix < least {
        let large = format!("this is a large part of the Internet: give a prefix of at least /{least}");
        return Err(Invalid::new(&text, &large));
    }
    let network = network(address, prefix);
    if network != address {
        return Err(Invalid::new(&text, &format!("bits are set behind the prefix: write {network}/{prefix}")));
    }
    Ok(format!("{network}/{prefix}"))
}

fn parts(text: &str) -> Option<(IpAddr, u32)> {
    let (address, prefix) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let plain = !prefix.is_empty() && prefix.chars().all(|c| c.is_ascii_digit());
    let prefix: u32 = prefix.parse().ok()?;
    (plain && prefix <= longest).then_some((address, prefix))
}

fn network(address: IpAddr, prefix: u32) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::V4((address.to_bits() & u32::MAX.unbounded_shl(32 - prefix)).into()),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & u128::MAX.unbounded_shl(128 - prefix)).into()),
    }
}

impl Cidr {
    /// Whether this is a block of IPv6 addresses.
    #[must_use]
    pub fn is_ipv6(&self) -> bool {
        self.0.contains(':')
    }
}
