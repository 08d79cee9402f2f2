//! Which addresses lead to the world, and not to this machine or a network around it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// False for addresses of this machine, of private and local networks, for multicast, and for those that are reserved (the
/// special-purpose registries of IANA), also where an IPv6 address stands for one of these.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(a == 0
        || a >= 240
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        // Networks of providers, of protocols, and of benchmarks.
        || (a == 100 && (64..128).contains(&b))
        || (a, b, c) == (192, 0, 0)
        || (a, b, c) == (192, 88, 99)
        || (a == 198 && (b == 18 || b == 19)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, high, low] = address.segments();
    let embedded = |high: u16, low: u16| is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match (a, b) {
        // Mapped, translated and compatible forms of IPv4 addresses, and this machine.
        (0, 0) => (c, d) == (0, 0) && matches!((e, f), (0, 0xffff) | (0xffff, 0)) && embedded(high, low),
        (0x64, 0xff9b) => (c, d, e, f) == (0, 0, 0, 0) && embedded(high, low),
        // 6to4
        (0x2002, _) => embedded(b, c),
        // Teredo, benchmarks, and other protocols; documentation.
        (0x2001, 0..0x200 | 0xdb8) => false,
        // The rest of what is global unicast.
        _ => a & 0xe000 == 0x2000 && a != 0x3fff,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_around_this_machine_are_not_public() {
        let public = |text: &str| is_public(text.parse().unwrap());
        for text in ["8.8.8.8", "185.199.108.133", "2606:50c0:8000::154", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"]
        {
            assert!(public(text), "{text}");
        }
        for text in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.1",
            "198.18.0.1",
            "198.51.100.7",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:0:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
        ] {
            assert!(!public(text), "{text}");
        }
    }
}
