//! Pictures of every page that people see, made by the tests that look at them, in `docs/pages/` with a page that shows them all.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::{run, tools};

const FOLDER: &str = "docs/pages";

/// Takes all of them anew.
///
/// # Errors
/// When a page has barriers or does not fit its screen: then its picture is missing, and so is the page about it.
pub(crate) fn run() -> Result<()> {
    tools::ensure(tools::FOR_PAGES)?;
    let folder = run::root().join(FOLDER);
    if folder.exists() {
        fs::remove_dir_all(&folder).context("cannot remove the old pictures")?;
    }
    fs::create_dir_all(&folder)?;
    run::run(
        run::cargo("test -p jackline-server --all-features --test browser -- tour::")
            .env("JACKLINE_SCREENSHOTS", &folder),
    )?;
    let names = names(&folder)?;
    ensure!(!names.is_empty(), "the tests took no picture");
    fs::write(folder.join("README.md"), page(&names))?;
    println!("{FOLDER}: {} pages", names.len());
    Ok(())
}

/// Of each page, whatever is in front of the kind of its pictures.
fn names(folder: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for file in fs::read_dir(folder)? {
        let file = file?.file_name();
        let file = file.to_string_lossy();
        names.extend(file.strip_suffix("-desktop.png").map(str::to_owned));
    }
    Ok(names)
}

fn page(names: &BTreeSet<String>) -> String {
    let mut page = String::from(
        "# What people see\n\n\
         Every page, on a desktop in light colours and on a phone in dark ones. Written by `cargo xtask pages`: the pictures come from the\n\
         tests that look at each page with axe-core. Each works without scripts and with a keyboard, but for passkeys. Keys and codes in them\n\
         were made for the picture, by a server that ended with it.\n",
    );
    for name in names {
        let _ = write!(
            page,
            "\n## {name}\n\n\
             <img src=\"{name}-desktop.png\" alt=\"The page {name} on a desktop\" width=\"640\"> \
             <img src=\"{name}-phone.png\" alt=\"The page {name} on a phone\" width=\"195\">\n"
        );
    }
    page
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_page_has_both_of_its_pictures() {
        let page = super::page(&["login".to_owned()].into());
        assert!(page.contains("## login\n"));
        assert!(page.contains("\"login-desktop.png\"") && page.contains("\"login-phone.png\""));
    }
}
