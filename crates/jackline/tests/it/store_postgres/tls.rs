//! Who is at the other end is checked as the URL asks for it, and where it asks for nothing, strictly.

use jackline::postgres::{PostgresOpenError, PostgresUrl, Protection};
use jackline::store::Store as _;
use testkit::certificates::Certificates;
use testkit::postgres::PostgresServer;

use super::{connect, patient};

// Proves: J7, J11
#[tokio::test]
async fn tls_checks_the_server_and_shows_the_clients_certificate() {
    let (ours, others) = (Certificates::make(), Certificates::make());
    let server = PostgresServer::start_with_tls(&ours).await;
    let setup = "CREATE ROLE web LOGIN; CREATE ROLE certified LOGIN; \
                 GRANT CREATE ON DATABASE postgres TO web, certified";
    server.client().await.batch_execute(setup).await.unwrap();
    let connect = async |user: &str, host: &str, options: &str| {
        let schema = format!("of_{user}");
        let url = format!(
            "postgres://{user}@{host}:{}/postgres?{options}",
            server.port()
        );
        connect(&url, patient().schema(schema)).await
    };
    let trusted = format!("sslrootcert={}", ours.authority().display());
    let wrong = format!("sslrootcert={}", others.authority().display());
    let (certificate, key) = ours.client();
    let client = format!(
        "&sslcert={}&sslkey={}",
        certificate.display(),
        key.display()
    );

    for (host, options) in [
        ("127.0.0.1", format!("sslmode=verify-full&{trusted}")),
        ("localhost", format!("{trusted}&sslmode=verify-full")),
        // By an address that is not in the certificate.
        ("127.0.0.2", format!("sslmode=verify-ca&{trusted}")),
    ] {
        let store = connect("web", host, &options).await;
        let store = store.unwrap_or_else(|error| panic!("{host} {options}: {error}"));
        store.ping().await.unwrap();
    }
    for (host, options) in [
        ("127.0.0.2", format!("sslmode=verify-full&{trusted}")),
        ("127.0.0.2", format!("sslmode=require&{trusted}")),
        ("127.0.0.1", format!("sslmode=verify-full&{wrong}")),
        ("127.0.0.1", format!("sslmode=verify-ca&{wrong}")),
        ("127.0.0.1", format!("sslmode=require&{wrong}")),
        // Of an authority that no browser trusts.
        ("127.0.0.1", "sslmode=verify-full".to_owned()),
        ("127.0.0.1", "sslmode=require".to_owned()),
        ("127.0.0.1", "sslmode=verify-ca".to_owned()),
    ] {
        let error = connect("web", host, &options).await.unwrap_err();
        assert!(
            matches!(error, PostgresOpenError::Untrusted { .. }),
            "{host} {options}: {error:?}"
        );
    }

    let mutual = format!("sslmode=verify-full&{trusted}{client}");
    let store = connect("certified", "127.0.0.1", &mutual).await.unwrap();
    store.ping().await.unwrap();
    let bare = format!("sslmode=verify-full&{trusted}");
    for (user, options) in [("certified", bare.as_str()), ("web", "sslmode=disable")] {
        let error = connect(user, "127.0.0.1", options).await.unwrap_err();
        assert!(
            matches!(error, PostgresOpenError::Credentials { .. }),
            "{user}: {error:?}"
        );
    }
    let error = connect(
        "web",
        "127.0.0.1",
        "sslmode=verify-full&sslrootcert=/nowhere",
    );
    let error = error.await.unwrap_err();
    assert!(
        error.to_string().starts_with("/nowhere cannot be used"),
        "{error}"
    );
}

// Proves: J7, J11
#[tokio::test]
async fn a_server_without_tls_is_no_reason_to_go_on_without() {
    let server = PostgresServer::shared().await;
    for mode in ["require", "verify-ca", "verify-full"] {
        let url = format!("{}?sslmode={mode}", server.url());
        let error = connect(&url, patient()).await.unwrap_err();
        assert!(
            matches!(error, PostgresOpenError::NoTls { .. }),
            "{error:?}"
        );
    }
}

// Proves: J11
#[test]
fn what_an_address_does_not_say_is_strict() {
    let protection = |url: &str| url.parse::<PostgresUrl>().unwrap().protection();
    for (url, expected) in [
        ("postgres://db/app", Protection::Authenticated),
        (
            "postgres://10.0.0.7/app?connect_timeout=2",
            Protection::Authenticated,
        ),
        ("postgres://127.0.0.1,db/app", Protection::Authenticated),
        (
            "postgres://db/app?sslmode=verify-full",
            Protection::Authenticated,
        ),
        (
            "postgres://db/app?sslmode=verify%2Dca",
            Protection::Authenticated,
        ),
        (
            "postgres://db/app?sslmode=require&sslrootcert=ca.pem",
            Protection::Authenticated,
        ),
        (
            "postgres://db/app?sslmode=require",
            Protection::Authenticated,
        ),
        ("postgres://db/app?sslmode=disable", Protection::Plain),
        (
            "postgres://localhost/app?hostaddr=10.0.0.7&sslmode=disable",
            Protection::Plain,
        ),
        (
            "postgres://127.0.0.1,[::1],localhost/app",
            Protection::Local,
        ),
        (
            "postgres://%2Fvar%2Frun%2Fpostgresql/app",
            Protection::Local,
        ),
    ] {
        assert_eq!(protection(url), expected, "{url}");
    }
    let refusal = |url: &str| url.parse::<PostgresUrl>().unwrap_err();
    for mode in ["prefer", "allow", "verify", "", "DISABLE"] {
        let error = refusal(&format!("postgres://db/app?sslmode={mode}"));
        assert!(
            matches!(error, PostgresOpenError::TlsMode),
            "{mode}: {error:?}"
        );
    }
    for options in [
        "sslmode=disable&sslrootcert=ca.pem",
        "sslcert=client.pem",
        "sslmode=require&sslkey=client.key",
    ] {
        let error = refusal(&format!("postgres://db/app?{options}"));
        assert!(
            matches!(error, PostgresOpenError::TlsFiles),
            "{options}: {error:?}"
        );
    }
}
