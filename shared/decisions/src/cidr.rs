//! The addresses that may reach a server.

use ipnet::IpNet;

use crate::text::{Invalid, parsed_string};

parsed_string! {
    /// A block of addresses in CIDR notation, in its canonical form: no bits set behind the prefix. Never the whole
    /// Internet: an SFTP port open to everyone is found by scanners within minutes.
    Cidr, cidr
}

/// The largest blocks that are taken: what one registry was once given as a whole. Two halves of the Internet are all of it.
const LEAST_V4: u8 = 8;
const LEAST_V6: u8 = 16;

fn cidr(text: String) -> Result<String, Invalid> {
    const ALLOWED: &str = "an address block looks like 203.0.113.0/24 or 2001:db8::/32 (one address: 203.0.113.7/32)";
    let block: IpNet = text.parse().map_err(|_| Invalid::new(&text, ALLOWED))?;
    if block.prefix_len() == 0 {
        return Err(Invalid::new(&text, "this is the whole Internet: list the address blocks you trust"));
    }
    let least = if block.addr().is_ipv4() { LEAST_V4 } else { LEAST_V6 };
    if block.prefix_len() < least {
        let large = format!("this is a large part of the Internet: give a prefix of at least /{least}");
        return Err(Invalid::new(&text, &large));
    }
    if block.trunc() != block {
        return Err(Invalid::new(&text, &format!("bits are set behind the prefix: write {}", block.trunc())));
    }
    Ok(block.to_string())
}

impl Cidr {
    /// Whether this is a block of IPv6 addresses.
    #[must_use]
    pub fn is_ipv6(&self) -> bool {
        self.0.contains(':')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_canonical() {
        assert_eq!(Cidr::parse("203.0.113.0/24").unwrap().as_str(), "203.0.113.0/24");
        assert_eq!(Cidr::parse("2001:0DB8::/32").unwrap().as_str(), "2001:db8::/32");
        assert!(Cidr::parse("10.0.0.0/8").is_ok() && Cidr::parse("10.1.2.3/32").is_ok());
        let refusal = Cidr::parse("203.0.113.7/24").unwrap_err().to_string();
        assert!(refusal.contains("write 203.0.113.0/24"), "{refusal}");
    }

    #[test]
    fn the_whole_internet_is_never_admitted() {
        for all in ["0.0.0.0/0", "::/0", "1.2.3.4/0"] {
            assert!(Cidr::parse(all).unwrap_err().to_string().contains("whole Internet"), "{all}");
        }
    }

    #[test]
    fn no_more_is_admitted_in_pieces() {
        for half in ["0.0.0.0/1", "128.0.0.0/1", "64.0.0.0/7", "8000::/1", "2000::/3"] {
            assert!(Cidr::parse(half).unwrap_err().to_string().contains("at least /"), "{half}");
        }
        assert!(Cidr::parse("127.0.0.0/8").is_ok() && Cidr::parse("2001::/16").is_ok());
    }

    #[test]
    fn what_is_not_a_block_is_refused() {
        for bad in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/+8", "10.0.0/8", "a/8", "::/129"] {
            assert!(Cidr::parse(bad).is_err(), "{bad}");
        }
    }
}
