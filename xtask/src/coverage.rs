//! Which test proves which requirement. docs/requirements.toml holds the numbers, the lines `// Proves: J1, S5` above the tests cite them,
//! and docs/coverage.md is written from both. Checked, it is a promise: a citation names a number that exists and stands beside a
//! test that runs, and every number not yet planned for later has a test.

mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::run;
use scan::Proof;

/// Where tests stand.
const FOLDERS: &[&str] = &["crates", "examples", "fuzz/targets", "xtask"];

const REQUIREMENTS: &str = "docs/requirements.toml";
const PAGE: &str = "docs/coverage.md";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Requirements {
    group: Vec<Group>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    title: String,
    requirements: Vec<Requirement>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Requirement {
    id: String,
    what: String,
    standard: Option<String>,
    planned: Option<String>,
}

/// Writes the page.
///
/// # Errors
/// When a citation is mistaken. The page is written all the same.
pub(crate) fn write() -> Result<()> {
    let coverage = Coverage::read()?;
    fs::write(run::root().join(PAGE), coverage.page())?;
    println!("{PAGE}: {}", coverage.summary());
    report(coverage.mistakes)
}

/// Checks that the page is up to date and has no gap.
///
/// # Errors
/// With a line for each gap and each mistaken citation.
pub(crate) fn check() -> Result<()> {
    let coverage = Coverage::read()?;
    let mut problems = coverage.gaps();
    if fs::read_to_string(run::root().join(PAGE)).unwrap_or_default() != coverage.page() {
        problems.push(format!("{PAGE} is out of date: run `cargo xtask coverage`"));
    }
    println!("{}", coverage.summary());
    problems.extend(coverage.mistakes);
    report(problems)
}

fn report(problems: Vec<String>) -> Result<()> {
    for problem in &problems {
        println!("{problem}");
    }
    if !problems.is_empty() {
        bail!(
            "requirements and tests do not fit: {} problems",
            problems.len()
        );
    }
    Ok(())
}

#[derive(Debug)]
struct Coverage {
    groups: Vec<Group>,
    /// The tests that cite a number, sorted.
    proofs: BTreeMap<String, BTreeSet<String>>,
    mistakes: Vec<String>,
}

impl Coverage {
    fn read() -> Result<Self> {
        let text = fs::read_to_string(run::root().join(REQUIREMENTS))
            .with_context(|| format!("cannot read {REQUIREMENTS}"))?;
        let requirements: Requirements =
            toml::from_str(&text).with_context(|| format!("{REQUIREMENTS} is malformed"))?;
        let mut mistakes = Vec::new();
        let mut found = Vec::new();
        for folder in FOLDERS {
            scan_folder(Path::new(folder), &mut found, &mut mistakes)?;
        }
        Ok(Self::new(requirements.group, found, mistakes))
    }

    fn new(groups: Vec<Group>, found: Vec<Proof>, mut mistakes: Vec<String>) -> Self {
        let mut proofs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for id in groups
            .iter()
            .flat_map(|group| &group.requirements)
            .map(|requirement| &requirement.id)
        {
            if proofs.insert(id.clone(), BTreeSet::new()).is_some() {
                mistakes.push(format!("{REQUIREMENTS}: {id} occurs twice"));
            }
        }
        for proof in found {
            for id in &proof.ids {
                match proofs.get_mut(id) {
                    Some(tests) => _ = tests.insert(proof.test.clone()),
                    None => mistakes.push(format!("{}: there is no requirement {id}", proof.test)),
                }
            }
        }
        Self {
            groups,
            proofs,
            mistakes,
        }
    }

    fn requirements(&self) -> impl Iterator<Item = &Requirement> {
        self.groups.iter().flat_map(|group| &group.requirements)
    }

    fn is_proven(&self, requirement: &Requirement) -> bool {
        self.proofs
            .get(&requirement.id)
            .is_some_and(|tests| !tests.is_empty())
    }

    fn gaps(&self) -> Vec<String> {
        let gaps = self
            .requirements()
            .filter(|requirement| requirement.planned.is_none() && !self.is_proven(requirement));
        gaps.map(|gap| format!("{} has no test: {}", gap.id, gap.what))
            .collect()
    }

    fn summary(&self) -> String {
        let all = self.requirements().count();
        let proven = self
            .requirements()
            .filter(|requirement| self.is_proven(requirement))
            .count();
        let gaps = self.gaps().len();
        format!(
            "{proven} of {all} requirements have a test, {} are planned, {gaps} are gaps",
            all - proven - gaps
        )
    }

    fn page(&self) -> String {
        let mut page = String::from(
            "<!-- Written by `cargo xtask coverage` from docs/requirements.toml and the tests. Edit those. -->\n\n\
             # What is required, and the tests that prove it\n\n",
        );
        _ = writeln!(page, "{}.", self.summary());
        for group in &self.groups {
            _ = write!(
                page,
                "\n## {}\n\n| number | what | tests |\n|---|---|---|\n",
                group.title
            );
            for requirement in &group.requirements {
                let standard = requirement
                    .standard
                    .as_ref()
                    .map(|standard| format!(" ({standard})"))
                    .unwrap_or_default();
                _ = writeln!(
                    page,
                    "| {} | {}{standard} | {} |",
                    requirement.id,
                    requirement.what,
                    self.tests(requirement)
                );
            }
        }
        page
    }

    /// The last cell of a row.
    fn tests(&self, requirement: &Requirement) -> String {
        let tests = self
            .proofs
            .get(&requirement.id)
            .into_iter()
            .flatten()
            .map(|test| format!("`{test}`"));
        let planned = requirement
            .planned
            .iter()
            .map(|planned| format!("*planned: {planned}*"));
        let cell = tests.chain(planned).collect::<Vec<_>>().join("<br>");
        if cell.is_empty() {
            "**gap**".to_owned()
        } else {
            cell
        }
    }
}

/// Goes through all Rust files below a folder, which need not exist.
fn scan_folder(folder: &Path, proofs: &mut Vec<Proof>, mistakes: &mut Vec<String>) -> Result<()> {
    let absolute = run::root().join(folder);
    if !absolute.is_dir() {
        return Ok(());
    }
    let mut names = fs::read_dir(&absolute)?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<Result<Vec<_>>>()?;
    names.sort();
    for name in names {
        let path = folder.join(&name);
        if absolute.join(&name).is_dir() {
            // An example may be a workspace of its own, with what it built inside.
            if name != "target" {
                scan_folder(&path, proofs, mistakes)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(absolute.join(&name))
                .with_context(|| format!("cannot read {}", path.display()))?;
            scan::scan(&path.to_string_lossy(), &text, proofs, mistakes);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Coverage, Proof, Requirements};

    fn coverage(ids: &[&str]) -> Coverage {
        let requirements: Requirements = toml::from_str(
            r#"
            [[group]]
            title = "Promises"
            requirements = [
              { id = "J1", what = "One.", standard = "RFC 6265" },
              { id = "J2", what = "Two." },
              { id = "J3", what = "Three.", planned = "next year" },
            ]
            "#,
        )
        .unwrap();
        let proof = Proof {
            test: "a.rs::works".to_owned(),
            ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        };
        Coverage::new(requirements.group, vec![proof], Vec::new())
    }

    #[test]
    fn the_page_shows_tests_gaps_and_plans() {
        let page = coverage(&["J1"]).page();
        assert!(
            page.contains("1 of 3 requirements have a test, 1 are planned, 1 are gaps."),
            "{page}"
        );
        assert!(
            page.contains("| J1 | One. (RFC 6265) | `a.rs::works` |"),
            "{page}"
        );
        assert!(page.contains("| J2 | Two. | **gap** |"), "{page}");
        assert!(
            page.contains("| J3 | Three. | *planned: next year* |"),
            "{page}"
        );
    }

    #[test]
    fn only_what_is_not_planned_can_be_a_gap() {
        assert_eq!(coverage(&["J1"]).gaps(), ["J2 has no test: Two."]);
        assert!(coverage(&["J1", "J2"]).gaps().is_empty());
    }

    #[test]
    fn an_unknown_number_is_a_mistake() {
        assert_eq!(
            coverage(&["J9"]).mistakes,
            ["a.rs::works: there is no requirement J9"]
        );
    }
}
