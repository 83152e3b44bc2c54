//! Blocks of addresses.

use std::net::IpAddr;

/// A block of addresses in CIDR notation, kept in canonical form as AWS keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cidr {
    base: IpAddr,
    prefix: u32,
}

impl Cidr {
    /// Reads `10.0.0.0/8`; host bits are dropped.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (base, prefix) = text.split_once('/')?;
        let base: IpAddr = base.parse().ok()?;
        let prefix: u32 = prefix.parse().ok()?;
        let width = if base.is_ipv4() { 32 } else { 128 };
        (prefix <= width).then(|| Self { base: masked(base, prefix), prefix })
    }

    /// Whether `address` is in the block.
    pub(super) fn contains(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.base.is_ipv4() && masked(address, self.prefix) == self.base
    }

    /// Whether the block is of IPv4.
    pub(super) fn is_ipv4(self) -> bool {
        self.base.is_ipv4()
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.base, self.prefix)
    }
}

fn masked(address: IpAddr, prefix: u32) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
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
