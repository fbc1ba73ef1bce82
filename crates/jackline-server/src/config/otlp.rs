//! Where traces and metrics are sent, under the name that OpenTelemetry gave the setting. Default: nowhere.

use std::fmt;

use url::Url;

use super::names::Setting;
use super::source::Reader;

/// A collector that takes OTLP over HTTP: the address before `/v1/traces` and `/v1/metrics`. Its `Debug` shows the host alone.
#[derive(Clone, PartialEq, Eq)]
pub struct OtlpEndpoint(Url);

impl OtlpEndpoint {
    /// Where one kind of signal is sent: `traces`.
    pub fn of_signal(&self, signal: &str) -> String {
        format!("{}/v1/{signal}", self.0.as_str().trim_end_matches('/'))
    }

    /// Where it is, for people: no path, which may hold a key.
    pub fn place(&self) -> String {
        self.0.origin().ascii_serialization()
    }
}

impl fmt::Debug for OtlpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OtlpEndpoint({})", self.place())
    }
}

/// Reads `OTEL_EXPORTER_OTLP_ENDPOINT`.
pub(crate) fn read(reader: &mut Reader) -> Option<OtlpEndpoint> {
    let text = reader.one(Setting::OTLP_ENDPOINT)?;
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.host().is_some()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    let Some(url) = url else {
        reader.report(
            Setting::OTLP_ENDPOINT,
            "it is not the address of a collector",
            "traces and metrics would be lost without a word",
            "write the address before /v1/traces, such as http://127.0.0.1:4318; what it asks of a client goes into \
             OTEL_EXPORTER_OTLP_HEADERS",
        );
        return None;
    };
    if cfg!(not(feature = "otlp")) {
        reader.report(
            Setting::OTLP_ENDPOINT,
            "it is set, and this program was built without the feature `otlp`",
            "traces and metrics would be lost without a word",
            "build it with the feature, or unset it",
        );
        return None;
    }
    Some(OtlpEndpoint(url))
}
