//! The names of all settings, in one table: the environment variable, the key in `jackline.toml`, and whether the value is a list or a
//! secret. A name that is not here is a mistake, and the nearest name that is here is offered instead.

/// One setting and how it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) variable: &'static str,
    pub(crate) key: &'static str,
    pub(crate) shape: Shape,
    pub(crate) show: Show,
}

/// Whether a setting takes one value or several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    One,
    /// Comma-separated in the environment; an array or a comma-separated string in the file.
    List,
}

/// Whether a setting's value may appear in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    Value,
    Nothing,
}

macro_rules! settings {
    ($($name:ident = $variable:literal, $key:literal, $shape:ident, $show:ident;)*) => {
        impl Setting {
            $(pub(crate) const $name: Setting = Setting {
                variable: $variable,
                key: $key,
                shape: Shape::$shape,
                show: Show::$show,
            };)*

            /// Every setting there is.
            pub(crate) const ALL: &'static [Setting] = &[$(Setting::$name),*];
        }
    };
}

settings! {
    ENV = "JACKLINE_ENV", "env", One, Value;
    PORT = "PORT", "port", One, Value;
    HOST = "HOST", "host", One, Value;
    TLS_CERT_FILE = "JACKLINE_TLS_CERT_FILE", "tls_cert_file", One, Value;
    TLS_KEY_FILE = "JACKLINE_TLS_KEY_FILE", "tls_key_file", One, Value;
    SESSION_SECRET = "SESSION_SECRET", "session_secret", One, Nothing;
    SESSION_SECRET_PREVIOUS = "SESSION_SECRET_PREVIOUS", "session_secret_previous", List, Nothing;
    ENCRYPTION_KEY = "JACKLINE_ENCRYPTION_KEY", "encryption_key", One, Nothing;
    ENCRYPTION_KEY_PREVIOUS = "JACKLINE_ENCRYPTION_KEY_PREVIOUS", "encryption_key_previous", List, Nothing;
    REDIS_URL = "REDIS_URL", "redis_url", One, Nothing;
    REDIS_CA_FILE = "REDIS_CA_FILE", "redis_ca_file", One, Value;
    REDIS_CERT_FILE = "REDIS_CERT_FILE", "redis_cert_file", One, Value;
    REDIS_KEY_FILE = "REDIS_KEY_FILE", "redis_key_file", One, Value;
    REDIS_SENTINEL_USERNAME = "REDIS_SENTINEL_USERNAME", "redis_sentinel_username", One, Value;
    REDIS_SENTINEL_PASSWORD = "REDIS_SENTINEL_PASSWORD", "redis_sentinel_password", One, Nothing;
    DATABASE_URL = "DATABASE_URL", "database_url", One, Nothing;
    STORE = "JACKLINE_STORE", "store", One, Value;
    STORE_TIMEOUT = "JACKLINE_STORE_TIMEOUT", "store_timeout", One, Value;
    NEAR_CACHE = "JACKLINE_NEAR_CACHE", "near_cache", One, Value;
    KEYSPACE = "JACKLINE_KEYSPACE", "keyspace", One, Value;
    EXPRESS_USER_ID = "JACKLINE_EXPRESS_USER_ID", "express_user_id", One, Value;
    EXPRESS_USER_ID_FORM = "JACKLINE_EXPRESS_USER_ID_FORM", "express_user_id_form", One, Value;
    EXPRESS_USERNAME = "JACKLINE_EXPRESS_USERNAME", "express_username", One, Value;
    EXPRESS_LOGIN_AT = "JACKLINE_EXPRESS_LOGIN_AT", "express_login_at", One, Value;
    EXPRESS_ROLE = "JACKLINE_EXPRESS_ROLE", "express_role", One, Value;
    EXPRESS_COOKIE = "JACKLINE_EXPRESS_COOKIE", "express_cookie", One, Value;
    DATA_DIR = "JACKLINE_DATA_DIR", "data_dir", One, Value;
    IDLE_TIMEOUT = "JACKLINE_IDLE_TIMEOUT", "idle_timeout", One, Value;
    ABSOLUTE_TIMEOUT = "JACKLINE_ABSOLUTE_TIMEOUT", "absolute_timeout", One, Value;
    ADMIN_ABSOLUTE_TIMEOUT = "JACKLINE_ADMIN_ABSOLUTE_TIMEOUT", "admin_absolute_timeout", One, Value;
    RENEWAL_STEP = "JACKLINE_RENEWAL_STEP", "renewal_step", One, Value;
    STEP_UP_AGE = "JACKLINE_STEP_UP_AGE", "step_up_age", One, Value;
    MAX_SESSIONS = "JACKLINE_MAX_SESSIONS", "max_sessions", One, Value;
    LOGIN_ATTEMPTS = "JACKLINE_LOGIN_ATTEMPTS", "login_attempts", One, Value;
    COOKIE_NAME = "JACKLINE_COOKIE_NAME", "cookie_name", One, Value;
    COOKIE_SECURE = "JACKLINE_COOKIE_SECURE", "cookie_secure", One, Value;
    TRUSTED_PROXIES = "JACKLINE_TRUSTED_PROXIES", "trusted_proxies", List, Value;
    PUBLIC_ORIGIN = "JACKLINE_PUBLIC_ORIGIN", "public_origin", List, Value;
    SHUTDOWN_TIMEOUT = "JACKLINE_SHUTDOWN_TIMEOUT", "shutdown_timeout", One, Value;
    METRICS_ADDR = "JACKLINE_METRICS_ADDR", "metrics_addr", One, Value;
    OTLP_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT", "otlp_endpoint", One, Value;
    WEBHOOK_URL = "JACKLINE_WEBHOOK_URL", "webhook_url", One, Nothing;
    WEBHOOK_SECRET = "JACKLINE_WEBHOOK_SECRET", "webhook_secret", One, Nothing;
    WEBHOOK_SECRET_PREVIOUS = "JACKLINE_WEBHOOK_SECRET_PREVIOUS", "webhook_secret_previous", List, Nothing;
    WEBHOOK_EVENTS = "JACKLINE_WEBHOOK_EVENTS", "webhook_events", List, Value;
    LOG_FORMAT = "JACKLINE_LOG_FORMAT", "log_format", One, Value;
    LOG = "JACKLINE_LOG", "log", One, Value;
}

/// Says where `jackline.toml` is, so it is known in the environment and meaningless inside the file.
pub(crate) const CONFIG_VARIABLE: &str = "JACKLINE_CONFIG";

/// The variable that someone who wrote `name` most likely meant.
pub(crate) fn variable_like(name: &str) -> Option<&'static str> {
    nearest(name).map(|setting| setting.variable)
}

/// The key of `jackline.toml` that someone who wrote `name` most likely meant.
pub(crate) fn key_like(name: &str) -> Option<&'static str> {
    nearest(name).map(|setting| setting.key)
}

/// Compares without case, dashes and the prefix, so that `JACKLINE_SESSION_SECRET` and `idle-timeout` find their setting at once.
fn nearest(name: &str) -> Option<&'static Setting> {
    // Longer than any name with any typing mistake: not worth measuring, and a stranger could make measuring slow.
    if name.len() > 64 {
        return None;
    }
    let plain = name.to_lowercase().replace('-', "_");
    let plain = plain.strip_prefix("jackline_").unwrap_or(&plain);
    Setting::ALL
        .iter()
        .map(|setting| (strsim::osa_distance(plain, setting.key), setting))
        .filter(|(distance, setting)| *distance <= (1 + setting.key.len() / 5).min(4))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, setting)| setting)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Proves: J11
    #[test]
    fn a_mistyped_name_finds_the_setting_that_was_meant() {
        assert_eq!(
            variable_like("JACKLINE_IDLE_TIMOUT"),
            Some("JACKLINE_IDLE_TIMEOUT")
        );
        assert_eq!(
            variable_like("JACKLINE_SESSION_SECRET"),
            Some("SESSION_SECRET")
        );
        assert_eq!(
            variable_like("JACKLINE_TRUSTED_PROXY"),
            Some("JACKLINE_TRUSTED_PROXIES")
        );
        assert_eq!(key_like("idle-timeout"), Some("idle_timeout"));
        assert_eq!(key_like("JACKLINE_HOST"), Some("host"));
        assert_eq!(key_like("favourite_colour"), None);
        assert_eq!(key_like(&"x".repeat(1_000_000)), None);
    }
}
