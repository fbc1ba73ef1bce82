use super::{Proof, scan};

/// In the fixtures `%` stands for the word that makes a citation: this file is scanned, too.
fn scanned(path: &str, text: &str) -> (Vec<Proof>, Vec<String>) {
    let (mut proofs, mut mistakes) = (Vec::new(), Vec::new());
    scan(
        path,
        &text.replace('%', "Proves:"),
        &mut proofs,
        &mut mistakes,
    );
    (proofs, mistakes)
}

/// The proofs as `name: ids`, of a text without mistakes.
fn proofs(text: &str) -> Vec<String> {
    let (proofs, mistakes) = scanned("a.rs", text);
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let shown = proofs.iter().map(|proof| {
        format!(
            "{}: {}",
            proof.test.trim_start_matches("a.rs::"),
            proof.ids.join(" ")
        )
    });
    shown.collect()
}

fn mistakes(text: &str) -> Vec<String> {
    let (proofs, mistakes) = scanned("a.rs", text);
    assert!(proofs.is_empty(), "{proofs:?}");
    mistakes
}

#[test]
fn a_citation_belongs_to_the_test_below_it() {
    let text = "
        // % T6.1, T6.2, S5
        #[test]
        fn first() {}

        #[test]
        fn second() {}

        mod inner {
            #[tokio::test(start_paused = true)]
            // % J2
            async fn third() {
        ";
    assert_eq!(proofs(text), ["first: T6.1 T6.2 S5", "third: J2"]);
}

#[test]
fn a_citation_may_take_several_lines_among_docs_and_attributes() {
    let text = r#"
        // % J1, J2,
        // J3
        // Deliberately slow.
        // % S1.
        /// Says why.
        #[tokio::test(
            flavor = "multi_thread",
            worker_threads = 2,
        )]
        #[should_panic(expected = "]")]
        // Last words.
        pub(crate) async fn long<T>() {}
        "#;
    assert_eq!(proofs(text), ["long: J1 J2 J3 S1"]);
}

#[test]
fn attributes_may_share_a_line_with_the_function() {
    assert_eq!(
        proofs("// % J1\n#[cfg(unix)] #[test] fn short() {}"),
        ["short: J1"]
    );
}

#[test]
fn tests_made_by_macros_count() {
    let text = "
        proptest! {
            // % S1
            #[test]
            fn any_token(bytes in any::<[u8; 24]>()) {}
        }
        macro_rules! contract {
            ($name:ident) => {
                // % J2
                #[tokio::test]
                async fn $name() {}
            };
        }
        // % S7
        fuzz_target!(|data: &[u8]| {});
        ";
    assert_eq!(
        proofs(text),
        ["any_token: S1", "$name: J2", "fuzz_target: S7"]
    );
}

#[test]
fn a_case_of_the_store_contract_counts_without_an_attribute() {
    let text = "// % J2\npub async fn update_never_creates(store: &dyn Store) {}";
    let (proofs, mistakes) = scanned("crates/x/src/testing/contract.rs", text);
    assert!(mistakes.is_empty(), "{mistakes:?}");
    assert_eq!(
        proofs,
        [Proof {
            test: "crates/x/src/testing/contract.rs::update_never_creates".into(),
            ids: vec!["J2".into()]
        }]
    );
}

#[test]
fn an_example_in_a_doc_comment_counts() {
    let text = "
        //! What the file promises.
        //! % S9
        //! ```
        //! assert!(true);
        //! ```

        /// What cannot be built.
        ///
        /// % J1
        ///
        /// ```compile_fail,E0599
        /// // % S99
        /// session.set_owner(1);
        /// ```
        #[derive(Debug)]
        pub struct Session {
        ";
    assert_eq!(
        proofs(text),
        ["Session (doctest): J1", "module (doctest): S9"]
    );
}

#[test]
fn a_citation_of_anything_but_a_test_is_a_mistake() {
    assert_eq!(
        mistakes("// % J1\nfn helper() {}"),
        ["a.rs::helper: cites J1 and is not a test"]
    );
    assert_eq!(
        mistakes("// % J1\n\n#[test]\nfn apart() {}"),
        ["a.rs::: cites J1 and is not a test"]
    );
    assert_eq!(
        mistakes("// % \n#[test]\nfn empty() {}"),
        ["a.rs::empty: cites no number"]
    );
}

#[test]
fn an_attribute_without_an_end_does_not_swallow_the_rest_in_silence() {
    assert_eq!(
        mistakes("#[test\n// % J1\n#[test]\nfn lost() {}"),
        ["a.rs: an attribute has no end: #[test // Proves: J1 #[t"]
    );
}

#[test]
fn what_does_not_run_proves_nothing() {
    let ignored = "// % J1\n#[test]\n#[ignore = \"slow\"]\nfn later() {}";
    assert_eq!(
        mistakes(ignored),
        ["a.rs::later: is ignored, and proves nothing of J1"]
    );
    for language in ["ignore", "text", "no_run", "compile_fail,ignore"] {
        let text = format!("/// % J1\n/// ```{language}\n/// ```\nstruct Shown;");
        assert_eq!(
            mistakes(&text),
            ["a.rs::Shown (doctest): cites J1 without an example that runs"]
        );
    }
}
