//! Finds citations in a Rust file, line by line: no parser, so that a test inside a module or a macro is found as well as any. A citation
//! belongs to what follows it with only comments and attributes between:
//!
//! - `// Proves: J1, S5` to a function with a test attribute, to a fuzz target, or to a case of the public store contract;
//! - the same in a doc comment to the example in that comment, such as one marked `compile_fail`.
//!
//! A citation of anything else is a mistake, and so is that of an ignored test or of an example that does not run.

/// Where the store contract lives: plain functions, which the test of every engine calls.
const CONTRACT: &str = "/src/testing/";

/// A test, and the requirements it cites.
#[derive(Debug, PartialEq)]
pub(super) struct Proof {
    /// `path::name`.
    pub(super) test: String,
    pub(super) ids: Vec<String>,
}

/// Adds the proofs of one file, and a line for each citation that proves nothing.
pub(super) fn scan(path: &str, text: &str, proofs: &mut Vec<Proof>, mistakes: &mut Vec<String>) {
    let mut module = Doc::default();
    let mut above = Above::default();
    for piece in pieces(text) {
        match piece {
            Piece::ModuleDoc(line) => module.read(line),
            Piece::Doc(line) => above.doc.read(line),
            Piece::Comment(line) => above.citation.read(line),
            Piece::Attribute(attribute) => above.read_attribute(&attribute),
            Piece::Code(code) => std::mem::take(&mut above).settle(path, &code, proofs, mistakes),
            Piece::Unclosed(start) => {
                mistakes.push(format!("{path}: an attribute has no end: {start}"))
            }
        }
    }
    module.settle(path, "module", proofs, mistakes);
}

enum Piece<'a> {
    ModuleDoc(&'a str),
    Doc(&'a str),
    Comment(&'a str),
    /// What stands between `#[` and `]`, on however many lines.
    Attribute(String),
    /// A line of anything else, also an empty one.
    Code(String),
    /// The start of an attribute that took the rest of the file.
    Unclosed(String),
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    // Starts with `#[` unless empty.
    let mut attribute = String::new();
    for line in text.lines().map(str::trim) {
        if attribute.is_empty() && !line.starts_with("#[") {
            pieces.push(plain(line));
            continue;
        }
        attribute.push_str(line);
        attribute.push(' ');
        while let Some(end) = closing_bracket(&attribute) {
            pieces.push(Piece::Attribute(attribute[2..end].to_owned()));
            attribute = attribute[end + 1..].trim().to_owned();
            if !attribute.is_empty() && !attribute.starts_with("#[") {
                pieces.push(Piece::Code(std::mem::take(&mut attribute)));
            }
        }
    }
    if !attribute.is_empty() {
        pieces.push(Piece::Unclosed(attribute.chars().take(24).collect()));
    }
    pieces
}

fn plain(line: &str) -> Piece<'_> {
    if let Some(doc) = line.strip_prefix("//!") {
        Piece::ModuleDoc(doc.trim())
    } else if let Some(doc) = line.strip_prefix("///") {
        Piece::Doc(doc.trim())
    } else if let Some(comment) = line.strip_prefix("//") {
        Piece::Comment(comment.trim())
    } else {
        Piece::Code(line.to_owned())
    }
}

/// The end of the attribute that the text starts with, if it is all there. Brackets inside strings do not count.
fn closing_bracket(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for (index, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            '[' if !in_string => depth += 1,
            ']' if !in_string => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(index);
                }
            }
            _ => {}
        }
    }
    None
}

/// What stands above a line of code.
#[derive(Default)]
struct Above {
    citation: Citation,
    doc: Doc,
    test: bool,
    ignored: bool,
}

impl Above {
    fn read_attribute(&mut self, attribute: &str) {
        let path = attribute
            .split(|character: char| !(character.is_alphanumeric() || "_:".contains(character)))
            .next()
            .unwrap_or_default();
        self.test |= path == "test" || path.ends_with("::test");
        self.ignored |= path == "ignore";
    }

    fn settle(self, path: &str, code: &str, proofs: &mut Vec<Proof>, mistakes: &mut Vec<String>) {
        let name = name(code);
        self.doc.settle(path, name, proofs, mistakes);
        if !self.citation.found {
            return;
        }
        let test = format!("{path}::{name}");
        let ids = self.citation.ids;
        let is_case = self.test
            || code.starts_with("fuzz_target!")
            || (path.contains(CONTRACT) && is_function(code));
        if ids.is_empty() {
            mistakes.push(format!("{test}: cites no number"));
        } else if self.ignored {
            mistakes.push(format!(
                "{test}: is ignored, and proves nothing of {}",
                ids.join(", ")
            ));
        } else if !is_case {
            mistakes.push(format!(
                "{test}: cites {} and is not a test",
                ids.join(", ")
            ));
        } else {
            proofs.push(Proof { test, ids });
        }
    }
}

/// The numbers after `Proves:`, from one comment line or several. After a comma at the end of a line the next goes on.
#[derive(Default)]
struct Citation {
    found: bool,
    ids: Vec<String>,
    goes_on: bool,
}

impl Citation {
    fn read(&mut self, line: &str) {
        let list = match line.strip_prefix("Proves:") {
            Some(list) => list,
            None if self.goes_on => line,
            None => return,
        };
        self.found = true;
        self.goes_on = list.trim_end().ends_with(',');
        self.ids.extend(
            list.split([',', ' '])
                .map(|id| id.trim_end_matches('.'))
                .filter(|id| !id.is_empty())
                .map(str::to_owned),
        );
    }
}

/// A doc comment: its citation, and whether it holds an example that is run.
#[derive(Default)]
struct Doc {
    citation: Citation,
    runs: bool,
    in_example: bool,
}

impl Doc {
    fn read(&mut self, line: &str) {
        if let Some(language) = line.strip_prefix("```") {
            self.in_example = !self.in_example;
            self.runs |= self.in_example && is_run(language);
        } else if !self.in_example {
            self.citation.read(line);
        }
    }

    fn settle(self, path: &str, name: &str, proofs: &mut Vec<Proof>, mistakes: &mut Vec<String>) {
        if !self.citation.found {
            return;
        }
        let test = format!("{path}::{name} (doctest)");
        if self.runs && !self.citation.ids.is_empty() {
            proofs.push(Proof {
                test,
                ids: self.citation.ids,
            });
        } else {
            mistakes.push(format!(
                "{test}: cites {} without an example that runs",
                self.citation.ids.join(", ")
            ));
        }
    }
}

/// Whether rustdoc tests a code block with this behind its fence.
fn is_run(language: &str) -> bool {
    let is_plain = |word: &str| {
        matches!(word, "rust" | "compile_fail" | "should_panic")
            || word.starts_with("E0")
            || word.starts_with("edition")
    };
    language
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .all(is_plain)
}

fn is_function(code: &str) -> bool {
    code.starts_with("fn ") || code.contains(" fn ")
}

/// What a line of code defines: the word after its keyword, else its first.
fn name(code: &str) -> &str {
    const KEYWORDS: &[&str] = &[
        "fn",
        "struct",
        "enum",
        "union",
        "trait",
        "type",
        "mod",
        "macro_rules!",
    ];
    // Modifiers may come first, but never another definition.
    let start = KEYWORDS
        .iter()
        .filter_map(|keyword| after_word(code, keyword))
        .min()
        .unwrap_or(0);
    // A macro names what it makes with a dollar sign.
    let is_part = |character: char| character.is_alphanumeric() || "_$".contains(character);
    let name = &code[start..];
    &name[..name
        .find(|character| !is_part(character))
        .unwrap_or(name.len())]
}

/// Where the text goes on after this word and a space.
fn after_word(text: &str, word: &str) -> Option<usize> {
    let mut position = 0;
    for part in text.split_inclusive(' ') {
        position += part.len();
        if part.trim_end() == word {
            return Some(position);
        }
    }
    None
}

#[cfg(test)]
mod tests;
