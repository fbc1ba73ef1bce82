//! What was found: one line for each topic, and below, for everything that is wrong, what it is, why it matters and what to do. It is
//! written from statuses, names and settings that may be shown; no cookie, token or secret ever comes near it.

use std::fmt;

use super::topic::Topic;

/// Everything that was seen, and what could not be.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// What was looked at, one per line.
    about: Vec<String>,
    entries: Vec<(Topic, Outcome)>,
}

#[derive(Debug)]
enum Outcome {
    /// In a few words, what was seen.
    Fine(String),
    Wrong(Finding),
    /// Why nothing was seen.
    Unchecked(String),
}

/// One thing that is wrong.
#[derive(Debug)]
pub(super) struct Finding {
    /// What was found.
    pub(super) what: String,
    /// Why it matters.
    pub(super) why: String,
    /// What to do: a command or a setting to copy, where there is one.
    pub(super) fix: String,
}

impl Report {
    pub(super) fn about(&mut self, what: impl Into<String>) {
        self.about.push(what.into());
    }

    pub(super) fn fine(&mut self, topic: Topic, seen: impl Into<String>) {
        self.entries.push((topic, Outcome::Fine(seen.into())));
    }

    pub(super) fn wrong(
        &mut self,
        topic: Topic,
        what: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let finding = Finding {
            what: what.into(),
            why: why.into(),
            fix: fix.into(),
        };
        self.entries.push((topic, Outcome::Wrong(finding)));
    }

    pub(super) fn unchecked(&mut self, topic: Topic, reason: impl Into<String>) {
        self.entries
            .push((topic, Outcome::Unchecked(reason.into())));
    }

    /// Gives a reason for every one of these topics that nothing is said about yet.
    pub(super) fn rest_unchecked(&mut self, topics: &[Topic], reason: &str) {
        for topic in topics {
            if self.of(*topic).next().is_none() {
                self.unchecked(*topic, reason);
            }
        }
    }

    /// Everything from another look.
    pub(super) fn append(&mut self, mut other: Self) {
        self.about.append(&mut other.about);
        self.entries.append(&mut other.entries);
    }

    /// What is wrong, in the order of the topics.
    pub(super) fn findings(&self) -> impl Iterator<Item = (Topic, &Finding)> {
        Topic::ALL.iter().flat_map(|topic| {
            self.of(*topic).filter_map(|outcome| match outcome {
                Outcome::Wrong(finding) => Some((*topic, finding)),
                _ => None,
            })
        })
    }

    fn of(&self, topic: Topic) -> impl Iterator<Item = &Outcome> {
        let entries = self.entries.iter();
        entries
            .filter(move |(of, _)| *of == topic)
            .map(|(_, outcome)| outcome)
    }

    /// The word for a topic, and what is to be said beside it.
    fn line(&self, topic: Topic) -> (&'static str, String) {
        let (mut wrong, mut fine, mut notes) = (false, false, Vec::new());
        for outcome in self.of(topic) {
            match outcome {
                Outcome::Wrong(_) => wrong = true,
                Outcome::Fine(note) => {
                    fine = true;
                    notes.push(note.as_str());
                }
                Outcome::Unchecked(note) => notes.push(note),
            }
        }
        match (wrong, fine) {
            (true, _) => ("WRONG", "see below".to_owned()),
            (false, true) => ("ok", notes.join("; ")),
            (false, false) => ("not checked", notes.join("; ")),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for about in &self.about {
            writeln!(f, "{about}")?;
        }
        writeln!(f)?;
        for topic in Topic::ALL {
            let (word, note) = self.line(*topic);
            let line = format!("{:5}  {:42}  {word:11}  {note}", topic.number, topic.title);
            writeln!(f, "{}", line.trim_end())?;
        }
        for (topic, finding) in self.findings() {
            writeln!(f, "\n{}", topic.number)?;
            writeln!(f, "  what  {}", finding.what)?;
            writeln!(f, "  why   {}", finding.why)?;
            writeln!(f, "  do    {}", finding.fix)?;
        }
        if self.findings().next().is_none() {
            writeln!(f, "\nNothing is wrong with what was checked.")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_is_right_wrong_and_unseen() {
        let mut report = Report::default();
        report.about("Server: http://localhost:3000");
        report.wrong(Topic::LOGOUT, "a", "b", "c");
        report.fine(Topic::LOGOUT, "not shown beside something wrong");
        report.fine(Topic::SECRET, "set");
        report.unchecked(Topic::SECRET, "git is not there");
        report.rest_unchecked(&[Topic::SECRET, Topic::STORE], "no reason");
        let text = report.to_string();
        let lines: Vec<_> = text
            .lines()
            .filter(|line| !line.ends_with("not checked"))
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @"
        Server: http://localhost:3000

        P5     the signing secret is strong and unknown    ok           set; git is not there
        P6     a logout ends the session                   WRONG        see below
        D7     the store takes sessions                    not checked  no reason

        P6
          what  a
          why   b
          do    c
        ");
    }
}
