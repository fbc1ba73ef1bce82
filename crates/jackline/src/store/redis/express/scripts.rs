//! The scripts of this layout. They share the native ones' splicing, index and list, and have their own idea of a record.

use super::super::scripts::Script;
use super::mapping::ExpressMapping;

/// One script for each method of the store, and one for each half of what Express does behind our back.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) create: Script,
    pub(super) load: Script,
    pub(super) adopt: Script,
    pub(super) commit: Script,
    pub(super) rotate: Script,
    pub(super) admit: Script,
    pub(super) note: Script,
    pub(super) end: Script,
    pub(super) end_all: Script,
    pub(super) walk: Script,
    pub(super) list: Script,
}

impl Scripts {
    pub(super) fn new(mapping: &ExpressMapping, idle_ms: u64, stem: &str) -> Self {
        let settings = serde_json::json!({
            "identity": mapping.identity_members(),
            "hidden": mapping.hidden().collect::<Vec<_>>(),
            "idle": idle_ms,
            "stem": stem,
        });
        // As numbers of bytes: no name, whatever it holds, ends the string that it stands in.
        let settings: String = settings
            .to_string()
            .bytes()
            .map(|byte| format!("\\{byte:03}"))
            .collect();
        let settings = format!("local SETTINGS = cjson.decode('{settings}')\n");
        macro_rules! script {
            ($($file:literal),+) => {
                Script::new(settings.clone() + concat!(
                    include_str!("../splice.lua"), "\n",
                    include_str!("record.lua"), "\n",
                    $(include_str!($file), "\n"),+
                ))
            };
        }
        Self {
            create: script!("../index.lua", "create.lua"),
            load: script!("../trace.lua", "load.lua"),
            adopt: script!("../index.lua", "adopt.lua"),
            commit: script!("commit.lua"),
            rotate: script!("../index.lua", "../trace.lua", "rotate.lua"),
            admit: script!("../index.lua", "../trace.lua", "admit.lua"),
            note: Script::new(concat!(
                include_str!("../trace.lua"),
                "\n",
                include_str!("../note.lua")
            )),
            end: script!("../index.lua", "../trace.lua", "end.lua"),
            end_all: script!("../index.lua", "end_all.lua"),
            walk: script!("walk.lua"),
            list: script!("../list.lua"),
        }
    }
}
