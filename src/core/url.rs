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

/// What ssh connects to without a user and a port: `etcd-1` of `ops@etcd-1:2222`.
pub fn host_of(destination: &str) -> &str {
    let host = destination.rsplit_once('@').map_or(destination, |(_, host)| host);
    match (host.strip_prefix('[').and_then(|rest| rest.split_once(']')), host.split_once(':')) {
        (Some((host, _)), _) => host,
        // More than one colon: a bare IPv6 address.
        (None, Some((name, port))) if !port.contains(':') => name,
        (None, _) => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_what_is_left_of_a_destination() {
        for (destination, host) in [
            ("etcd-1", "etcd-1"),
            ("ops@etcd-1.example:2222", "etcd-1.example"),
            ("10.0.0.1:22", "10.0.0.1"),
            ("[fd00::1]:22", "fd00::1"),
            ("ops@fd00::1", "fd00::1"),
        ] {
            assert_eq!(host_of(destination), host);
        }
    }

    #[test]
    fn only_an_ipv6_address_has_brackets() {
        assert_eq!(https("etcd-1.example", 2379), "https://etcd-1.example:2379");
        assert_eq!(https("10.0.0.1", 2380), "https://10.0.0.1:2380");
        assert_eq!(https("fd00::1", 2380), "https://[fd00::1]:2380");
    }
}
