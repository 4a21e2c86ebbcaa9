//! `report.html`: one self-contained page that tells what broke, which operation it
//! was, what was going on, and how to run it again.
//!
//! A shell of HTML that can be read without a script, on paper and by a screen reader;
//! pictures that need none are SVG; the timeline is drawn by the page's own script from
//! packed columns ([`data`]). Script and style are source files in `assets`, and the
//! page's policy names them by their hashes: nothing else runs, and no host is asked.
//! Every text from outside is escaped and freed of characters that mislead; every list
//! is bounded, whatever the run. Renders what was recorded and decides nothing.

mod clocks;
mod colour;
mod columns;
mod data;
mod did;
mod faults;
mod files;
mod glance;
mod lanes;
mod picture;
mod plots;
mod rest;
mod shell;
mod space_time;
mod top;
mod unsynced;
mod why;
mod windows;
mod words;

pub use shell::render;
