//! The document at `/openapi.json` is the running server's: the same paths with the same methods, and answers as it says, statuses and
//! bodies. First by hand, through every operation; then by Schemathesis, which makes up requests.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use testkit::schemathesis;
use ureq::http::Method;

use crate::browser::{Answer, Browser, PASSWORD};
use crate::console;
use crate::program::{Place, Program};
use crate::second_factors::{app as testkit_app, origin};
use testkit::passkey::Passkey;

const ROUTER: &str = include_str!("../../src/router.rs");

/// The operations that only people are answered.
const PAGES: [&str; 5] = [
    "figuresPart",
    "logInPage",
    "secondFactorPage",
    "stepUpPage",
    "changePasswordPage",
];

struct Document(Value);

impl Document {
    fn of(program: &Program) -> Self {
        let answer = Browser::new(program).get("/openapi.json");
        assert_eq!(answer.seen().0, 200);
        assert!(answer.set_cookies().is_empty());
        Self(answer.json())
    }

    /// Each path with its methods.
    fn operations(&self) -> BTreeMap<String, BTreeSet<String>> {
        let paths = self.0["paths"].as_object().unwrap().iter();
        paths
            .map(|(path, methods)| {
                let methods = methods.as_object().unwrap().keys();
                (
                    path.clone(),
                    methods.map(|method| method.to_uppercase()).collect(),
                )
            })
            .collect()
    }

    /// What a reference leads to, or the value itself.
    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => {
                let found = self.0.pointer(reference.trim_start_matches('#'));
                found.unwrap_or_else(|| panic!("{reference} leads nowhere"))
            }
            None => value,
        }
    }

    /// The answer is one that the operation may give.
    fn check(&self, method: &str, path: &str, answer: &Answer) {
        let place = format!("{method} {path}: {answer:?}");
        let operation = &self.0["paths"][path][method.to_lowercase()];
        let response = &operation["responses"][answer.status.to_string()];
        assert!(!response.is_null(), "not documented: {place}");
        let content = self.resolve(response)["content"].as_object().unwrap();
        let kind = answer.headers["content-type"].to_str().unwrap();
        let kind = kind.split(';').next().unwrap();
        let content = content
            .get(kind)
            .unwrap_or_else(|| panic!("{kind}? {place}"));
        let body = match kind {
            "application/json" => answer.json(),
            _ => Value::String(answer.text.clone()),
        };
        self.conform(&body, &content["schema"], &place);
    }

    /// The part of JSON Schema that the document uses; any other is a mistake here.
    fn conform(&self, value: &Value, schema: &Value, place: &str) {
        let schema = self.resolve(schema);
        for (keyword, says) in schema.as_object().unwrap() {
            match keyword.as_str() {
                "type" => {
                    let kind = match value {
                        Value::String(_) => "string",
                        Value::Bool(_) => "boolean",
                        Value::Array(_) => "array",
                        Value::Object(_) => "object",
                        Value::Number(number) if number.is_i64() => "integer",
                        _ => "something else",
                    };
                    assert_eq!(says, kind, "{place}");
                }
                "const" => assert_eq!(says, value, "{place}"),
                "minimum" => assert!(value.as_i64() >= says.as_i64(), "{place}"),
                "required" => {
                    for name in says.as_array().unwrap() {
                        assert!(
                            value.get(name.as_str().unwrap()).is_some(),
                            "{name}? {place}"
                        );
                    }
                }
                "properties" => {
                    for (name, schema) in says.as_object().unwrap() {
                        if let Some(value) = value.get(name) {
                            self.conform(value, schema, place);
                        }
                    }
                }
                "additionalProperties" if says == false => {
                    for name in value.as_object().unwrap().keys() {
                        assert!(!schema["properties"][name].is_null(), "{name}? {place}");
                    }
                }
                "items" => {
                    for value in value.as_array().unwrap() {
                        self.conform(value, says, place);
                    }
                }
                "format" if says == "date-time" => {
                    assert!(value.as_str().unwrap().ends_with('Z'), "{place}");
                }
                "enum" => assert!(says.as_array().unwrap().contains(value), "{place}"),
                "pattern" => assert!(!value.as_str().unwrap().is_empty(), "{place}"),
                "additionalProperties" | "description" => {}
                other => panic!("{other} is not looked at; {place}"),
            }
        }
    }
}

/// The paths of the router's source.
fn routed() -> BTreeSet<String> {
    let routes = ROUTER.split(".route(").skip(1);
    let paths = routes.map(|route| {
        let path = route.split('"').nth(1).unwrap();
        path.to_owned()
    });
    paths.collect()
}

#[test]
fn the_document_has_the_routers_paths_with_their_methods_and_the_programs_version() {
    let program = Place::new(&[]).serve();
    let document = Document::of(&program);
    let operations = document.operations();
    assert_eq!(
        operations.keys().cloned().collect::<BTreeSet<_>>(),
        routed()
    );
    let mut browser = Browser::new(&program);
    for (path, methods) in operations {
        let refused = browser.send(
            Method::TRACE,
            &path
                .replace("{handle}", "x")
                .replace("{name}", "x")
                .replace("{id}", "x"),
            None,
        );
        assert_eq!(refused.status, 405, "{path}");
        let allowed = refused.headers["allow"].to_str().unwrap().split(',');
        // What answers GET answers HEAD.
        let allowed: BTreeSet<_> = allowed
            .filter(|method| *method != "HEAD")
            .map(str::to_owned)
            .collect();
        assert_eq!(allowed, methods, "{path}");
    }
    assert_eq!(document.0["info"]["version"], env!("CARGO_PKG_VERSION"));
    let unknown = browser.get("/openapi");
    assert_eq!(unknown.seen(), (404, r#"{"error":"Not found"}"#));
}

#[test]
fn every_operation_answers_as_documented_when_all_is_well_and_when_it_is_not() {
    let (_place, program, root_id) = console::with_root(&[]);
    let document = Document::of(&program);
    let mut succeeded: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut look = |method: &str, path: &str, answer: &Answer, status: u16| {
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        document.check(method, path, answer);
        if status == 200 {
            let methods = succeeded.entry(path.to_owned()).or_default();
            methods.insert(method.to_owned());
        }
    };
    let mut other = Browser::new(&program);
    other.log_in();
    let mut visitor = Browser::new(&program);
    let mut alice = Browser::new(&program);
    for path in [
        "/",
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/views",
        "/csrf-token",
        "/session/data",
    ] {
        look("GET", path, &visitor.get(path), 200);
    }
    for path in ["/profile", "/sessions"] {
        look("GET", path, &visitor.get(path), 401);
    }

    look("GET", "/login", &visitor.get("/login"), 405);
    look("GET", "/login", &visitor.visit("/login"), 200);
    let style = visitor.get("/assets/jackline.css");
    look("GET", "/assets/{name}", &style, 200);
    look("GET", "/assets/{name}", &visitor.get("/assets/x"), 404);

    let login = json!({ "username": "alice", "password": PASSWORD });
    look("POST", "/login", &alice.post("/login", &login), 200);
    look("POST", "/login", &alice.post("/login", &json!({})), 400);
    look(
        "POST",
        "/login",
        &alice.post("/login", &json!({ "username": "alice", "password": "no" })),
        401,
    );
    look(
        "POST",
        "/login",
        &alice.send(Method::POST, "/login", None),
        415,
    );
    let long = json!({ "username": "x".repeat(70_000), "password": "x" });
    look("POST", "/login", &alice.post("/login", &long), 413);

    for path in ["/profile", "/sessions"] {
        look("GET", path, &alice.get(path), 200);
    }
    look(
        "GET",
        "/sessions",
        &alice.get("/sessions?after=1&after=2"),
        400,
    );
    let patch = json!({ "theme": "dark", "views": "many" });
    look(
        "PATCH",
        "/session/data",
        &alice.send(Method::PATCH, "/session/data", Some(&patch)),
        403,
    );
    look(
        "PATCH",
        "/session/data",
        &alice.send_safely(Method::PATCH, "/session/data", Some(&patch)),
        200,
    );
    let reserved = json!({ "userId": "root" });
    look(
        "PATCH",
        "/session/data",
        &alice.send_safely(Method::PATCH, "/session/data", Some(&reserved)),
        400,
    );
    look("GET", "/views", &alice.get("/views"), 409);

    for path in ["/reauth", "/password"] {
        look("GET", path, &alice.visit(path), 200);
        look("GET", path, &alice.get(path), 405);
        look("GET", path, &visitor.get(path), 405);
    }

    let by_form = "/sessions/end";
    let mut third = Browser::new(&program);
    third.log_in();
    let own = third.get("/sessions").json()["sessions"][0]["handle"].clone();
    let named = json!({ "handle": own });
    look("POST", by_form, &alice.post(by_form, &named), 403);
    for status in [200, 404] {
        let ended = alice.send_safely(Method::POST, by_form, Some(&named));
        look("POST", by_form, &ended, status);
    }
    let nothing = alice.send_safely(Method::POST, by_form, Some(&json!({})));
    look("POST", by_form, &nothing, 400);

    let handle = "/sessions/{handle}";
    let sessions = alice.get("/sessions").json()["sessions"].clone();
    let others = sessions
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["current"] == false);
    let others = format!("/sessions/{}", others.unwrap()["handle"].as_str().unwrap());
    look(
        "DELETE",
        handle,
        &alice.send(Method::DELETE, &others, None),
        403,
    );
    look(
        "DELETE",
        handle,
        &alice.send_safely(Method::DELETE, &others, None),
        200,
    );
    look(
        "DELETE",
        handle,
        &alice.send_safely(Method::DELETE, &others, None),
        404,
    );
    look(
        "DELETE",
        handle,
        &visitor.send_safely(Method::DELETE, &others, None),
        401,
    );
    look(
        "POST",
        "/sessions/end-others",
        &alice.send_safely(Method::POST, "/sessions/end-others", None),
        200,
    );

    let password = json!({ "password": PASSWORD });
    look(
        "POST",
        "/reauth",
        &alice.send_safely(Method::POST, "/reauth", Some(&password)),
        200,
    );
    every_factor_operation(&mut look, &program, &mut alice);
    let short = json!({ "newPassword": "short" });
    look(
        "POST",
        "/password",
        &alice.send_safely(Method::POST, "/password", Some(&short)),
        400,
    );
    let new = json!({ "newPassword": "another-horse-on-kelp" });
    look(
        "POST",
        "/password",
        &alice.send_safely(Method::POST, "/password", Some(&new)),
        200,
    );
    look("POST", "/logout", &alice.post("/logout", &json!({})), 200);
    look(
        "POST",
        "/reauth",
        &alice.send_safely(Method::POST, "/reauth", Some(&password)),
        401,
    );

    let mut root = console::root(&program);
    for path in ["/admin", "/admin/users", "/admin/events"] {
        look("GET", path, &visitor.get(path), 401);
        look("GET", path, &other.get(path), 401);
        look("GET", path, &root.get(path), 200);
    }
    let mut alice = Browser::new(&program);
    alice.log_in_as("alice", new["newPassword"].as_str().unwrap());
    look("GET", "/admin", &alice.get("/admin"), 403);
    look("GET", "/admin/figures", &root.visit("/admin/figures"), 200);
    look("GET", "/admin/figures", &root.get("/admin/figures"), 405);
    look("GET", "/admin/figures", &alice.visit("/admin/figures"), 403);
    let stream = "/admin/events/stream";
    look("GET", stream, &console::stream_head(&root, &program), 200);
    look("GET", stream, &alice.get(stream), 403);
    for query in ["kind=x", "after=x", "user=a&user=b"] {
        look("GET", stream, &root.get(&format!("{stream}?{query}")), 400);
    }
    for path in ["/admin/users?after=1&after=2", "/admin/events?kind=x"] {
        let (documented, _) = path.split_once('?').unwrap();
        look("GET", documented, &root.get(path), 400);
    }
    let user = "/admin/users/{id}";
    let of = |id: &str, action: &str| format!("/admin/users/{id}{action}");
    look("GET", user, &root.get(&of("user-1001", "")), 200);
    look("GET", user, &root.get(&of("user-1", "")), 404);
    look(
        "GET",
        user,
        &root.get(&of("user-1001", "?after=1&after=2")),
        400,
    );
    let sessions = root.get(&of("user-1001", "")).json()["sessions"].clone();
    let named = json!({ "handle": sessions[0]["handle"] });
    for (action, body) in [
        ("/end-session", Some(&named)),
        ("/end-sessions", None),
        ("/disable", None),
        ("/enable", None),
    ] {
        let path = format!("{user}{action}");
        let mut act = |browser: &mut Browser<'_>, id: &str, status: u16| {
            let answer = browser.send_safely(Method::POST, &of(id, action), body);
            look("POST", &path, &answer, status);
        };
        act(&mut visitor, "user-1001", 401);
        act(&mut root, "user-1001", 200);
        act(&mut root, "user-1", 404);
    }
    let disable = of(&root_id, "/disable");
    let own = root.send_safely(Method::POST, &disable, None);
    look("POST", "/admin/users/{id}/disable", &own, 409);

    assert_eq!(succeeded, document.operations(), "each has succeeded once");
}

/// What there is to do with second factors, from the first to the last.
fn every_factor_operation<'a>(
    look: &mut impl FnMut(&str, &str, &Answer, u16),
    program: &'a Program,
    alice: &mut Browser<'a>,
) {
    let nothing = json!({});
    let mut post = |browser: &mut Browser<'a>, path: &str, body: &Value, status: u16| {
        let answer = browser.send_safely(Method::POST, path, Some(body));
        look("POST", path, &answer, status);
        answer.json()
    };
    post(alice, "/factors/recovery-codes", &nothing, 409);
    post(alice, "/factors/totp", &json!({ "name": 1 }), 400);
    let secret = post(alice, "/factors/totp", &json!({ "name": "Phone" }), 200);
    let mut app = testkit_app(&secret);
    let wrong = json!({ "id": secret["id"], "code": "x" });
    post(alice, "/factors/totp/confirm", &wrong, 400);
    let unknown = json!({ "id": "x", "code": "x" });
    post(alice, "/factors/totp/confirm", &unknown, 404);
    let right = json!({ "id": secret["id"], "code": app.next_code() });
    let added = post(alice, "/factors/totp/confirm", &right, 200);
    post(alice, "/reauth/passkey/options", &nothing, 404);

    let options = post(alice, "/factors/passkeys/options", &nothing, 200);
    let (passkey, made) = Passkey::make(&options, &origin(program));
    let made = json!({ "name": "Key", "credential": made });
    post(alice, "/factors/passkeys", &made, 200);
    post(alice, "/factors/passkeys", &made, 409);

    let options = post(alice, "/reauth/passkey/options", &nothing, 200);
    let answer = json!({ "passkey": passkey.answer(&options) });
    post(alice, "/reauth", &answer, 200);
    let used = json!({ "code": added["recoveryCodes"][0] });
    post(alice, "/reauth", &used, 200);
    post(alice, "/reauth", &used, 401);
    post(alice, "/factors/recovery-codes", &nothing, 200);

    // A login with either of them.
    let login = json!({ "username": "alice", "password": PASSWORD });
    let mut again = Browser::new(program);
    post(
        &mut again,
        "/login/second-factor",
        &json!({ "code": "x" }),
        401,
    );
    post(&mut again, "/login", &login, 200);
    post(
        &mut again,
        "/login/second-factor",
        &json!({ "code": "x" }),
        401,
    );
    let form = again.visit("/login/second-factor");
    let code = json!({ "code": app.next_code() });
    post(&mut again, "/login/second-factor", &code, 200);
    let mut again = Browser::new(program);
    let options = post(&mut again, "/login/passkey/options", &nothing, 200);
    post(&mut again, "/login/passkey", &nothing, 400);
    let answer = passkey.answer(&options);
    post(&mut again, "/login/passkey", &answer, 200);
    post(&mut again, "/login/passkey", &answer, 401);

    let listed = alice.get("/factors").json();
    let factors = listed["factors"].as_array().unwrap();
    let first = json!({ "id": factors[0]["id"] });
    for status in [200, 404] {
        post(alice, "/factors/remove", &first, status);
    }
    look("GET", "/login/second-factor", &form, 200);
    let to_program = alice.get("/login/second-factor");
    look("GET", "/login/second-factor", &to_program, 405);
    look("GET", "/factors", &alice.get("/factors"), 200);
    for factor in &factors[1..] {
        let path = format!("/factors/{}", factor["id"].as_str().unwrap());
        for status in [200, 404] {
            let answer = alice.send_safely(Method::DELETE, &path, None);
            look("DELETE", "/factors/{id}", &answer, status);
        }
    }
}

#[test]
fn made_up_requests_of_strangers_and_of_users_are_answered_as_documented() {
    let target = env!("CARGO_TARGET_TMPDIR");
    let mut place = Place::new(&[]);
    // Whatever is written at TRACE about some hundreds of requests is too much to look through.
    place.set("JACKLINE_LOG", "info");
    place.be_patient();
    let program = place.serve();
    let url = format!("http://localhost:{}/openapi.json", program.port);
    // A stranger's odd method is unsafe, and lacks the token before it is looked up: with the token, below, it is looked at.
    let mut arguments = vec!["--exclude-checks", "unsupported_method"];
    for page in PAGES {
        arguments.extend(["--exclude-operation-id", page]);
    }
    schemathesis::run(&url, target, &arguments);
    // Pages are for those who ask for them, and whoever sends a page nonsense is sent to sign in, which is no rejection here.
    let unasked = "unsupported_method,negative_data_rejection";
    let mut arguments = vec!["-H", "Accept: text/html", "--exclude-checks", unasked];
    for page in PAGES {
        arguments.extend(["--include-operation-id", page]);
    }
    schemathesis::run(&url, target, &arguments);

    let mut alice = Browser::new(&program);
    alice.log_in();
    let token = format!("x-csrf-token: {}", alice.csrf_token());
    let cookie = format!("Cookie: sid={}", alice.cookies["sid"]);
    // The cookie is on every request, so those that are meant to lack it do not; and whoever changes the password, logs out or ends the
    // session whose handle the list has shown is a stranger from then on.
    let arguments = [
        ["-H", &token],
        ["-H", &cookie],
        ["--exclude-checks", "negative_data_rejection"],
        ["--exclude-path", "/logout"],
        ["--exclude-path", "/password"],
        ["--exclude-path", "/sessions/{handle}"],
    ];
    let pages = PAGES.map(|page| ["--exclude-operation-id", page]);
    let arguments = [arguments.as_flattened(), pages.as_flattened()].concat();
    schemathesis::run(&url, target, &arguments);
    assert_eq!(
        alice.get("/profile").status,
        200,
        "it was alice all the time"
    );
}
