//! Blocks of addresses.

use std::net::IpAddr;

use ipnet::IpNet;

/// A block of addresses in CIDR notation, kept in canonical form as AWS keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cidr(IpNet);

impl Cidr {
    /// Reads `10.0.0.0/8`; host bits are dropped.
    pub(super) fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(|block: IpNet| Self(block.trunc()))
    }

    /// Whether `address` is in the block.
    pub(super) fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// Whether the block is of IPv4.
    pub(super) fn is_ipv4(self) -> bool {
        self.0.addr().is_ipv4()
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_contains_its_addresses_only() {
        let block = Cidr::parse("203.0.113.77/24").unwrap();
        assert_eq!(block.to_string(), "203.0.113.0/24");
        assert!(block.contains("203.0.113.255".parse().unwrap()));
        assert!(block.contains("::ffff:203.0.113.1".parse().unwrap()));
        assert!(!block.contains("203.0.114.0".parse().unwrap()));
        assert!(!Cidr::parse("::/0").unwrap().contains("203.0.113.1".parse().unwrap()));
        assert!(Cidr::parse("0.0.0.0/0").unwrap().contains("127.0.0.1".parse().unwrap()));
        assert_eq!(Cidr::parse("10.0.0.0/33"), None);
        assert_eq!(Cidr::parse("10.0.0.0"), None);
    }
}
