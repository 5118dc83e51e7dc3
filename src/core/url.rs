//! URLs from an address and a port.
//!
//! Here alone an IPv6 address gets the brackets that keep its colons apart from the port (RFC 3986, 3.2.2).

use std::borrow::Cow;

/// A DNS name or IP address as it stands before a port: `10.0.0.1`, `[fd00::1]`.
pub fn host(address: &str) -> Cow<'_, str> {
    if address.contains(':') { Cow::Owned(format!("[{address}]")) } else { Cow::Borrowed(address) }
}

/// `https://10.0.0.1:2379`
pub fn https(address: &str, port: u16) -> String {
    format!("https://{}:{port}", host(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_ipv6_address_has_brackets() {
        assert_eq!(https("etcd-1.example", 2379), "https://etcd-1.example:2379");
        assert_eq!(https("10.0.0.1", 2380), "https://10.0.0.1:2380");
        assert_eq!(https("fd00::1", 2380), "https://[fd00::1]:2380");
    }
}
