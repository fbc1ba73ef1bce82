//! What axe-core finds on a page that keeps somebody from using it. It is the package that the lockfile in `node/axe/` fixes.

use std::sync::OnceLock;

use super::Chromium;
use crate::node;

/// Of the rules, those of WCAG 2.2 up to level AA, and what axe calls best practice.
const FIND: &str = "
    const found = await axe.run(document, { resultTypes: ['violations'] });
    return found.violations
        .filter(violation => ['serious', 'critical'].includes(violation.impact))
        .map(violation => violation.id + ' (' + violation.impact + '): ' + violation.help + ' '
            + violation.nodes.map(node => node.html + ': ' + node.failureSummary).join('; '));";

impl Chromium {
    /// What axe finds serious or critical, in sentences. `target` is the test's `CARGO_TARGET_TMPDIR`.
    ///
    /// # Panics
    /// If axe's package cannot be fetched, or axe fails.
    #[must_use]
    pub fn barriers(&self, target: &str) -> Vec<String> {
        static SOURCE: OnceLock<String> = OnceLock::new();
        let source = SOURCE.get_or_init(|| {
            let packages = node::npm_packages("axe", target);
            std::fs::read_to_string(packages.join("axe-core/axe.min.js")).unwrap()
        });
        if self.run("return typeof axe;", &[]) == "undefined" {
            self.run(source, &[]);
        }
        let found = self.run_async(FIND, &[]);
        let found = found.as_array().unwrap().iter();
        found
            .map(|barrier| barrier.as_str().unwrap().to_owned())
            .collect()
    }
}
