//! Where metrics are served: an address of its own, so that whoever reaches the server's routes does not reach them. Default: nowhere.

use std::net::SocketAddr;

use super::names::Setting;
use super::source::Reader;

/// Reads `JACKLINE_METRICS_ADDR`.
pub(crate) fn read(reader: &mut Reader) -> Option<SocketAddr> {
    let text = reader.one(Setting::METRICS_ADDR)?;
    let address = text.parse().ok();
    if address.is_none() {
        let what = format!(
            "it is {}, which is not an address with a port",
            reader.quote(text)
        );
        reader.report(
            Setting::METRICS_ADDR,
            what,
            "metrics say how busy the server is and who attacks it: where they are served must not be guessed",
            "write an address that Prometheus reaches and strangers do not, such as 127.0.0.1:9464",
        );
    }
    address
}
