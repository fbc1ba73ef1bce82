//! What stands in `ops/` fits the program: alerts and dashboard ask for what a running server shows, Prometheus's own tool takes its
//! page and passes the alerts' tests, and systemd takes the unit and finds it hard to break out of.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use testkit::certificates::Certificates;

use crate::browser::Browser;
use crate::metrics::Watched;
use crate::program::Place;

fn ops(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../ops")
        .join(file)
}

/// Runs a tool with something on its standard input, and returns what it says. It must succeed.
fn run(program: &str, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} does not run ({error})"));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    said
}

/// What a server that was used shows.
fn shown() -> (String, BTreeSet<String>) {
    let mut place = Place::new(&[]);
    let certificates = Certificates::make();
    place.speak_tls(&certificates);
    let watched = Watched::in_place(&mut place);
    let mut browser = Browser::new(&watched.program);
    browser.log_in();
    browser.get("/profile");
    let names = watched.series().into_keys();
    (watched.page(), names.collect())
}

/// Every query of the dashboard.
fn queries() -> Vec<String> {
    let text = std::fs::read_to_string(ops("grafana/jackline.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array());
    let queries = targets.flatten().map(|target| {
        let query = target["expr"].as_str().unwrap();
        query
            .replace("$__rate_interval", "5m")
            .replace("$job", "jackline")
    });
    queries.collect()
}

/// The words of queries that begin with `jackline_`, each with the labels in the braces after it.
fn asked_for(text: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("jackline_") {
        let rest = &text[at..];
        let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = rest.find(|c| !name(c)).unwrap_or(rest.len());
        let (metric, rest) = rest.split_at(end);
        let braces = rest
            .strip_prefix('{')
            .and_then(|rest| rest.split('}').next());
        let labels = braces.unwrap_or_default().split(',').filter_map(|label| {
            let (key, value) = label.split_once('=')?;
            let key = key.trim().trim_end_matches('!');
            Some((key.to_owned(), value.trim_matches(['~', '"']).to_owned()))
        });
        found.push((metric.to_owned(), labels.collect()));
    }
    found
}

// Proves: S71
#[test]
fn alerts_and_dashboard_ask_for_what_a_server_shows() {
    let (_, series) = shown();
    let alerts = std::fs::read_to_string(ops("prometheus/alerts.yml")).unwrap();
    let asked = asked_for(&format!("{alerts}\n{}", queries().join("\n")));
    assert!(asked.len() > 30, "{asked:?}");
    for (metric, labels) in asked {
        let of_metric: Vec<_> = series
            .iter()
            .filter(|series| series.split('{').next() == Some(metric.as_str()))
            .collect();
        assert!(!of_metric.is_empty(), "no {metric} in {series:?}");
        // Prometheus adds the job. Reasons, and how calls end, depend on what happened.
        for (label, values) in labels.iter().filter(|(label, _)| label != "job") {
            let key = format!("{label}=\"");
            assert!(
                of_metric.iter().any(|series| series.contains(&key)),
                "{metric} has no {label}"
            );
            if label == "event" {
                for value in values.split('|') {
                    let event = format!("{key}{value}\"");
                    assert!(
                        of_metric.iter().any(|series| series.contains(&event)),
                        "{event}"
                    );
                }
            }
        }
    }
}

#[test]
fn prometheus_takes_the_page_and_finds_nothing_to_object_to() {
    let (page, _) = shown();
    assert_eq!(run("promtool", &["check", "metrics"], &page), "");
}

// Proves: S77
#[test]
fn every_alert_fires_on_what_it_is_for_and_is_quiet_on_an_ordinary_day() {
    let rules = ops("prometheus/alerts.yml");
    run("promtool", &["check", "rules", rules.to_str().unwrap()], "");
    let tests = ops("prometheus/alerts.test.yml");
    run("promtool", &["test", "rules", tests.to_str().unwrap()], "");
    let (rules, tests) = (
        std::fs::read_to_string(rules).unwrap(),
        std::fs::read_to_string(tests).unwrap(),
    );
    for rule in rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
    {
        let fires = format!("alertname: {rule}\n        exp_alerts:");
        assert!(tests.contains(&fires), "no test lets {rule} fire");
        let quiet = format!("{{ eval_time: 50m, alertname: {rule} }}");
        assert!(tests.contains(&quiet), "no test lets {rule} be quiet");
    }
}

#[test]
fn the_dashboards_queries_are_prometheus_s() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dashboard.yml");
    let rules = queries()
        .into_iter()
        .enumerate()
        .map(|(n, query)| serde_json::json!({ "record": format!("query:{n}"), "expr": query }));
    // JSON is YAML.
    let groups = serde_json::json!({ "groups": [{ "name": "dashboard", "rules": rules.collect::<Vec<_>>() }] });
    std::fs::write(&file, groups.to_string()).unwrap();
    run("promtool", &["check", "rules", file.to_str().unwrap()], "");
}

#[test]
fn systemd_takes_the_unit_and_holds_the_server_in() {
    let unit = std::fs::read_to_string(ops("systemd/jackline.service")).unwrap();
    let installed = "ExecStart=/usr/bin/jackline serve";
    assert!(unit.contains(installed));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jackline.service");
    let here = format!("ExecStart={} serve", env!("CARGO_BIN_EXE_jackline"));
    std::fs::write(&file, unit.replace(installed, &here)).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(
        run("systemd-analyze", &["verify", "--man=no", file], ""),
        ""
    );
    // Of 100, where 100 is a service that may do anything.
    run(
        "systemd-analyze",
        &["security", "--offline=true", "--threshold=15", file],
        "",
    );
}
