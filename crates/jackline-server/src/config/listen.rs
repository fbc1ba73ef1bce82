//! Where the program listens: an address that parsed, so that binding can fail only for reasons the operating system knows.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::names::Setting;
use super::source::Reader;

/// The default of `PORT`.
const DEFAULT_PORT: u16 = 3000;

/// Reads `HOST` (default `127.0.0.1`) and `PORT` (default `3000`; `0` lets the system choose one).
pub(crate) fn read(reader: &mut Reader) -> SocketAddr {
    SocketAddr::new(read_host(reader), read_port(reader))
}

fn read_host(reader: &mut Reader) -> IpAddr {
    let default = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let Some(text) = reader.one(Setting::HOST) else {
        return default;
    };
    match text.parse() {
        Ok(address) => address,
        Err(_) => {
            let what = format!("it is {}, which is not an IP address", reader.quote(text));
            reader.report(
                Setting::HOST,
                what,
                "a name can stand for several addresses, and listening on the wrong one exposes the server",
                "write 127.0.0.1 (this machine only), 0.0.0.0 (all IPv4 networks), ::1 or ::",
            );
            default
        }
    }
}

fn read_port(reader: &mut Reader) -> u16 {
    let Some(text) = reader.one(Setting::PORT) else {
        return DEFAULT_PORT;
    };
    match text.parse() {
        Ok(port) => port,
        Err(_) => {
            let what = format!("it is {}, which is not a port", reader.quote(text));
            reader.report(
                Setting::PORT,
                what,
                "there is nowhere to listen",
                "write a whole number from 1 to 65535, such as 3000",
            );
            DEFAULT_PORT
        }
    }
}
