// SPDX-License-Identifier: GPL-3.0-or-later
//! The XML block lists that `era_invalidate` prints and `era_copy` reads.
//!
//! ```xml
//! <blocks>
//!   <range begin="0" end="35"/>
//!   <block block="100"/>
//! </blocks>
//! ```
//!
//! `end` is the block after the last one. Version 0.9 of era_invalidate puts spaces around the `=` of `end`, version 1
//! does not. A list that is empty, unfinished or out of order is an error, never "nothing changed": it is what
//! a pipe delivers when the program before it has failed.

use std::io::{self, BufRead, Write};

use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};
use quick_xml::{Reader, Writer};
use thiserror::Error;

use crate::runs::{BlockSet, Run};
use crate::units::MAX_BLOCKS;

const CLOSING_TAG_MISSING: &str = "it ends before </blocks>: did the program that wrote it fail?";

/// A list that cannot be relied on.
#[derive(Debug, Error)]
#[error("block list, byte {position}: {problem}")]
pub struct BlockListError {
    /// Where reading stopped.
    pub position: u64,
    /// What is wrong there.
    pub problem: String,
}

/// Reads a block list to its end.
pub fn read(input: impl BufRead) -> Result<BlockSet, BlockListError> {
    let mut reader = Reader::from_reader(input);
    parse(&mut reader).map_err(|problem| BlockListError { position: reader.buffer_position(), problem })
}

/// How far into the document the parser is.
#[derive(PartialEq)]
enum Place {
    Before,
    Inside,
    After,
}

fn parse(reader: &mut Reader<impl BufRead>) -> Result<BlockSet, String> {
    let mut blocks = BlockSet::new(MAX_BLOCKS);
    let mut place = Place::Before;
    let mut least = 0;
    let mut buf = Vec::new();
    loop {
        buf.clear();
        let event = reader.read_event_into(&mut buf).map_err(|e| match place {
            Place::Inside => format!("{e}; {CLOSING_TAG_MISSING}"),
            _ => e.to_string(),
        })?;
        match (event, &place) {
            (Event::Start(tag), Place::Before) if tag.name().as_ref() == "blocks" => place = Place::Inside,
            (Event::End(_), Place::Inside) => place = Place::After,
            (Event::Empty(tag), Place::Before) if tag.name().as_ref() == "blocks" => place = Place::After,
            (Event::Empty(tag), Place::Inside) => {
                let run = run_of(&tag)?;
                if run.begin < least {
                    return Err(format!(
                        "blocks {}..{} overlap or come before block {least}; the list must ascend",
                        run.begin, run.end
                    ));
                }
                blocks.insert(run);
                least = run.end;
            }
            (Event::Text(text), _) if is_blank(&text) => {}
            (Event::Comment(_), _) | (Event::Decl(_), Place::Before) => {}
            (Event::Eof, Place::After) => return Ok(blocks),
            (Event::Eof, Place::Before) => {
                return Err("the list is empty: did the program that writes it fail?".into());
            }
            (Event::Eof, Place::Inside) => return Err(CLOSING_TAG_MISSING.into()),
            (event, _) => return Err(format!("{} does not belong here", describe(&event))),
        }
    }
}

fn run_of(tag: &BytesStart) -> Result<Run, String> {
    let (begin, end) = match tag.name().as_ref() {
        "range" => {
            let [begin, end] = attributes(tag, ["begin", "end"])?;
            (begin, end)
        }
        "block" => {
            let [block] = attributes(tag, ["block"])?;
            (block, block.saturating_add(1))
        }
        other => return Err(format!("<{other}> does not belong here")),
    };
    if begin.max(end) > MAX_BLOCKS {
        let block = begin.max(end - 1);
        return Err(format!("block {block} is beyond the last that dm-era can number, {}", MAX_BLOCKS - 1));
    }
    if begin >= end {
        return Err(format!("range {begin}..{end} is empty or runs backwards"));
    }
    Ok(Run { begin, end })
}

/// The numbers in the attributes of these names: each must be there once, and no other.
fn attributes<const N: usize>(tag: &BytesStart, names: [&str; N]) -> Result<[u64; N], String> {
    let mut values = [None; N];
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|e| e.to_string())?;
        let (key, text) = (attribute.key.as_ref(), &attribute.value);
        let Some(i) = names.iter().position(|name| *name == key) else {
            return Err(format!("attribute {key} does not belong here"));
        };
        values[i] =
            Some(text.trim().parse().map_err(|_| format!("{key} = \"{text}\" is not a block number"))?);
    }
    let mut numbers = [0; N];
    for (i, value) in values.into_iter().enumerate() {
        numbers[i] = value.ok_or_else(|| format!("attribute {} is missing", names[i]))?;
    }
    Ok(numbers)
}

fn is_blank(text: &BytesText) -> bool {
    text.chars().all(|c| c.is_ascii_whitespace())
}

fn describe(event: &Event) -> String {
    let text: String = event.chars().take(40).collect();
    format!("\"{text}\"")
}

/// Writes a block list as version 1 of era_invalidate does.
pub fn write(output: impl Write, runs: impl Iterator<Item = Run>) -> io::Result<()> {
    let mut writer = Writer::new_with_indent(output, b' ', 2);
    writer.write_event(Event::Start(BytesStart::new("blocks")))?;
    for run in runs {
        let element = if run.blocks() == 1 {
            BytesStart::new("block").with_attributes([("block", run.begin.to_string().as_str())])
        } else {
            let (begin, end) = (run.begin.to_string(), run.end.to_string());
            BytesStart::new("range").with_attributes([("begin", begin.as_str()), ("end", end.as_str())])
        };
        writer.write_event(Event::Empty(element))?;
    }
    writer.write_event(Event::End(BytesEnd::new("blocks")))?;
    writer.into_inner().write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn runs(xml: &str) -> Result<Vec<(u64, u64)>, String> {
        let blocks = read(xml.as_bytes()).map_err(|e| e.to_string())?;
        Ok(blocks.runs().map(|r| (r.begin, r.end)).collect())
    }

    #[test]
    fn both_spellings_are_read() {
        let old = "<blocks>\n  <range begin=\"0\" end = \"35\"/>\n  <block block=\"100\"/>\n</blocks>\n";
        let new = "<blocks>\n  <range begin=\"0\" end=\"35\"/>\n  <block block=\"100\"/>\n</blocks>";
        assert_eq!(runs(old).unwrap(), [(0, 35), (100, 101)]);
        assert_eq!(runs(old), runs(new));
    }

    #[test]
    fn a_finished_list_without_blocks_means_that_nothing_changed() {
        for xml in
            ["<blocks>\n</blocks>\n", "<blocks></blocks>", "<blocks/>", "<?xml version=\"1.0\"?><blocks/>"]
        {
            assert_eq!(runs(xml).unwrap(), [], "{xml}");
        }
    }

    #[test]
    fn the_last_block_is_the_last_that_dm_era_can_number() {
        assert_eq!(
            runs("<blocks><block block=\"2147483647\"/></blocks>").unwrap(),
            [(2147483647, 2147483648)]
        );
        for beyond in ["2147483648", "18446744073709551615"] {
            let e = runs(&format!("<blocks><block block=\"{beyond}\"/></blocks>")).unwrap_err();
            assert!(e.contains("beyond"), "{e}");
        }
    }

    #[test]
    fn what_a_failed_program_leaves_is_an_error() {
        for (xml, says) in [
            ("", "is empty"),
            ("\n \n", "is empty"),
            ("<!-- -->", "is empty"),
            ("<blocks>", "ends before </blocks>"),
            ("<blocks>\n <block block=\"1\"/>", "ends before </blocks>"),
            ("<blocks>\n <block block=\"1", "ends before </blocks>"),
            ("<blocks><block block=\"1\"/></block", "ends before </blocks>"),
            ("<bl", ""),
            ("era_invalidate: bad checksum", "does not belong"),
            ("<blocks/>rubbish", "does not belong"),
            ("<blocks/><blocks/>", "does not belong"),
            ("<superblock/>", "does not belong"),
            ("<blocks><blocks></blocks></blocks>", "does not belong"),
            ("<blocks>7</blocks>", "does not belong"),
            ("<blocks><bit block=\"1\"/></blocks>", "does not belong"),
            ("<blocks><block block=\"1\" era=\"1\"/></blocks>", "era does not belong"),
            ("<blocks><block block=\"1\" block=\"1\"/></blocks>", ""),
            ("<blocks><block/></blocks>", "block is missing"),
            ("<blocks><range begin=\"1\"/></blocks>", "end is missing"),
            ("<blocks><block block=\"-1\"/></blocks>", "not a block number"),
            ("<blocks><block block=\"0x10\"/></blocks>", "not a block number"),
            ("<blocks><range begin=\"5\" end=\"5\"/></blocks>", "empty"),
            ("<blocks><range begin=\"5\" end=\"4\"/></blocks>", "backwards"),
            ("<blocks><block block=\"5\"/><block block=\"5\"/></blocks>", "must ascend"),
            ("<blocks><range begin=\"5\" end=\"9\"/><block block=\"8\"/></blocks>", "must ascend"),
            ("<blocks><block block=\"9\"/><block block=\"3\"/></blocks>", "must ascend"),
        ] {
            let e = runs(xml).expect_err(xml);
            assert!(e.contains(says), "{xml:?}: {e}");
            assert!(e.contains("byte "), "{e}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(lens in prop::collection::vec((1u64..50, 1u64..50), 0..50)) {
            let mut at = 0;
            let runs: Vec<_> = lens.into_iter().map(|(gap, len)| {
                let begin = at + gap;
                at = begin + len;
                Run { begin, end: at }
            }).collect();
            let mut xml = Vec::new();
            write(&mut xml, runs.iter().copied()).unwrap();
            prop_assert_eq!(read(&xml[..]).unwrap().runs().collect::<Vec<_>>(), runs);
        }

        #[test]
        fn every_beginning_of_a_list_is_refused(cut in 0usize..70) {
            let xml = "<blocks>\n  <range begin=\"0\" end = \"35\"/>\n  <block block=\"100\"/>\n</blocks>\n";
            prop_assume!(cut < xml.len() - 1);
            prop_assert!(runs(&xml[..cut]).is_err());
        }

        #[test]
        fn no_input_makes_it_panic(xml in "[<>/=\" a-z0-9]{0,80}") {
            let _ = runs(&format!("<blocks>{xml}"));
        }
    }
}
